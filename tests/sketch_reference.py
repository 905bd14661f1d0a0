"""The sketch once more, written from docs/sketch.md in plain Python integers: slow, short, and independent of the one that is used."""

import math
from typing import Any

G = 0x9E3779B97F4A7C15
MOD = 2**64
STANDARD = ((5.6, 0.8), (3.8, 0.6), (0.02, 0.03), (0.04, 0.03), (0.06, 0.03), (0.01, 0.01), (1.2, 0.9), (0.5, 0.3), (0.8, 1.0), (0.0, 0.05), (1.0, 0.8))
SCRIPTS = {
    "latin": [*range(0x41, 0x5B), *range(0x61, 0x7B), *range(0xC3, 0xCA)],
    "greek": [0xCE, 0xCF],
    "cyrillic": [0xD0, 0xD1, 0xD2, 0xD3],
    "hebrew": [0xD6, 0xD7],
    "arabic": [0xD8, 0xD9, 0xDA, 0xDB],
    "indic": [0xE0],
    "kana": [0xE3],
    "han": [0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9],
    "hangul": [0xEA, 0xEB, 0xEC, 0xED],
}
STOPWORDS = {
    "en": "the of and to is in that for with what are this",
    "de": "der die das und ist nicht ein eine mit wie wird auf",
    "fr": "le la les des est une dans pour que qui et sur",
    "es": "el los las una es por que para con como del en",
    "pt": "o os uma de que para com como em do da um",
    "it": "il gli una di che per con come della sono nel",
    "nl": "de het een van en is dat niet met voor op wat",
}
KEYWORDS = {
    "code": ["def ", "function", "python", "javascript", "class ", "import ", "sql", "```", "algorithm", "compile", "bug", "code"],
    "math": ["solve", "equation", "how many", "calculate", "prove", "integral", "probability", "theorem", "percent", "sum of"],
    "translation": ["translate", "translation", "in french", "in german", "in spanish", "in english"],
    "summary": ["summarise", "summarize", "summary", "tl;dr", "key points", "shorten"],
    "extraction": ["extract", "json", "parse", "list all", "table of", "fields"],
    "choice": ["(a)", "(b)", "answer with the", "which of the following", "choices:", "options:"],
    "writing": ["write a story", "poem", "essay", "email", "letter", "rewrite", "blog"],
}


def mix(value: int) -> int:
    """A bijection of 64 bits."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % MOD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % MOD
    return value ^ (value >> 31)


def number(byte: int) -> int:
    """The 64-bit number that stands for a byte."""
    return mix((byte + 1) * G % MOD)


def nearest(value: float) -> int:
    """The nearest integer, of two equally near the larger."""
    return math.floor(value + 0.5 + 1e-9)


def lowered(window: bytes) -> bytes:
    """ASCII capitals in lower case."""
    return bytes(byte + 32 if 0x41 <= byte <= 0x5A else byte for byte in window)


def words(window: bytes) -> list[bytes]:
    """Runs of ASCII letters, digits and bytes from 128 on."""
    found, run = [], bytearray()
    for byte in [*window, 0]:
        if byte >= 128 or 0x30 <= byte <= 0x39 or 0x61 <= byte <= 0x7A:
            run.append(byte)
        elif run:
            found.append(bytes(run))
            run = bytearray()
    return found


def word_hash(word: bytes) -> int:
    """Word to 64 bits."""
    return mix(sum(number(byte) * pow(G, place, MOD) for place, byte in enumerate(word)) % MOD)


def gram_hash(gram: bytes) -> int:
    """Four bytes to 64 bits."""
    total = 0
    for byte in gram:
        total = (total * G + number(byte)) % MOD
    return mix(total)


def block(hashes: list[int], size: int) -> list[int]:
    """So many signed bytes."""
    counts: dict[int, int] = {}
    for value in hashes:
        counts[value >> 52] = counts.get(value >> 52, 0) + 1
    sums = [0.0] * size
    for bucket in sorted(counts):
        sums[bucket % size] += math.log(1 + counts[bucket]) * (1 if bucket // size % 2 else -1)
    norm = math.sqrt(sum(entry * entry for entry in sums))
    return [nearest(entry * 127 / norm) for entry in sums] if norm > 1e-9 else [0] * size


def dense(window: bytes, length: int, count: int) -> list[int]:
    """The eleven measures."""
    total = max(len(window), 1)
    digits = sum(0x30 <= byte <= 0x39 for byte in window)
    upper = sum(0x41 <= byte <= 0x5A for byte in window)
    lower = sum(0x61 <= byte <= 0x7A for byte in window)
    wide = sum(byte >= 128 for byte in window)
    newlines = window.count(0x0A)
    symbols = total - digits - upper - lower - wide - window.count(0x20)
    measures = [
        math.log(1 + length),
        math.log(1 + count),
        digits / total,
        upper / total,
        symbols / total,
        newlines / total,
        math.log(1 + newlines),
        math.log(1 + window.count(0x3F)),
        math.log(1 + digits),
        wide / total,
        math.log(1 + window.count(0x28)),
    ]
    return [nearest(min(max((value - centre) / spread, -3), 3) * 127 / 3) for value, (centre, spread) in zip(measures, STANDARD, strict=True)]


def minhash(hashes: list[int]) -> list[int]:
    """The signature of shingles of three words."""
    shingles = hashes if len(hashes) < 3 else [((one * G + two) * G + three) % MOD for one, two, three in zip(hashes, hashes[1:], hashes[2:], strict=False)]
    return [min(shingle * (mix(place + 1) | 1) % MOD for shingle in shingles) >> 12 for place in range(16)] if shingles else []


def script(window: bytes) -> str | None:
    """The script with most lead bytes, the first of equals."""
    counts = {name: sum(byte in leads for byte in window) for name, leads in SCRIPTS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def language(window: bytes) -> str | None:
    """The language with most function words in the first kilobyte."""
    found = set(window[:1024].replace(b"\t", b" ").replace(b"\n", b" ").replace(b"\r", b" ").replace(b"\v", b" ").replace(b"\f", b" ").split(b" "))
    counts = {name: sum(word.encode() in found for word in listed.split()) for name, listed in STOPWORDS.items()}
    ranking = sorted(counts.values(), reverse=True)
    return max(counts, key=lambda name: counts[name]) if ranking[0] >= 2 and ranking[0] > ranking[1] else None


def category(window: bytes) -> str | None:
    """The keyword list with most occurrences, overlapping ones counted."""
    counts = {name: sum(window.startswith(word.encode(), at) for word in listed for at in range(len(window))) for name, listed in KEYWORDS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def reference(text: str) -> dict[str, Any]:
    """The fields of the sketch of a text; absent ones are left out."""
    whole = b"".join(b"?" if 0xD800 <= ord(character) <= 0xDFFF else character.encode() for character in text)
    window = whole if len(whole) <= 4096 else whole[:2048] + whole[-2048:]
    lower = lowered(window)
    hashes = [word_hash(word) for word in words(lower)]
    grams = [gram_hash(lower[place : place + 4]) for place in range(len(lower) - 3)]
    fields = {
        "tokens": -(-len(whole) // 4),
        "characters": len(text),
        "minhash": minhash(hashes),
        "features": [*block(hashes, 10), *block(grams, 10), *block(hashes[:6], 14), *block(hashes[-6:], 14), *dense(window, len(whole), len(hashes))],
        "script": script(window),
        "language": language(lower),
        "category": category(lower),
    }
    return {name: value for name, value in fields.items() if value is not None}


def folded(embedding: list[float]) -> list[int]:
    """An embedding's features."""
    largest = max(map(abs, embedding))
    sums = [0.0] * 48
    for place, value in enumerate(embedding):
        bits = number(place)
        sums[place if len(embedding) <= 48 else bits % 48] += (value / largest if largest else 0.0) * (1 if bits >> 63 else -1)
    norm = math.sqrt(sum(entry * entry for entry in sums))
    return [nearest(entry * 127 / norm) if norm else 0 for entry in sums] + [0] * 11
