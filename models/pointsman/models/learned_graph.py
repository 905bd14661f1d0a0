"""Who calls whom, learned: tracks call their stages and run on hosts, and a request that runs within another of its trace was called by it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .traces import Span, called

MOST_EDGES = 512
FORGOTTEN_S = 7 * 86_400.0
SURE = 3
AGREEMENT = 0.9
STAGE, HOST, CALL = "stage", "host", "call"

Edge = tuple[str, str]


def stage_node(track: str, stage: str) -> str:
    """The name of a track's stage in the graph."""
    return f"{track}/{stage}"


class Noted(NamedTuple):
    """How often an edge was seen and contradicted, when it was seen last, and of what it was learned."""

    times: int
    contradicted: int
    last: float
    kind: str

    @property
    def is_sure(self) -> bool:
        """Whether it is told."""
        return self.times >= SURE and self.times >= AGREEMENT * (self.times + self.contradicted)


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
        self.seen: dict[Edge, Noted] = {}
        self.evicted = 0

    def staged(self, track: str, stages: Iterable[str], at: float) -> None:
        """A request of this track went through these stages."""
        for stage in stages:
            self._note((track, stage_node(track, stage)), at, SURE, STAGE)

    def served(self, host: str, tracks: Iterable[str], at: float) -> None:
        """These tracks run on this host."""
        for track in tracks:
            if track != host:
                self._note((track, host), at, SURE, HOST)

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
                        noted = self.seen[pair]
                        self.seen[pair] = noted._replace(contradicted=noted.contradicted + 1)

    def _pair(self, caller: str, callee: str, at: float) -> None:
        if caller != callee:
            self._note((caller, callee), at, 1, CALL)

    def _note(self, edge: Edge, at: float, count: int, kind: str) -> None:
        times, contradicted, last, _ = self.seen.pop(edge, (0, 0, at, kind))
        self.seen[edge] = Noted(times + count, contradicted, max(at, last), kind)
        if len(self.seen) > MOST_EDGES:
            del self.seen[next(iter(self.seen))]
            self.evicted += 1

    def advance(self, now: float) -> None:
        """Forget what was not seen for seven days."""
        self.seen = {edge: found for edge, found in self.seen.items() if found.last > now - FORGOTTEN_S}

    def edges(self, configured: Iterable[Edge] = ()) -> list[Edge]:
        """The configured edges, then those learned, by name; what a track's stages take is the hosts' matter, too."""
        sure = {edge: one.kind for edge, one in self.seen.items() if one.is_sure}
        hosts = [edge for edge, kind in sure.items() if kind == HOST]
        below = [(stage, host) for track, host in hosts for (other, stage), kind in sure.items() if kind == STAGE and other == track]
        return list(dict.fromkeys((*configured, *sorted([*sure, *below]))))

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.evicted, [[*edge, *found] for edge, found in self.seen.items()]]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self.evicted, rows = state
        self.seen = {(caller, callee): Noted(*found) for caller, callee, *found in rows}


__all__ = ["Edge", "LearnedGraph", "stage_node"]
