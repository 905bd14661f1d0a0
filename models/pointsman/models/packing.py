"""Arrays of any number type as text in a snapshot: little-endian, in base64."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(array: NDArray[Any], kind: str) -> str:
    """All entries in order, as the little-endian number type named (`<f8`, `<f4`, `<f2`, `<i2`).

    >>> pack(np.array([1.0]), "<f4")
    'AACAPw=='
    """
    return base64.b64encode(np.ascontiguousarray(array).astype(kind).tobytes()).decode("ascii")


def unpack(text: str, kind: str) -> NDArray[Any]:
    """The entries that `pack` wrote, as a flat array of its own.

    >>> unpack("AACAPw==", "<f4").tolist()
    [1.0]
    """
    return np.frombuffer(base64.b64decode(text), kind).copy()
