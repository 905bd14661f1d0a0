"""What a topic has twice: a worker that crashed publishes again what came after its last snapshot, byte for byte the same."""

from collections import deque


class Repeats:
    """Knows the newest outputs by a 64-bit hash of their bytes; 65,536 of them take 5 MB.

    >>> repeats = Repeats(most=2)
    >>> [repeats.has(value) for value in (b"a", b"b", b"a", b"c", b"a")]
    [False, False, True, False, False]
    """

    def __init__(self, most: int = 65_536) -> None:
        self._most = most
        self._hashes: set[int] = set()
        self._order: deque[int] = deque()

    def has(self, value: bytes) -> bool:
        """Whether this came before; from here on it did."""
        found = hash(value)
        if found in self._hashes:
            return True
        self._hashes.add(found)
        self._order.append(found)
        if len(self._order) > self._most:
            self._hashes.remove(self._order.popleft())
        return False


__all__ = ["Repeats"]
