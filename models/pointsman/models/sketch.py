"""The sketch of a prompt: sizes, a MinHash signature and hashed n-gram features; the text itself is dropped.

Integer hashing only (CRC-32 and a 64-bit multiply), so that any language on any machine gives the same numbers.
"""

import math
import zlib
from functools import lru_cache

from pointsman.schemas import Sketch

SIGNATURE = 16
FEATURES = 32
_MASK = 2**64 - 1
_MULTIPLIERS = tuple((0x9E3779B97F4A7C15 * (2 * place + 1)) & _MASK for place in range(SIGNATURE))
_CHARACTERS_PER_TOKEN = 4


def count_tokens(text: str) -> int:
    """An estimate without a tokenizer: a quarter of the UTF-8 bytes, at least one per text that is not empty."""
    return math.ceil(len(text.encode("utf-8", "replace")) / _CHARACTERS_PER_TOKEN)


def tokens_of(text: str | None, given: int | None) -> int | None:
    """The tokens of a prompt: those that its sender counted, else an estimate from the text, if there is one."""
    return count_tokens(text) if given is None and text is not None else given


@lru_cache(maxsize=4096)
def _minima(shingle: bytes) -> tuple[int, ...]:
    value = zlib.crc32(shingle) | 1
    return tuple((value * multiplier & _MASK) >> 12 for multiplier in _MULTIPLIERS)


def sketch(text: str) -> Sketch:
    """What is kept of a prompt; the first and last 200 words carry the signature and the features.

    >>> sketch("Summarise this mail").tokens
    5
    """
    words = text.lower().encode("utf-8", "replace").split()
    if len(words) > 400:
        words = words[:200] + words[-200:]
    shingles = {b" ".join(words[place : place + 3]) for place in range(max(len(words) - 2, 1))} if words else set()
    minhash = tuple(min(column) for column in zip(*map(_minima, shingles), strict=True)) if shingles else ()
    counts = [0.0] * FEATURES
    for word in words:
        bits = zlib.crc32(word[:64])
        counts[bits % FEATURES] += 1.0 if bits & 0x8000_0000 else -1.0
    norm = math.sqrt(sum(count * count for count in counts)) or 1.0
    features = tuple(round(count / norm, 4) for count in counts)
    return Sketch(tokens=count_tokens(text), characters=len(text), minhash=minhash, features=features)
