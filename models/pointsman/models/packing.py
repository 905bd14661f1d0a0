"""Arrays of any number type as text in a snapshot: little-endian, in base64."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(array: NDArray[Any], kind: str | None = None) -> str:
    """All entries in order, as the little-endian number type named (`<f8`, `<f4`, `<f2`, `<i2`), else as their own.

    >>> pack(np.array([1.0]), "<f4"), pack(np.array([1.0, 2.0], np.float32))
    ('AACAPw==', 'AACAPwAAAEA=')
    """
    return base64.b64encode(array.astype(kind or array.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def unpack(text: str, kind: str) -> NDArray[Any]:
    """The entries that `pack` wrote, as a flat array of its own.

    >>> unpack("AACAPw==", "<f4").tolist()
    [1.0]
    """
    return np.frombuffer(base64.b64decode(text), kind).copy()


def unpack_into(text: str, array: NDArray[Any]) -> None:
    """Fill an array with what `pack` made of one like it; one of another size is a ValueError.

    >>> found = np.zeros(2, np.float32)
    >>> unpack_into("AACAPwAAAEA=", found)
    >>> found.tolist()
    [1.0, 2.0]
    """
    array[...] = np.frombuffer(base64.b64decode(text), array.dtype.newbyteorder("<")).reshape(array.shape)
