"""What is known of a request before it is sent, as the vector x that predictions of value and cost are linear in."""

import math
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.schemas import Sketch

from .sketch import BLOCKS, DENSE, LARGEST
from .sketch import FEATURES as SKETCHED

OWN = ("log_input_tokens", "log_max_output_tokens", "category_a", "category_b", "attribute_a", "attribute_b", "attribute_c", "attribute_d", "constant")
FEATURES: tuple[str, ...] = (*(f"{block}_{place}" for block, size in BLOCKS.items() for place in range(size)), *DENSE, *OWN)
SIZE = len(FEATURES)
CONSTANT = SIZE - 1
LENGTH = FEATURES.index("log_input_tokens")
FEATURES_NAME = f"pointsman-{SIZE}/1"

Vector = NDArray[np.float64]

_WEIGHTS = {"words": 0.4, "byte_4grams": 0.4, "head_words": 0.58, "tail_words": 0.58}
_SCALE = np.concatenate([*(np.full(size, _WEIGHTS[block] / LARGEST) for block, size in BLOCKS.items()), np.full(len(DENSE), 0.2 * 3.0 / LARGEST)])
_NOTHING = np.zeros(SKETCHED)


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a request before it is sent. `features` are the sketch's, one signed byte each; `previous` the conversation's last track,
    `running` how many requests are in flight on which track, where that is known better than the policy has it."""

    input_tokens: int | None = None
    max_output_tokens: int | None = None
    category: str | None = None
    features: bytes = b""
    attributes: bytes = b""
    previous: str | None = None
    running: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(
        cls,
        input_tokens: int | None,
        max_output_tokens: int | None,
        category: str | None,
        sketch: Sketch | None = None,
        attributes: Mapping[str, Any] | None = None,
        previous: str | None = None,
        running: Mapping[str, int] | None = None,
    ) -> Self:
        """The context of these fields of a request; the category is the sketch's where none is given."""
        flying = tuple(running.items()) if running else ()
        if sketch is None:
            return cls(input_tokens, max_output_tokens, category, b"", _hashed(attributes), previous, flying)
        features = array("b", sketch.features).tobytes()
        tokens = sketch.tokens if input_tokens is None else input_tokens
        return cls(tokens, max_output_tokens, category if category is not None else sketch.category, features, _hashed(attributes), previous, flying)

    def vector(self) -> Vector:
        """The vector x of `FEATURES`, each group of order one; a category is hashed to a sign on two places, attributes to four."""
        x = np.empty(SIZE)
        x[:SKETCHED] = np.frombuffer(self.features, np.int8) * _SCALE if len(self.features) == SKETCHED else _NOTHING
        own = [math.log1p(self.input_tokens or 0) / 8.0, math.log1p(self.max_output_tokens or 0) / 8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
        if self.category is not None:
            bits = zlib.crc32(self.category.encode("utf-8", "replace"))
            own[2] = 0.3 if bits & 1 else -0.3
            own[3] = 0.3 if bits & 2 else -0.3
        for place, value in enumerate(self.attributes):
            own[4 + place] = (value - 128) / 64.0
        x[SKETCHED:] = own
        return x

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.input_tokens, self.max_output_tokens, self.category, self.features.hex(), self.attributes.hex(), self.previous]

    @classmethod
    def restore(cls, state: list[Any]) -> Self:
        """The context that left this snapshot."""
        return cls(state[0], state[1], state[2], bytes.fromhex(state[3]), bytes.fromhex(state[4]), state[5])


def _hashed(attributes: Mapping[str, Any] | None) -> bytes:
    """Four bytes around 128: a text adds a sign at a place of its own, a number the logarithm of its size at its name's place."""
    if not attributes:
        return b""
    sums = [0.0] * 4
    for name, value in sorted(attributes.items()):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        bits = zlib.crc32((name if is_number else f"{name}={value}").encode("utf-8", "replace"))
        size = math.copysign(min(math.log1p(abs(value)) / 4.0, 4.0), value) if is_number else 1.0
        sums[bits & 3] += 0.3 * (size if bits & 4 else -size)
    return bytes(max(0, min(255, 128 + round(64.0 * total))) for total in sums)
