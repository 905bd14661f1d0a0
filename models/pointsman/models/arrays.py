"""Numbers and arrays: six digits, an inner product that is the same everywhere, and symmetric matrices as text in a snapshot."""

import base64
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def dot(left: Iterable[float], right: Iterable[float]) -> float:
    """The inner product, added up from the left: `sum` compensates from Python 3.12 on, and BLAS adds in an order of its own.

    >>> dot((1e16, 1.0), (1.0, 1.0))
    1e+16
    """
    total = 0.0
    for one, other in zip(left, right, strict=True):
        total += one * other
    return total


def short(number: float) -> float:
    """A number to six significant digits, as policies publish it.

    >>> short(0.123456789)
    0.123457
    """
    return float(f"{number:.6g}")


def packed(matrix: NDArray[np.float32]) -> str:
    """The upper triangle of a symmetric matrix, little-endian float32, in base64.

    >>> packed(np.eye(2, dtype=np.float32))
    'AACAPwAAAAAAAIA/'
    """
    return base64.b64encode(matrix[np.triu_indices(len(matrix))].astype("<f4").tobytes()).decode("ascii")


def unpacked(text: str) -> NDArray[np.float32]:
    """The symmetric matrix whose triangle this is."""
    entries = np.frombuffer(base64.b64decode(text), "<f4")
    size = (math.isqrt(8 * len(entries) + 1) - 1) // 2
    matrix = np.zeros((size, size), np.float32)
    upper = np.triu_indices(size)
    matrix[upper] = entries
    matrix.T[upper] = entries
    return matrix


def doubles(array: NDArray[np.float64]) -> str:
    """All numbers of an array, little-endian float64, in base64.

    >>> doubles(np.array([1.0]))
    'AAAAAAAA8D8='
    """
    return base64.b64encode(array.astype("<f8").tobytes()).decode("ascii")


def read_doubles(text: str) -> NDArray[np.float64]:
    """The numbers that `doubles` wrote, as a flat array of its own.

    >>> float(read_doubles("AAAAAAAA8D8=")[0])
    1.0
    """
    return np.frombuffer(base64.b64decode(text), "<f8").astype(np.float64)


def singles(array: NDArray[np.float32]) -> str:
    """All numbers of an array, little-endian float32, in base64.

    >>> singles(np.ones(1, np.float32))
    'AACAPw=='
    """
    return base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")


def read_singles(text: str) -> NDArray[np.float32]:
    """The numbers that `singles` wrote, as a flat array of its own.

    >>> float(read_singles("AACAPw==")[0])
    1.0
    """
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)


def boxed(array: NDArray[Any]) -> str:
    """Any array of numbers, little-endian, in base64; who opens it knows its type and shape.

    >>> boxed(np.array([1.0, 2.0], np.float32))
    'AACAPwAAAEA='
    """
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def unbox(text: str, into: NDArray[Any]) -> None:
    """Fill an array with what `boxed` made of one like it; one of another size is a ValueError.

    >>> found = np.zeros(2, np.float32)
    >>> unbox('AACAPwAAAEA=', found)
    >>> found.tolist()
    [1.0, 2.0]
    """
    into[...] = np.frombuffer(base64.b64decode(text), into.dtype.newbyteorder("<")).reshape(into.shape)
