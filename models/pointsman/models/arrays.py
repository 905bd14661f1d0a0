"""Numbers and arrays: six digits, sums and inner products that are the same everywhere, and symmetric matrices as text in a snapshot."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack


def dot(left: Iterable[float], right: Iterable[float]) -> float:
    """The inner product, added up from the left: `sum` compensates from Python 3.12 on, and BLAS adds in an order of its own.

    >>> dot((1e16, 1.0), (1.0, 1.0))
    1e+16
    """
    total = 0.0
    for one, other in zip(left, right, strict=True):
        total += one * other
    return total


def added(values: Iterable[float]) -> float:
    """The sum from the left, for the same reason.

    >>> added((1e16, 1.0, -1e16))
    0.0
    """
    total = 0.0
    for one in values:
        total += one
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
    return pack(matrix[np.triu_indices(len(matrix))], "<f4")


def unpacked(text: str) -> NDArray[np.float32]:
    """The symmetric matrix whose triangle this is."""
    entries = unpack(text, "<f4")
    size = (math.isqrt(8 * len(entries) + 1) - 1) // 2
    matrix = np.zeros((size, size), np.float32)
    upper = np.triu_indices(size)
    matrix[upper] = entries
    matrix.T[upper] = entries
    return matrix
