"""How much a track was asked for lately: the load that a fault of the track does not change, unlike the requests in flight."""

import math

SPANS_S = (10.0, 60.0, 240.0)


class Arrivals:
    """Arrivals faded over 10 s, a minute and four minutes. By Little's law a track that is twice as slow has twice as many requests in flight: beside those its
    latency would seem usual. What arrives is the same.

    >>> arrivals = Arrivals()
    >>> for second in range(1000):
    ...     arrivals.arrive(float(second))
    >>> [round(math.expm1(one)) for one in arrivals.logs(999.0)]
    [11, 61, 237]
    """

    __slots__ = ("_at", "_counts")

    def __init__(self) -> None:
        self._at = 0.0
        self._counts = [0.0] * len(SPANS_S)

    def arrive(self, now: float) -> None:
        """A request arrives."""
        self._counts = [one + 1.0 for one in self._faded(now)]
        self._at = max(now, self._at)

    def logs(self, now: float) -> tuple[float, ...]:
        """ln(1 + arrivals) of every span."""
        return tuple(math.log1p(one) for one in self._faded(now))

    def _faded(self, now: float) -> list[float]:
        gone = max(now - self._at, 0.0)
        return [one * math.exp(-gone / span) for one, span in zip(self._counts, SPANS_S, strict=True)]

    def snapshot(self) -> list[float]:
        """The state as plain values."""
        return [self._at, *self._counts]

    @classmethod
    def restore(cls, state: list[float]) -> "Arrivals":
        """The state of a snapshot."""
        made = cls()
        made._at, made._counts = state[0], list(state[1:])
        return made


__all__ = ["SPANS_S", "Arrivals"]
