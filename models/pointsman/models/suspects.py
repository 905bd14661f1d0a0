"""Who is suspected of an incident: places, attribute values, traffic and changes on one scale, each with its evidence in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from pointsman.schemas import Suspect, SuspectKind

from .contrast import Contrast, contrasts, growth, values_of
from .deployments import KEYS
from .findings import Change, Deviation, Judged
from .incident_blast import is_concerned
from .incident_relations import Relations
from .incident_words import amount, clock_time
from .suspect_changes import Near, near
from .suspect_places import Case, Placed, Seen, is_traffic, placed, strength_of, timeliness

EXPLAINED = 0.8
LEAST = 0.05
MOST = 5
BOTH_ALIKE = 0.3
FEWEST_BESIDE = 10
GROWN = 0.95
MORE = 1.25
ALIKE = 0.5
TELLING = ("anomaly", "drift", "slo_burn")


def rank(case: Case, seen: Seen, changes: Sequence[Change], relations: Relations) -> list[Suspect]:
    """The five most suspected, first the most; scores in 0..1.

    A place has its effect, by the order of onset, by what depends on it, less what it depends on explains. What explains from outside (an attribute value, more
    traffic, a change) takes away from every place, the value from the traffic and the changes, too.
    """
    places = placed(case, seen, relations)
    tracks = _tracks(case, places, relations)
    rows = [judged for judged in seen.recent if judged.track in tracks]
    metrics = {alert.metric for alert in case.alerts if alert.metric is not None}
    values = contrasts(rows, case.onset, case.usual, metrics)
    grown = _traffic(case, seen)
    growing = growth(seen.recent, case.onset, case.now, case.usual) if grown is not None else []
    failing = {one.strong.entity.name for one in places if one.strong.entity.kind == "track" and one.strong.metric in ("error", "error_share", "success")}
    changed = _told_apart(near(changes, _onsets(case), tracks, failing), rows, case.onset, values)
    by_value = max([*(one.score for one in values), *(GROWN * share for _, share, _ in growing)], default=0.0)
    ejected = max((one.score for one in changed if one.change.kind == "ejection"), default=0.0)
    found = [_of_value(value, case) for value in values]
    by_traffic = 0.0
    if grown is not None:
        strength = strength_of(grown.effect) * timeliness(grown.since, case.onset)
        by_traffic = strength * (1.0 - EXPLAINED * max(by_value, ejected))
        found += [_of_growth(*one, strength, grown) for one in growing]
        found.append(_of_traffic(grown, by_traffic))
    found += [_of_change(one, one.score * (1.0 if one.change.kind == "version" else 1.0 - EXPLAINED * by_value)) for one in changed]
    outside = max([by_value, by_traffic, *(one.score for one in changed)])
    found += [_of_place(place, place.score * (1.0 - EXPLAINED * outside)) for place in places]
    told: dict[tuple[str, str], Suspect] = {}
    for suspect in found:
        _add(told, suspect)
    ranked = sorted((one for one in told.values() if one.score >= LEAST), key=lambda one: (-one.score, one.since or 0.0, one.kind, one.name))
    return ranked[:MOST]


def _onsets(case: Case) -> list[float]:
    """The estimates of the onset, the earliest first: the incident's, and those of the alerts that began later."""
    return [case.onset, *sorted(alert.since for alert in case.alerts if alert.since > case.onset and alert.kind in TELLING)]


def _add(told: dict[tuple[str, str], Suspect], suspect: Suspect) -> None:
    """Of two findings on one suspect the stronger."""
    key = (suspect.kind, suspect.name)
    if key not in told or suspect.score > told[key].score:
        told[key] = suspect


def _tracks(case: Case, places: Sequence[Placed], relations: Relations) -> set[str]:
    """The tracks that the incident is on: those of its alerts, and those that are off and depend on its hosts; all that are off where it is of the scope."""
    alerted = {alert.track for alert in case.alerts if alert.track is not None}
    hosts = {alert.host for alert in case.alerts if alert.host is not None}
    off = {one.strong.entity.name for one in places if one.strong.entity.kind == "track"}
    if not alerted and not hosts:
        return off
    return alerted | {track for track in off if any(relations.runs_on(track, host) for host in hosts)}


def _traffic(case: Case, seen: Seen) -> Deviation | None:
    """The strongest growth of what clients send, by a quarter or more; anything else of it only where nothing else was alerted."""
    is_all = all(is_traffic(alert.metric) for alert in case.alerts)
    found = [one for one in seen.deviations if is_traffic(one.metric) and (is_all or one.observed >= MORE * one.expected) and strength_of(one.effect) > 0.0]
    return max(found, key=lambda one: (strength_of(one.effect) * timeliness(one.since, case.onset), -one.since, one.metric, one.track or ""), default=None)


def _told_apart(changed: Sequence[Near], rows: Sequence[Judged], onset: float, values: Sequence[Contrast]) -> list[Near]:
    """A version that requests can be told apart by does not explain what those without it have as well; one that shows in them counts at least as a value."""
    showing: Mapping[str, float] = {value.name: value.score for value in values}
    since = [row for row in rows if row.at >= onset]
    found = []
    for one in changed:
        if one.change.kind == "version":
            shown = showing.get(one.change.name, 0.0)
            one = one._replace(score=max(one.score, shown) if shown or not _are_alike(one.change.name, since) else one.score * BOTH_ALIKE)
        found.append(one)
    return found


def _are_alike(version: str, rows: Iterable[Judged]) -> bool:
    """Whether requests with other versions are about as often off as those with this one, as far as there are enough of both."""
    off: dict[bool, list[bool]] = {True: [], False: []}
    for row in rows:
        off[version in values_of(row)].append(is_concerned(row))
    fewest = min(len(some) for some in off.values())
    return fewest >= FEWEST_BESIDE and ALIKE * sum(off[True]) / len(off[True]) <= sum(off[False]) / len(off[False])


def _of_value(value: Contrast, case: Case) -> Suspect:
    key, _, name = value.name.partition("=")
    kind: SuspectKind = "category" if not key else "version" if key in KEYS else "attribute"
    before = f", {100.0 * value.usual_share:.0f} % before" if value.usual_share == value.usual_share else ""
    said = (
        f"its requests ({100.0 * value.share:.0f} % since the onset{before}) are {value.inside:.1f} standard deviations off in {value.metric}, "
        f"others {value.outside:.1f}; {100.0 * value.coverage:.0f} % of all that is off is theirs"
    )
    return Suspect(kind=kind, name=(value.name if key else name)[:256], metric=value.metric, score=_score(value.score), since=case.onset, evidence=said)


def _of_growth(name: str, share: float, times: float, strength: float, grown: Deviation) -> Suspect:
    key, _, value = name.partition("=")
    kind: SuspectKind = "attribute" if key else "category"
    said = f"sends {times:.1f} x as many requests as before: {100.0 * share:.0f} % of the growth"
    return Suspect(kind=kind, name=name if key else value, metric=grown.metric, score=_score(GROWN * share * strength), since=grown.since, evidence=said)


def _of_traffic(grown: Deviation, score: float) -> Suspect:
    said = f"{grown.metric} is {amount(grown.observed)} where {amount(grown.expected)} is usual, since {clock_time(grown.since)}"
    return Suspect(kind="traffic", name=grown.track or "all", track=grown.track, metric=grown.metric, score=_score(score), since=grown.since, evidence=said)


def _of_change(one: Near, score: float) -> Suspect:
    change = one.change
    when = f"{one.ahead_s:.0f} s before the onset" if one.ahead_s >= 0.5 else "at the onset" if one.ahead_s > -0.5 else f"{-one.ahead_s:.0f} s after the onset"
    return Suspect(kind=change.kind, name=change.name[:256], track=change.track, score=_score(score), since=change.at, evidence=f"{change.said}, {when}")


def _of_place(place: Placed, score: float) -> Suspect:
    strong = place.strong
    kind, name = cast(SuspectKind, strong.entity.kind), strong.entity.name
    said = f"{strong.metric} is {amount(strong.observed)} where {amount(strong.expected)} is usual, since {clock_time(strong.since)}"
    if place.callers:
        said += f"; {', '.join(place.callers)} depend{'s' if len(place.callers) == 1 else ''} on it"
    if place.explained >= 0.5:
        said += "; what it depends on is off, too"
    track = name if kind == "track" else None
    return Suspect(kind=kind, name=name, track=track, metric=strong.metric[:256], score=_score(score), since=strong.since, evidence=said)


def _score(score: float) -> float:
    return round(min(max(score, 0.0), 1.0), 6)


__all__ = ["rank"]
