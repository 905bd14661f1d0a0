"""Models of a track that have a life of their own, as members of its metrics' ensembles: requests alike, and the engine."""

import math
from typing import Any

from .keyed import Kept, Keyed
from .members import Said, View

_SMALLEST = 1e-9


class FromKeyed:
    """What requests alike had (`Keyed`)."""

    name = "keyed"
    prior = 0.02

    def __init__(self, plain: bool = False) -> None:
        self._plain = plain
        self.keyed = Keyed(plain)

    def predict(self, view: View) -> Said | None:
        """The median of those alike, corrected; the track's own before there are any."""
        if view.situation is None:
            return None
        if view.is_question:
            median = self.keyed.peek(view.situation)
            return Said(view.centre if median is None else math.log(max(median, _SMALLEST)))
        kept = self.keyed.predict(view.situation)
        return Said(view.centre if kept.median is None else math.log(max(kept.median, _SMALLEST)), kept)

    def learn(self, view: View, said: Said | None, log: float) -> None:
        """Learn from what was kept; one that was not asked learns nothing."""
        if said is not None:
            self.keyed.learn(said.kept if isinstance(said.kept, Kept) else Kept.read(said.kept), math.exp(log))

    def snapshot(self) -> Any:
        """The state as plain values."""
        return self.keyed.snapshot()

    def restore(self, state: Any) -> None:
        """Take up the state of a snapshot."""
        self.keyed = Keyed.restore(state, self._plain)


def plainly() -> FromKeyed:
    """For a metric that is learned as it is: quality."""
    return FromKeyed(plain=True)


class FromEngine:
    """What the physics of the track's engine say; it learns by itself, from every request of the track."""

    name = "engine"
    prior = 0.02

    def predict(self, view: View) -> Said | None:
        """What the engine said as the request started."""
        return None if view.engine is None else Said(view.engine)

    def learn(self, view: View, said: Said | None, log: float) -> None:
        """Nothing: the engine was told."""

    def snapshot(self) -> Any:
        """Nothing is kept."""
        return None

    def restore(self, state: Any) -> None:
        """Nothing is kept."""
