"""What has to do with what in a scope: tracks, the hosts and providers they run on, stages, and calls, configured or learned."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from pointsman.schemas import OptimizationConfig, Track

from .call_graph import CallGraph

Place = Literal["track", "host", "provider", "stage", "scope"]
Call = tuple[str, str]


class Entity(NamedTuple):
    """What an alert or a deviation is of; a series of the whole scope is of `("scope", "")`."""

    kind: Place
    name: str


WHOLE = Entity("scope", "")


def entity_of(track: str | None, host: str | None) -> Entity:
    """What something with this track or host is of."""
    if host is not None:
        return Entity("host", host)
    return Entity("track", track) if track is not None else WHOLE


class Relations:
    """Local tracks run on every sampled host, a track on the host of its name and at its provider; the rest is in calls (caller, callee)."""

    def __init__(self, config: OptimizationConfig) -> None:
        self._tracks = {track.name: track for track in config.tracks}
        self._calls = tuple(config.signals.calls)

    def provider(self, track: str) -> str | None:
        """Who serves a track, where that is configured."""
        found = self._tracks.get(track)
        return found.provider if found is not None else None

    def runs_on(self, track: str, host: str) -> bool:
        """Whether what happens on a host happens to a track."""
        return (self._tracks.get(track) or Track(name=track)).is_local or track == host

    def edges(self, entities: Iterable[Entity], calls: Sequence[Call] = ()) -> list[tuple[Entity, Entity]]:
        """Who depends on whom among these, with what calls name beside them; the dependent one first."""
        known = sorted(set(entities))
        tracks = [one for one in known if one.kind == "track"]
        found = [(track, one) for track in tracks for one in known if one.kind == "host" and self.runs_on(track.name, one.name)]
        for track in tracks:
            provider = self.provider(track.name)
            if provider is not None:
                found.append((track, Entity("provider", provider)))
        for caller, callee in dict.fromkeys((*self._calls, *calls)):
            found += [(one, other) for one in _named(caller, known) for other in _named(callee, known)]
        return list(dict.fromkeys(edge for edge in found if edge[0] != edge[1]))

    def closeness(self, one: Entity, other: Entity, calls: Sequence[Call] = ()) -> int:
        """0 unrelated, 1 one of them is the whole scope, 2 one depends on the other or both on one provider or host, 3 the same."""
        if one == other:
            return 3
        if WHOLE in (one, other):
            return 1
        if one.kind == other.kind == "track" and (provider := self.provider(one.name)) is not None and provider == self.provider(other.name):
            return 2
        graph = CallGraph((), [(key_of(a), key_of(b)) for a, b in self.edges((one, other), calls)])
        return 2 if key_of(other) in graph.depths(key_of(one)) or key_of(one) in graph.depths(key_of(other)) else 0


def graph_of(entities: Iterable[Entity], edges: Iterable[tuple[Entity, Entity]]) -> CallGraph:
    """The call graph of these, by their keys."""
    return CallGraph([key_of(one) for one in entities], [(key_of(caller), key_of(callee)) for caller, callee in edges])


def key_of(entity: Entity) -> str:
    """The name of an entity in a graph."""
    return f"{entity.kind} {entity.name}"


def _named(name: str, known: Sequence[Entity]) -> list[Entity]:
    return [one for one in known if one.name == name and one.kind != "scope"] or [Entity("stage", name)]


__all__ = ["WHOLE", "Call", "Entity", "Relations", "entity_of", "graph_of", "key_of"]
