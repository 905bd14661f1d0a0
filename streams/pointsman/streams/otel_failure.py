"""Whose fault a failed span was, from `error.type`, the exception's type and the HTTP status: never from a message, which may quote the prompt."""

import re

from pointsman.schemas.inputs import FailureClass

from .otel_attributes import ERROR_TYPE, EXCEPTION, EXCEPTION_TYPE, STATUS_CODES
from .otlp import Span

_NAME = re.compile(r"[A-Za-z_][\w.:$/<>+-]{0,127}|\d{1,3}")
_STATUS = re.compile(r"(?<!\d)(?P<code>[1-5]\d\d)(?!\d)")
_CLASSES: tuple[tuple[FailureClass, re.Pattern[str]], ...] = (
    ("cancelled", re.compile(r"cancel|abort|disconnect|generatorexit|keyboardinterrupt")),
    ("timeout", re.compile(r"time_?d?_?out|deadline")),
    ("provider", re.compile(r"rate_?limit|throttl|overloaded|unavailable|internal_?server|server_?error|connect|quota|resource_?exhausted|bad_?gateway")),
    (
        "client",
        re.compile(r"bad_?request|invalid|auth|permission|forbidden|not_?found|unprocessable|content_?filter|context_?(?:length|window)|valueerror|typeerror"),
    ),
)


def error_type(span: Span) -> str | None:
    """The type of a span's error, None where it has none; what is no name, and so may be a message, is `other`."""
    given = span.attributes.get(ERROR_TYPE)
    if given is None and span.is_error:
        given = next((moment.attributes.get(EXCEPTION_TYPE) for moment in reversed(span.moments) if moment.name == EXCEPTION), None)
        given = _status(span) if given is None else given
    if given is None:
        return "other" if span.is_error else None
    return str(given) if _NAME.fullmatch(str(given)) else "other"


def failure_class(span: Span, kind: str) -> FailureClass:
    """By the type, else by the HTTP status: 408 and 504 are timeouts, 429 and 5xx the provider's, 499 a hang-up, other 4xx the client's."""
    low = kind.lower()
    for name, pattern in _CLASSES:
        if pattern.search(low):
            return name
    found = _STATUS.search(low)
    code = int(found["code"]) if found is not None else _status(span)
    if code in (408, 504):
        return "timeout"
    if code == 499:
        return "cancelled"
    if code == 429 or (code is not None and code >= 500):
        return "provider"
    return "client" if code is not None and code >= 400 else "unknown"


def _status(span: Span) -> int | None:
    code = next((code for name in STATUS_CODES if (code := span.attributes.get(name)) is not None), None)
    return code if isinstance(code, int) and not isinstance(code, bool) and 100 <= code <= 599 else None


__all__ = ["error_type", "failure_class"]
