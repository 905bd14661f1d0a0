"""Who calls whom, learned: tracks call their stages and run on hosts, and a request that runs within another of its trace was called by it."""

from collections.abc import Iterable
from typing import Any

from .traces import Span, called

MOST_EDGES = 512
FORGOTTEN_S = 7 * 86_400.0
SURE = 3
AGREEMENT = 0.9

Edge = tuple[str, str]


def stage_node(track: str, stage: str) -> str:
    """The name of a track's stage in the graph."""
    return f"{track}/{stage}"


class LearnedGraph:
    """Edges caller → callee, each with how often it was seen, how often that was contradicted, and when it was seen last.

    Of stages and hosts once is enough, since they are told; of traces an edge is told after three times, and only where nine in ten of the times that both ran
    at once the callee ran within the caller: siblings that one happens to outlast are none. The 512 edges seen last are kept, for seven days.

    >>> graph = LearnedGraph()
    >>> graph.staged("gpu", ["queue", "model"], at=0.0)
    >>> graph.edges([("web", "gpu")])
    [('web', 'gpu'), ('gpu', 'gpu/model'), ('gpu', 'gpu/queue')]
    """

    def __init__(self) -> None:
        self.seen: dict[Edge, list[float]] = {}
        self.evicted = 0

    def staged(self, track: str, stages: Iterable[str], at: float) -> None:
        """A request of this track went through these stages."""
        for stage in stages:
            self._note((track, stage_node(track, stage)), at, SURE)

    def served(self, host: str, tracks: Iterable[str], at: float) -> None:
        """These tracks run on this host."""
        for track in tracks:
            if track != host:
                self._note((track, host), at, SURE)

    def traced(self, span: Span, others: Iterable[Span], at: float) -> None:
        """A request is over, and these of its trace were over before."""
        known = list(others)
        direct = called(span, known)
        for inner in direct:
            self._pair(span.node, inner.node, at)
        around = sorted((other for other in known if other.holds(span)), key=lambda one: (one.end - one.start, one.node))
        if around:
            self._pair(around[0].node, span.node, at)
        for other in known:
            if span.overlaps(other) and not span.holds(other) and not other.holds(span):
                for pair in ((span.node, other.node), (other.node, span.node)):
                    if pair in self.seen:
                        self.seen[pair][1] += 1.0

    def _pair(self, caller: str, callee: str, at: float) -> None:
        if caller != callee:
            self._note((caller, callee), at, 1.0)

    def _note(self, edge: Edge, at: float, count: float) -> None:
        times, contradicted, last = self.seen.pop(edge, (0.0, 0.0, at))
        self.seen[edge] = [times + count, contradicted, max(at, last)]
        if len(self.seen) > MOST_EDGES:
            del self.seen[next(iter(self.seen))]
            self.evicted += 1

    def advance(self, now: float) -> None:
        """Forget what was not seen for seven days."""
        self.seen = {edge: found for edge, found in self.seen.items() if found[2] > now - FORGOTTEN_S}

    def edges(self, configured: Iterable[Edge] = ()) -> list[Edge]:
        """The configured edges, then those learned, by name."""
        learned = [edge for edge, (times, contradicted, _) in self.seen.items() if times >= SURE and times >= AGREEMENT * (times + contradicted)]
        return list(dict.fromkeys((*configured, *sorted(learned))))

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.evicted, [[*edge, *found] for edge, found in self.seen.items()]]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self.evicted, rows = state
        self.seen = {(caller, callee): found for caller, callee, *found in rows}


__all__ = ["Edge", "LearnedGraph", "stage_node"]
