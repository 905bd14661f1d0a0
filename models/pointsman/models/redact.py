"""Redaction: secrets and personal data in free text become a word that says what stood there.

Patterns with a fixed shape only, so that model names, dates and identifiers stay as they are: what is hidden is what these
match, no more. A person's name in plain words is not recognised; free text that may hold one does not belong in an event.
"""

import re

_PATTERNS = {
    "private-key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    "jwt": r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*",
    "key": (
        r"\b(?:sk|pk|rk)[-_](?:[a-z]+[-_])*[A-Za-z0-9_-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}"
        r"|\bxox[abprs]-[\w-]{10,}|\bAIza[\w-]{30,}|\bhf_[A-Za-z0-9]{20,}|\bglpat-[\w-]{16,}"
    ),
    "secret": r"(?i:\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"
    r"|(?i:\b(?:password|passwd|pwd|secret|token|api[-_]?key|authorization)\b[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]+",
    "login": r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)",
    "email": r"\b[\w.+%-]+@(?:[\w-]+\.)+[A-Za-z]{2,}\b",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b",
    "card": r"\b\d(?:[ -]?\d){12,18}\b",
    "phone": r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}\b",
    "address": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
    "ssn": r"\b\d{3}-\d{2}-\d{4}\b",
}
_ANY = re.compile("|".join(f"(?P<{name.replace('-', '_')}>{pattern})" for name, pattern in _PATTERNS.items()), re.DOTALL)


def redact(text: str) -> str:
    """The text with every secret, address and number of a known shape replaced.

    >>> redact("401 for ana@example.org with Bearer abcdef123456")
    '401 for [email] with [secret]'
    >>> redact("gpt-4o-2024-08-06 timed out after 30000 ms")
    'gpt-4o-2024-08-06 timed out after 30000 ms'
    """
    return _ANY.sub(_label, text)


def _label(found: re.Match[str]) -> str:
    kind = found.lastgroup or "secret"
    if kind == "card" and not _is_card(found.group()):
        return found.group()
    return f"[{kind.replace('_', '-')}]"


def _is_card(text: str) -> bool:
    """Whether the digits pass the check sum of ISO/IEC 7812 (Luhn)."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (doubled + sum(digits[-1::-2])) % 10 == 0
