"""Candidate policies: what each would have done with every logged request, as probabilities of the tracks."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.models.off_policy import Floats, Log, scores, snips
from pointsman.models.outcome_model import FOLDS, cross_fit, folds
from pointsman.schemas import AnyInput, ConfigChanged, OptimizationConfig, QualityAssessed, RequestCompleted, RequestStarted, Track
from pointsman.schemas.settings import load

from .core import Core
from .logged import EvaluationError, Recording, context_of

ALWAYS = ("logged", "random", "best", "cheapest")
_SPECS = "fixed:TRACK, logged, best, cheapest, random or a configuration FILE.toml"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy's name and its probabilities, shape (requests, tracks); `elsewhere` is the share it gave to tracks that never ran."""

    name: str
    target: Floats
    elsewhere: dict[str, float]
    is_logged: bool = False


def candidate(spec: str, recording: Recording) -> Candidate:
    """The policy that a specification names; raises `EvaluationError`, or `SettingsError` for a file that cannot be read."""
    count, arms = len(recording.requests), len(recording.tracks)
    kind, _, track = spec.partition(":")
    if kind == "fixed":
        if track not in recording.tracks:
            raise EvaluationError(f"--policy {spec}: no request of the recording ran on {track!r}; its tracks are {', '.join(recording.tracks)}")
        return Candidate(spec, one_hot(np.full(count, recording.tracks.index(track)), arms), {})
    if spec == "logged":
        return Candidate(spec, one_hot(recording.chosen, arms), {}, is_logged=True)
    if spec == "random":
        return Candidate(spec, np.full((count, arms), 1.0 / arms), {})
    if spec == "best":
        return _single(spec, recording, lambda held: _utilities(recording, held))
    if spec == "cheapest":
        return _single(spec, recording, lambda held: [-cost for cost in _costs(recording, held)])
    if spec.endswith(".toml"):
        return configured(spec, load(Path(spec)).optimization(), recording)
    raise EvaluationError(f"--policy {spec}: not a policy; give {_SPECS}")


def one_hot(places: object, arms: int) -> Floats:
    """Probability 1 at each row's place."""
    found: Floats = np.eye(arms)[np.asarray(places)]
    return found


def _single(name: str, recording: Recording, worth: Callable[[np.ndarray], list[float]]) -> Candidate:
    """The one track with the highest worth; each fold is given the track that leads on the others, so that a lucky one is not flattered."""
    fold = folds(len(recording.requests))
    picked = np.zeros(len(fold), dtype=np.int64)
    for number in range(FOLDS):
        held = fold != number if len(fold) > FOLDS else np.full(len(fold), True)
        values = worth(held)
        picked[fold == number] = values.index(max(values))
    shares = Counter(recording.tracks[place] for place in picked.tolist())
    said = ", ".join(track if count == len(picked) else f"{track} {count / len(picked):.0%}" for track, count in shares.most_common())
    return Candidate(f"{name} ({said})", one_hot(picked, len(recording.tracks)), {})


def _utilities(recording: Recording, held: np.ndarray) -> list[float]:
    """Per track the doubly robust utility of the rows held; minus infinity for a track that none of them took."""
    rows = held & ~np.isnan(_chosen(recording, "utility"))
    metric = "utility" if rows.any() else "success"
    rows = held if metric == "success" else rows
    outcome, chosen, arms = _chosen(recording, metric)[rows], recording.chosen[rows], len(recording.tracks)
    expected = cross_fit(recording.features[rows], chosen, outcome, arms)
    found = []
    for arm in range(arms):
        target = one_hot(np.full(len(outcome), arm), arms)
        log = Log.of(outcome=outcome, propensity=recording.propensity[rows], chosen=chosen, target=target, predicted=expected)
        found.append(float(scores(log).mean()) if log.weight.any() else -np.inf)
    return found


def _costs(recording: Recording, held: np.ndarray) -> list[float]:
    """Per track the weighted mean cost of the rows held; without a reported cost the declared price, and else infinity."""
    cost = _chosen(recording, "cost_usd")
    rows = held & ~np.isnan(cost)
    if not rows.any():
        raise EvaluationError("--policy cheapest: no cost is known: report cost_usd with the completions, or give prices with --config")
    found = []
    for arm in range(len(recording.tracks)):
        target = one_hot(np.full(int(rows.sum()), arm), len(recording.tracks))
        log = Log.of(outcome=cost[rows], propensity=recording.propensity[rows], chosen=recording.chosen[rows], target=target)
        estimate = snips(log)
        found.append(np.inf if estimate is None else estimate.value)
    return found


def _chosen(recording: Recording, metric: str) -> Floats:
    return recording.outcomes[metric][np.arange(len(recording.chosen)), recording.chosen]


def configured(name: str, config: OptimizationConfig, recording: Recording) -> Candidate:
    """A configuration: a core with it folds the recording, and is asked before each logged start what it would do.

    It learns from what was logged, not from its own choices; it is given the logged attempts only, and keeps its configuration.
    What it would give to tracks that never ran is shared out among the others.
    """
    if not config.tracks:
        declared = {track.name: track for track in recording.config.tracks}
        config = config.model_copy(update={"tracks": tuple(declared.get(track, Track(name=track)) for track in recording.tracks)})
    core = Core(config)
    rows = {id(request.start): row for row, request in enumerate(recording.requests)}
    chosen = {(request.start.scope, request.start.request_id): request.track for request in recording.requests}
    target = np.zeros((len(rows), len(recording.tracks)))
    elsewhere: dict[str, float] = {}
    for event in recording.events:
        if isinstance(event, ConfigChanged) or (recording.is_full and not _happened(event, chosen)):
            continue
        row = rows.get(id(event))
        if row is not None and isinstance(event, RequestStarted):
            for track, share in core.decide(event.scope, context_of(event), event.request_id).propensities.items():
                if track in recording.tracks:
                    target[row, recording.tracks.index(track)] = share
                else:
                    elsewhere[track] = elsewhere.get(track, 0.0) + share / len(rows)
        # another policy's choices teach, but are not on this one's account
        core.step(event.model_copy(update={"policy_version": None}) if isinstance(event, RequestStarted) else event)
    whole = target.sum(axis=1, keepdims=True)
    target = np.divide(target, whole, out=target, where=whole > 0.0)
    return Candidate(name, target, {track: share for track, share in elsewhere.items() if share > 0})


def _happened(event: AnyInput, chosen: dict[tuple[str, str], str]) -> bool:
    """Whether an event of a full-information recording belongs to the logged choice, or to no request."""
    if not isinstance(event, RequestStarted | RequestCompleted | QualityAssessed):
        return True
    return chosen.get((event.scope, event.request_id), event.track) == event.track


__all__ = ["ALWAYS", "Candidate", "candidate", "configured", "one_hot"]
