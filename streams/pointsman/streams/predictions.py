"""Predictions in the core: what every request is told, how the models do, and whether their intervals can be trusted."""

from collections.abc import Container, Iterator
from typing import Any, NamedTuple

from pointsman.models.backing import Backing
from pointsman.models.context import Context
from pointsman.models.engine_gauges import recognised
from pointsman.models.join import Attempt
from pointsman.models.named import ModelRefusedError, check
from pointsman.models.predictor import Predictor
from pointsman.models.situation import Situation
from pointsman.models.track import TrackState
from pointsman.schemas import ModelReport, OptimizationConfig, Reason, RequestStarted, ResourceSampled

REPORT_S = 60.0
ENOUGH = 20
BACK = 0.01  # how far back within 86-94 % a coverage has to be for its alert to end


def refusal(config: OptimizationConfig) -> Reason | None:
    """Why this configuration can't be taken up, if so: a model that it names can't be used, or is for a track that isn't there."""
    names = {track.name for track in config.tracks}
    for choice in config.models:
        if names and choice.track is not None and choice.track not in names:
            known = ", ".join(sorted(names))
            return Reason(code="unknown_track", message=f"models: {choice.model} is for track {choice.track!r}, which is not configured: use one of {known}")
        try:
            check(choice)
        except ModelRefusedError as error:
            return Reason(code="unusable_model", message=f"models: {error}"[:2000])
    for objective in config.objectives:
        if names and objective.track is not None and objective.track not in names:
            known = ", ".join(sorted(names))
            return Reason(code="unknown_track", message=f"objectives: {objective.name} is of a track that is not configured: use one of {known}")
    return None


class Finding(NamedTuple):
    """One thing that an alert is raised or resolved by."""

    fingerprint: str
    observed: float
    expected: float
    is_broken: bool


class Predictions:
    """What of the predictions belongs to the scope and not to one track."""

    def __init__(self, config: OptimizationConfig) -> None:
        self.config = config
        self.reported: dict[str, list[Any]] = {}
        self.backing = Backing()

    def attempt(self, event: RequestStarted, context: Context, track: TrackState, pressure: float, now: float, *, is_new: bool) -> Attempt:
        """A request that goes to a track, with everything that is said of it."""
        situation = track.situation(context, pressure, now, event.attributes)
        x, sayings = track.outlook.issue(event.request_id, situation, is_new=is_new)
        timeouts = track.issue_timeouts(track.outlook.logs(sayings))
        attempt = Attempt(track.name, event.occurred_at, context, x, sayings, timeouts, event.policy_version is not None)
        attempt.attributes, attempt.in_flight, attempt.traceparent = event.attributes, track.in_flight, event.traceparent
        return attempt

    def sampled(self, event: ResourceSampled, tracks: dict[str, TrackState], now: float) -> list[str]:
        """A host's gauges go to the tracks that it serves; gives their names."""
        served = self._served(event, tracks)
        for track in served if event.gauges else ():
            track.outlook.sampled(now, event.gauges or {}, event.host)
        return [track.name for track in served]

    def _served(self, event: ResourceSampled, tracks: dict[str, TrackState]) -> list[TrackState]:
        """Local tracks and the one that is named like the host; without them, of an engine, the only track, or the one whose requests the engine holds."""
        named = [track for track in tracks.values() if track.settings.is_local or track.name == event.host]
        known = recognised(event.gauges or {})
        if named or "running" not in known:
            return named
        if len(tracks) > 1:
            self.backing.observe(event.host, known["running"] + known.get("waiting", 0.0), {name: track.in_flight for name, track in tracks.items()})
            found = self.backing.track(event.host)
            return [tracks[found]] if found in tracks else []
        return list(tracks.values())

    def learned(self, track: TrackState, known: Container[str]) -> list[Finding]:
        """Intervals that don't hold what they promise, and those of the alerts `known` that do again."""
        found = []
        for metric, predictor in track.outlook.predictors.items():
            coverage = predictor.coverage
            if not known and not coverage.is_off():
                continue
            fingerprint = f"{track.name}/{metric}/coverage"
            is_off = coverage.is_off(BACK if fingerprint in known else 0.0)
            if is_off or fingerprint in known:
                found.append(Finding(fingerprint, coverage.share or 0.0, 0.9, is_off))
        return found

    def loaded(self, track: TrackState, known: Container[str], now: float) -> list[Finding]:
        """Whether a track that slows down under load is loaded beyond anything it has lived through: no interval can be trusted there."""
        slows = track.load is not None or track.outlook.engine is not None
        fingerprint, is_unknown = f"{track.name}/load/unknown", slows and track.outlook.is_beyond(Situation(now, in_flight=track.in_flight))
        if is_unknown or fingerprint in known:
            return [Finding(fingerprint, float(track.in_flight), round(track.outlook.lived, 3), is_unknown)]
        return []

    def reports(self, tracks: dict[str, TrackState]) -> Iterator[dict[str, Any]]:
        """The fields of a report for every metric that has another champion, a model made anew or put to rest, or twenty outcomes more."""
        for name, track in tracks.items():
            for metric, predictor in track.outlook.predictors.items():
                outcomes = predictor.standings["windowed"].outcomes
                changes = sum(2 * standing.resets - standing.is_resting for standing in predictor.standings.values())
                count, *last = self.reported.get(f"{name}/{metric}", [0, None, 0])
                if outcomes and (outcomes >= count + ENOUGH or last != [predictor.champion, changes]):
                    self.reported[f"{name}/{metric}"] = [outcomes, predictor.champion, changes]
                    yield report(track, metric, predictor)

    def configure(self, config: OptimizationConfig, tracks: dict[str, TrackState]) -> None:
        """From here on this configuration: models are changed where it names others, and keep what they learned where it doesn't."""
        before, self.config = self.config, config
        memory = config.intervals.window_outcomes
        if (config.learners, config.models, memory) != (before.learners, before.models, before.intervals.window_outcomes):
            for track in tracks.values():
                track.outlook.configure(config)
        self.reported = {key: count for key, count in self.reported.items() if key.rsplit("/", 1)[0] in tracks}
        self.backing.forget(tracks)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"reported": self.reported, "backing": self.backing.snapshot()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self.reported = state["reported"]
        self.backing = Backing.restore(state["backing"])


def models(predictor: Predictor, active: frozenset[str]) -> tuple[ModelReport, ...]:
    """Every model of one metric that has had an outcome: its role, and how it does."""
    champion = predictor.champion
    return tuple(
        ModelReport(
            name=name,
            role="champion" if name == champion else "resting" if standing.is_resting or not (name == "windowed" or name in active) else "challenger",
            version=standing.version,
            weight=round(predictor.shares.get(name, float(name == champion)), 6),
            error=round(standing.error, 6) if standing.outcomes else None,
            wape=round(standing.wape, 6) if standing.wape is not None else None,
            outcomes=standing.outcomes,
            resets=standing.resets,
            since=standing.since,
        )
        for name, standing in predictor.standings.items()
        if standing.outcomes or standing.resets or name == "windowed"
    )


def report(track: TrackState, metric: str, predictor: Predictor) -> dict[str, Any]:
    """The fields of `models.reported/1`."""
    share = predictor.coverage.share
    return {
        "track": track.name,
        "metric": metric,
        "learners": track.outlook.learners,
        "models": models(predictor, track.outlook.active[metric]),
        "coverage": round(share, 6) if share is not None else None,
        "coverage_outcomes": len(predictor.coverage),
        "winkler": round(predictor.coverage.winkler, 6) if share is not None else None,
    }


def listing(track: TrackState) -> dict[str, Any]:
    """The reports of a track as plain values, for `status`."""
    return {
        metric: report(track, metric, predictor) | {"models": [model.model_dump() for model in models(predictor, track.outlook.active[metric])]}
        for metric, predictor in track.outlook.predictors.items()
        if predictor.standings["windowed"].outcomes
    }
