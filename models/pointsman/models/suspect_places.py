"""Tracks, hosts, providers and stages as suspects: by how far off they are, since when, and what their place in the graph explains."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pointsman.schemas import IncidentAlert

from .findings import Deviation, Judged
from .incident_relations import WHOLE, Call, Entity, Relations, entity_of, graph_of, key_of
from .learned_graph import stage_node
from .stage_watch import STAGE

LEAST, LARGEST = 3.0, 10.0
ALERTED, BETTER = 0.5, 0.3
UNRELATED, EXPLAINED, SHARED = 0.3, 0.8, 0.9
SOONER_S, LATER_S, SLACK_S = 600.0, 300.0, 60.0
FALLING = frozenset({"quality_score", "quality", "success", "success_share"})
TRAFFIC = frozenset({"arrival_rate", "arrivals", "requests_per_s", "rate_per_s", "input_tokens"})


class Seen(NamedTuple):
    """What is seen when suspects are ranked: the last outcomes, the series that deviate, and the calls that were learned."""

    recent: Sequence[Judged] = ()
    deviations: Sequence[Deviation] = ()
    calls: Sequence[Call] = ()


class Case(NamedTuple):
    """The incident whose cause is looked for; `usual` are requests a second by attribute value before it."""

    onset: float
    now: float
    alerts: Sequence[IncidentAlert]
    usual: Mapping[str, float]


class Strong(NamedTuple):
    """How far an entity is off, by its strongest metric: `strength` in 0..1 by the effect, whole at ten standard deviations."""

    entity: Entity
    metric: str
    strength: float
    since: float
    observed: float
    expected: float


class Placed(NamedTuple):
    """An entity with its place: `behind` of all deviation lies with it and what depends on it, `explained` by what it depends on, `callers` by name."""

    strong: Strong
    score: float
    behind: float
    explained: float
    callers: tuple[str, ...]


def strength_of(effect: float) -> float:
    """From three standard deviations on, whole at ten.

    >>> strength_of(3.0), strength_of(-10.0)
    (0.0, 1.0)
    """
    return min(math.log1p(max(abs(effect) - LEAST, 0.0)) / math.log1p(LARGEST - LEAST), 1.0)


def timeliness(since: float, onset: float) -> float:
    """1 at the onset; what began before fades within ten minutes, what began after within five."""
    return math.exp((since - onset) / SOONER_S) if since <= onset else math.exp((onset - since) / LATER_S)


def is_traffic(metric: str | None) -> bool:
    """Whether a metric is what clients send, and not what comes of it."""
    return metric in TRAFFIC


def strengths(case: Case, deviations: Iterable[Deviation]) -> dict[Entity, Strong]:
    """Every entity that is off by its strongest metric; what an alert is of is off even where no series says by how much."""
    found: list[Strong] = []
    for one in deviations:
        weight = timeliness(one.since, case.onset)
        if one.track is not None and one.host is None and one.observed != one.expected and (one.observed < one.expected) != (one.metric in FALLING):
            weight *= BETTER
        found.append(Strong(_entity(one), one.metric, weight * strength_of(one.effect), one.since, one.observed, one.expected))
    for alert in case.alerts:
        entity, metric = entity_of(alert.track, alert.host), alert.metric or alert.kind
        found.append(Strong(entity, metric, ALERTED * timeliness(alert.since, case.onset), alert.since, alert.observed, alert.expected))
    best: dict[Entity, Strong] = {}
    for strong in sorted(found, key=lambda one: (-round(one.strength, 9), one.since, one.metric)):
        if not is_traffic(strong.metric) and strong.entity != WHOLE and strong.strength > 0.0:
            best.setdefault(strong.entity, strong)
    return best | _stages(best)


def _stages(best: Mapping[Entity, Strong]) -> dict[Entity, Strong]:
    """Stages by their share among those of their track that are off: where all are, it is the track."""
    found = {}
    for entity, strong in best.items():
        if entity.kind == "stage":
            beside = [one.strength for other, one in best.items() if other.kind == "stage" and _track_of(other) == _track_of(entity)]
            found[entity] = strong._replace(strength=strong.strength**2 / math.fsum(beside))
    return found


def _track_of(stage: Entity) -> str:
    return stage.name.rsplit("/", 1)[0]


def _entity(one: Deviation) -> Entity:
    """What a series that is off is of; a stage's is the stage's, by its name in the learned graph."""
    if one.track is not None and one.metric.startswith(STAGE):
        return Entity("stage", stage_node(one.track, one.metric.removeprefix(STAGE)))
    return entity_of(one.track, one.host)


def placed(case: Case, seen: Seen, relations: Relations) -> list[Placed]:
    """The entities that are off, and those that only explain several that are, each by its place in the graph."""
    own = strengths(case, seen.deviations)
    tracks = {Entity("track", judged.track) for judged in seen.recent}
    edges = relations.edges({*own, *tracks}, seen.calls)
    every = own | _shared(own, edges)
    graph = graph_of(every, edges)
    held = {key_of(one): strong.strength for one, strong in own.items()}
    total = math.fsum(held.values()) or 1.0
    behind, alerted = graph.behind(held), {entity_of(alert.track, alert.host) for alert in case.alerts}
    found = []
    for entity, strong in every.items():
        reach = 1.0 if entity.kind == "stage" or any(relations.closeness(entity, other, seen.calls) for other in sorted(alerted)) else UNRELATED
        explained = _explained(strong, [every[callee] for caller, callee in edges if caller == entity and callee in every])
        share = behind[key_of(entity)] / total
        callers = tuple(sorted(caller.name for caller, callee in edges if callee == entity and caller in own))
        found.append(Placed(strong, strong.strength * reach * share * (1.0 - EXPLAINED * explained), share, explained, callers))
    return found


def _explained(strong: Strong, callees: Iterable[Strong]) -> float:
    """How much of it what it depends on explains; what began later only half."""
    weights = [one.strength * (1.0 if one.since <= strong.since + SLACK_S else 0.5) for one in callees]
    return min(max(weights, default=0.0) / strong.strength, 1.0)


def _shared(own: Mapping[Entity, Strong], edges: Iterable[tuple[Entity, Entity]]) -> dict[Entity, Strong]:
    """What has no series that is off, and on which two or more that are off depend: as strong as they are on average, the ones in order included."""
    callers: dict[Entity, list[Entity]] = {}
    for caller, callee in edges:
        if callee not in own and caller.kind == "track":
            callers.setdefault(callee, []).append(caller)
    found = {}
    for entity, dependent in callers.items():
        off = [own[one] for one in dependent if one in own]
        if len(off) >= 2:
            strength = SHARED * math.fsum(one.strength for one in off) / len(dependent)
            first = min(off, key=lambda one: (one.since, one.entity))
            found[entity] = Strong(entity, first.metric, strength, first.since, first.observed, first.expected)
    return found


__all__ = ["TRAFFIC", "Case", "Placed", "Seen", "Strong", "is_traffic", "placed", "strength_of", "timeliness"]
