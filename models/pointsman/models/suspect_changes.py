"""Changes as suspects: what was changed shortly before the onset, and is not changed all the time."""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from pointsman.schemas import Suspect

from .findings import Change

FADES_S, AFTER_S, LONGEST_S, LATEST_S = 300.0, 20.0, 1800.0, 60.0
STRONGEST = 0.95
HOUR_S = 3600.0


class Near(NamedTuple):
    """A change with its score (0..1), `ahead_s` before the onset."""

    change: Change
    score: float
    ahead_s: float


def near(changes: Sequence[Change], onsets: Sequence[float], tracks: Collection[str], failing: Collection[str]) -> list[Near]:
    """The changes that may be the cause, the strongest first; of several estimates of the onset, the earliest first, the one that fits best counts.

    A change fits where it is of all tracks or of one of `tracks`. It counts whole at the onset and fades with a time constant of five minutes before it; an
    onset is an estimate, so that for some seconds after it there is something left. It counts as much less as it is likely that one of its kind, by their
    rate in the hour before, is as near by chance, and as some of the trouble began well before it. An ejection follows failures of its own track; it may be
    the cause on others, and only before the onset.
    """
    found = []
    for change in changes:
        ahead = min((onset - change.at for onset in onsets), key=_cost)
        if not (-LATEST_S <= ahead <= LONGEST_S) or not _fits(change, ahead, tracks, failing):
            continue
        nearness = math.exp(-_cost(ahead))
        by_chance = 1.0 - math.exp(-_others(changes, change) / HOUR_S * (2.0 * abs(ahead) + AFTER_S))
        found.append(Near(change, STRONGEST * nearness * (1.0 - by_chance) * _explained(change, onsets), ahead))
    return sorted(_latest(found), key=lambda one: (-round(one.score, 9), one.change.at, one.change.kind, one.change.name))


def _cost(ahead: float) -> float:
    """How far a change is from an onset, in time constants."""
    return ahead / FADES_S if ahead >= 0.0 else -ahead / AFTER_S


def _explained(change: Change, onsets: Sequence[float]) -> float:
    """Which share of what is off began no more than the slack before a change; all of it where the trouble as a whole did."""
    return 1.0 if change.at <= onsets[0] + AFTER_S else sum(onset >= change.at - AFTER_S for onset in onsets) / len(onsets)


def _fits(change: Change, ahead: float, tracks: Collection[str], failing: Collection[str]) -> bool:
    if change.kind == "ejection":
        return ahead > 0.0 and change.track not in failing and change.track not in tracks
    return change.track is None or not tracks or change.track in tracks


def _others(changes: Iterable[Change], change: Change) -> int:
    """How many more of its kind there were within the hour before it."""
    return sum(one.kind == change.kind and one.name != change.name and change.at - HOUR_S <= one.at < change.at for one in changes)


def _latest(found: Iterable[Near]) -> list[Near]:
    """Of changes with one kind and name the strongest."""
    best: dict[tuple[str, str], Near] = {}
    for one in found:
        key = (one.change.kind, one.change.name)
        if key not in best or one.score > best[key].score:
            best[key] = one
    return list(best.values())


def taken_back(suspects: Sequence[Suspect], changes: Sequence[Change], ended: float) -> tuple[Suspect, ...]:
    """The suspects of an incident that is over: of a change, that another of its kind, on its track, came shortly before the end."""
    return tuple(_taken_back(suspect, changes, ended) for suspect in suspects)


def _taken_back(suspect: Suspect, changes: Sequence[Change], ended: float) -> Suspect:
    if suspect.kind not in ("configuration", "version"):
        return suspect
    since = max(suspect.since or 0.0, ended - LONGEST_S)
    later = [one for one in changes if one.kind == suspect.kind and one.track == suspect.track and one.name != suspect.name and since < one.at <= ended]
    if not later:
        return suspect
    said = f"{suspect.evidence}; then {later[-1].said}, {ended - later[-1].at:.0f} s before the end"
    return suspect.model_copy(update={"evidence": said})


__all__ = ["Near", "near", "taken_back"]
