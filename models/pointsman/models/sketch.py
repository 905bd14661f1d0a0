"""The sketch of a prompt: sizes, script, language and category hints, a MinHash signature and hashed features; the text itself is dropped.

Integer hashing only, so that any language on any machine gives the same numbers: `docs/sketch.md` is the specification.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.schemas import Sketch

from .arrays import dot
from .categories import DEFAULT, Categories

BLOCKS = {"words": 10, "byte_4grams": 10, "head_words": 14, "tail_words": 14}
HASHED = sum(BLOCKS.values())
DENSE = (
    "log_bytes",
    "log_words",
    "digit_share",
    "upper_share",
    "symbol_share",
    "newline_share",
    "log_newlines",
    "log_questions",
    "log_digits",
    "non_ascii_share",
    "log_brackets",
)
FEATURES = HASHED + len(DENSE)
SIGNATURE = 16
EDGE_WORDS = 6
LARGEST = 127
LONGEST_EMBEDDING = 8192
_HALF = 2048
_CHARACTERS_PER_TOKEN = 4
_STANDARD = ((5.6, 0.8), (3.8, 0.6), (0.02, 0.03), (0.04, 0.03), (0.06, 0.03), (0.01, 0.01), (1.2, 0.9), (0.5, 0.3), (0.8, 1.0), (0.0, 0.05), (1.0, 0.8))
_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15

Hashes = NDArray[np.uint64]


def _mixed(value: int) -> int:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


_BYTES = np.array([_mixed((byte + 1) * _GOLDEN & _MASK) for byte in range(256)], np.uint64)
_POWERS = np.array([pow(_GOLDEN, exponent, 2**64) for exponent in range(2 * _HALF)], np.uint64)
_STEP = np.uint64(_GOLDEN)
_30, _27, _31, _12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_MULTIPLIERS = np.array([_mixed(place + 1) | 1 for place in range(SIGNATURE)], np.uint64)
_INVERSES = np.array([pow(_GOLDEN, -exponent, 2**64) for exponent in range(2 * _HALF)], np.uint64)
_IS_WORD = bytes(byte >= 128 or chr(byte).isalnum() for byte in range(256))
_EDGE = np.ones(1, np.bool_)
_LOGS = [math.log1p(count) for count in range(2 * _HALF + 1)]
_LOG = np.array(_LOGS)
_FEW = 16  # for so few hashes a loop is faster than NumPy
_TIE = 0.5 + 1e-9  # halves are common here (four words: 63.5): without a margin the last bit of a logarithm would decide
_TOP = np.uint64(52)
_SIGN = {size: np.where(np.arange(4096) // size % 2 == 1, 1.0, -1.0) for size in BLOCKS.values()}
_SLOT = {size: np.arange(4096) % size for size in BLOCKS.values()}
_SCRIPTS = (
    ("latin", ((0x41, 0x5B), (0x61, 0x7B), (0xC3, 0xCA))),
    ("greek", ((0xCE, 0xD0),)),
    ("cyrillic", ((0xD0, 0xD4),)),
    ("hebrew", ((0xD6, 0xD8),)),
    ("arabic", ((0xD8, 0xDC),)),
    ("indic", ((0xE0, 0xE1),)),
    ("kana", ((0xE3, 0xE4),)),
    ("han", ((0xE4, 0xEA),)),
    ("hangul", ((0xEA, 0xEE),)),
)
_STOPWORDS = {
    "en": b"the of and to is in that for with what are this",
    "de": b"der die das und ist nicht ein eine mit wie wird auf",
    "fr": b"le la les des est une dans pour que qui et sur",
    "es": b"el los las una es por que para con como del en",
    "pt": b"o os uma de que para com como em do da um",
    "it": b"il gli una di che per con come della sono nel",
    "nl": b"de het een van en is dat niet met voor op wat",
}
_STOPS = {language: frozenset(words.split()) for language, words in _STOPWORDS.items()}


def count_tokens(text: str) -> int:
    """An estimate without a tokenizer: a quarter of the UTF-8 bytes, at least one per text that is not empty."""
    return math.ceil(len(text.encode("utf-8", "replace")) / _CHARACTERS_PER_TOKEN)


def tokens_of(text: str | None, given: int | None) -> int | None:
    """The tokens of a prompt: those that its sender counted, else an estimate from the text, if there is one."""
    return count_tokens(text) if given is None and text is not None else given


def sketch(text: str, categories: Categories = DEFAULT) -> Sketch:
    """What is kept of a prompt; of more than 4,096 bytes the first and last 2,048 carry the hints, the signature and the features.

    >>> kept = sketch("Write a Python function that sorts a list")
    >>> kept.tokens, kept.script, kept.language, kept.category
    (11, 'latin', None, 'code')
    """
    whole = text.encode("utf-8", "replace")
    part = whole if len(whole) <= 2 * _HALF else whole[:_HALF] + whole[-_HALF:]
    low = part.lower()  # of bytes: ASCII only
    values = _BYTES.take(np.frombuffer(low, np.uint8))
    words, grams = _hashed(low, values)
    below = [0, *np.bincount(np.frombuffer(part, np.uint8), minlength=256).cumsum().tolist()]
    edges = _folded(words[:EDGE_WORDS], "head_words") + _folded(words[-EDGE_WORDS:], "tail_words")
    return Sketch.model_construct(
        tokens=math.ceil(len(whole) / _CHARACTERS_PER_TOKEN),
        characters=len(text),
        minhash=_signature(words),
        features=(*_folded(words, "words"), *_folded(grams, "byte_4grams"), *edges, *_dense(below, len(whole), len(words))),
        script=_script(below),
        language=_language(low),
        category=categories.find(low),
    )


def describe(fields: dict[str, Any], query: str | None = None, embedding: Sequence[float] | None = None) -> None:
    """Replace a prompt, or its embedding, among a request's fields by the sketch and the count of tokens that stand for it.

    >>> fields = {"request_id": "r1"}
    >>> describe(fields, "Summarise this mail")
    >>> sorted(fields), fields["input_tokens"]
    (['input_tokens', 'request_id', 'sketch'], 5)
    """
    if query is not None and fields.get("sketch") is None:
        fields["sketch"] = sketch(query)
    if embedding is not None:
        known = Sketch.model_validate(fields.get("sketch") or {"tokens": fields.get("input_tokens") or 0, "characters": 0})
        fields["sketch"] = known.model_copy(update={"features": embed(embedding)})
    if (tokens := tokens_of(query, fields.get("input_tokens"))) is not None:
        fields["input_tokens"] = tokens


def embed(vector: Sequence[float]) -> tuple[int, ...]:
    """An application's own embedding, in place of the hashed features: folded with signs to 48 places, its size normed.

    Raises `ValueError` for anything but 1 to 8,192 finite numbers.

    >>> len(embed([0.1, -0.2, 0.3])), max(embed([0.1, -0.2, 0.3]))
    (59, 68)
    """
    entries = _entries(vector)
    size = HASHED
    hashes = [_mixed((place + 1) * _GOLDEN & _MASK) for place in range(len(entries))]
    places = np.arange(len(entries)) if len(entries) <= size else np.array([value % size for value in hashes])
    signs = np.array([1.0 if value >> 63 else -1.0 for value in hashes])
    folded = np.bincount(places, entries * signs, size)
    norm = math.sqrt(float(np.add.reduce(folded * folded)))
    return (*(np.floor(folded * LARGEST / norm + _TIE).astype(int).tolist() if norm > 0.0 else [0] * size), *([0] * len(DENSE)))


def _entries(vector: Sequence[float]) -> NDArray[np.float64]:
    """The numbers of an embedding, the largest of size one, so that no sum of squares overflows."""
    try:
        given = np.asarray(vector)
    except ValueError:  # rows of unequal length
        given = np.zeros(0)
    if given.ndim != 1 or given.dtype.kind not in "iuf" or not 0 < len(given) <= LONGEST_EMBEDDING or not np.isfinite(given).all():
        raise ValueError(f"an embedding is a list of 1 to {LONGEST_EMBEDDING} finite numbers")
    entries = given.astype(np.float64)
    largest = float(np.abs(entries).max())
    return entries / largest if largest > 0.0 else entries


def _hashed(low: bytes, values: Hashes) -> tuple[Hashes, Hashes]:
    """The hashes of the words and of the 4-grams, mixed together: in one pass, as a short prompt costs by the number of passes."""
    words = _words(low, values)
    found = _mix(np.concatenate([words, _4grams(values)]))
    return found[: len(words)], found[len(words) :]


def _words(low: bytes, values: Hashes) -> Hashes:
    """One polynomial a word, a word being a run of ASCII letters and digits and bytes above 127.

    The polynomials are those of the place in the window, divided by the power of the word's first place: the powers of an odd number have inverses.
    """
    inside = np.frombuffer(low.translate(_IS_WORD), np.bool_)
    starts = np.concatenate([inside[:1], inside[1:] > inside[:-1]]).nonzero()[0]
    if not len(starts):
        return values[:0]
    terms = values * _POWERS[: len(values)]
    terms *= inside
    found: Hashes = np.add.reduceat(terms, starts)
    found *= _INVERSES[starts]
    return found


def _4grams(values: Hashes) -> Hashes:
    if len(values) < 4:
        return values[:0]
    found = values[:-3] * _STEP
    found += values[1:-2]
    found *= _STEP
    found += values[2:-1]
    found *= _STEP
    found += values[3:]
    return found


def _mix(hashes: Hashes) -> Hashes:
    """SplitMix64's finaliser, in place."""
    hashes ^= hashes >> _30
    hashes *= _FIRST_FACTOR
    hashes ^= hashes >> _27
    hashes *= _SECOND_FACTOR
    hashes ^= hashes >> _31
    return hashes


def _folded(hashes: Hashes, block: str) -> list[int]:
    """Counts in 4,096 buckets, their log1p folded with signs to the block's places, of Euclidean length 127, rounded."""
    size, buckets = BLOCKS[block], (hashes >> _TOP).view(np.int64)
    folded = [0.0] * size
    if len(hashes) <= _FEW:
        for bucket, count in Counter(buckets.tolist()).items():
            folded[bucket % size] += _LOGS[count] if bucket // size % 2 else -_LOGS[count]
    else:
        buckets.sort()
        edges = np.concatenate([_EDGE, buckets[1:] != buckets[:-1], _EDGE]).nonzero()[0]
        found = buckets[edges[:-1]]
        folded = np.bincount(_SLOT[size][found], _SIGN[size][found] * _LOG[edges[1:] - edges[:-1]], size).tolist()
    norm = math.sqrt(dot(folded, folded))
    return [math.floor(entry * LARGEST / norm + _TIE) for entry in folded] if norm > 1e-9 else [0] * size


def _dense(below: list[int], length: int, words: int) -> list[int]:
    """The eleven of `DENSE`, standardised by fixed constants, clipped at three spreads; 127 stands for 3. `below[b]` counts the bytes under b."""
    total = max(below[256], 1)
    digits, upper, wide = below[58] - below[48], below[91] - below[65], below[256] - below[128]
    symbols = total - digits - upper - wide - (below[123] - below[97]) - (below[33] - below[32])
    newlines = below[11] - below[10]
    found = (
        math.log1p(length),
        math.log1p(words),
        digits / total,
        upper / total,
        symbols / total,
        newlines / total,
        math.log1p(newlines),
        math.log1p(below[64] - below[63]),
        math.log1p(digits),
        wide / total,
        math.log1p(below[41] - below[40]),
    )
    return [math.floor(max(-3.0, min(3.0, (value - centre) / spread)) * LARGEST / 3.0 + _TIE) for value, (centre, spread) in zip(found, _STANDARD, strict=True)]


def _signature(words: Hashes) -> tuple[int, ...]:
    """MinHash (Broder 1997) over shingles of three words: per multiplier the smallest product, its top 52 bits."""
    if not len(words):
        return ()
    shingles = words if len(words) < 3 else (words[:-2] * _STEP + words[1:-1]) * _STEP + words[2:]
    return tuple((np.minimum.reduce(shingles[:, None] * _MULTIPLIERS, axis=0) >> _12).tolist())


def _script(below: list[int]) -> str | None:
    """The script with most lead bytes; a Latin letter is one byte, so others count alike."""
    best, most = None, 0
    for name, ranges in _SCRIPTS:
        found = 0
        for low, high in ranges:
            found += below[high] - below[low]
        if found > most:
            best, most = name, found
    return best


def _language(lower: bytes) -> str | None:
    """The language most of whose function words occur in the first kilobyte, where two do and no other has as many."""
    words = set(lower[:1024].split())
    best, most, second = None, 1, 0
    for language, stops in _STOPS.items():
        found = len(stops & words)
        if found > most:
            best, most, second = language, found, most
        elif found > second:
            second = found
    return best if most > second else None
