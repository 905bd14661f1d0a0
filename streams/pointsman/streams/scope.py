"""The fold of one scope: every event moves its clock, is joined, counted and learned from, and what follows is emitted.

No clock, I/O or unseeded randomness here. The state is a function of the events alone, in their order.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

from pointsman.models.constraints import CONFIRMATIONS, Constraints
from pointsman.models.context import Context
from pointsman.models.decision import Decision
from pointsman.models.findings import Change, Told
from pointsman.models.hedging import Plan
from pointsman.models.join import Attempt, Done, Join
from pointsman.models.limits import Limits
from pointsman.models.outlook import features
from pointsman.models.pacing import WARNINGS
from pointsman.models.predictor import YOUNG
from pointsman.models.track import TrackState
from pointsman.schemas import (
    AlertKind,
    AlertRaised,
    AlertResolved,
    AnyInput,
    CapacityAllocated,
    ConfigChanged,
    Event,
    EventRejected,
    Expectation,
    ModelsReported,
    OptimizationConfig,
    OutputEvent,
    PolicyPublished,
    PredictionIssued,
    QualityAssessed,
    Reason,
    RecommendationIssued,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
    Severity,
    Strategy,
    StrategyAdapted,
    Track,
    TrackAdvice,
    WindowClosed,
)

from .predictions import REPORT_S, Finding, Predictions
from .predictions import refusal as unusable
from .resources import Foreseen
from .routing import Routing
from .signals import Control, Signals
from .workload import Said, Workload

REMEMBERED_IDS = 4096
IDENTITY_BYTES = 6
MOST_TRACKS = 64
MOST_HOSTS = 64
MOST_SEGMENTS = 16
MOST_ORIGINS = 64
HOLD = 0.05  # a segment keeps its track until another is better by this much utility, so that advice does not flap
_QUEUE_GAUGES = ("pending", "waiting", "queue")


class Scope:
    """The whole state of one scope, and the one method that changes it."""

    def __init__(self, name: str, config: OptimizationConfig) -> None:
        self.name = name
        self.config = config
        self.sequence = 0
        self.clock = 0.0
        self.duplicates = 0
        self.origins: dict[str, int] = {}
        self.seen: dict[int, None] = {}
        self.join = Join()
        self.tracks: dict[str, TrackState] = {track.name: TrackState(track, config) for track in config.tracks}
        self.hosts: dict[str, ResourceSampled] = {}
        self.constraints = Constraints()
        self.segments: dict[str, str] = {}
        self.routing = Routing(config)
        self.limits = Limits(config)
        self.workload = Workload(config)
        self.predictions = Predictions(config)
        self.signals = Signals(config)
        self.due: dict[str, float] = {}
        self._cause: AnyInput | None = None
        self._out: list[Event] = []

    # the fold

    def apply(self, event: AnyInput) -> list[Event]:
        """Fold one event; one already seen changes nothing and emits nothing, and one that was refused may come again, mended."""
        digest = hashlib.blake2b(event.event_id.encode("utf-8", "replace"), digest_size=IDENTITY_BYTES).digest()
        identity = int.from_bytes(digest, "big")
        if self._was_forwarded(event) or identity in self.seen:
            self.duplicates += 1
            return []
        self.sequence += 1
        self._cause, self._out = event, []
        refusal = self.refusal(event)
        if refusal is not None:
            rejected = f"{self.name[:200]}/{self.sequence}/0"
            moment = event.occurred_at
            return [EventRejected(event_id=rejected, scope=self.name, occurred_at=moment, place="", reason=refusal, payload="", payload_bytes=0)]
        if len(self.seen) >= REMEMBERED_IDS:
            del self.seen[next(iter(self.seen))]
        self.seen[identity] = None
        self._advance(event.occurred_at)
        if isinstance(event, RequestStarted):
            self._started(event)
        elif isinstance(event, RequestCompleted):
            self._completed(event)
        elif isinstance(event, ResourceSampled):
            self._sampled(event)
        elif isinstance(event, QualityAssessed):
            self._assessed(event)
        elif isinstance(event, ConfigChanged):
            self._configured(event)
        elif isinstance(event, CapacityAllocated):
            self._allocated(event)
        elif isinstance(event, Control):
            self._tell(self.signals.told(event))
        return self._out

    def refusal(self, event: AnyInput) -> Reason | None:
        """Why this event cannot be folded now, if so."""
        if isinstance(event, ConfigChanged):
            return unusable(event.config)
        if isinstance(event, Control):
            return self.signals.refusal(event)
        track = getattr(event, "track", None)
        if track is not None and track not in self.tracks:
            if self.config.tracks:
                known = ", ".join(self.tracks)
                return Reason(code="unknown_track", message=f"track {track!r} is not configured: use one of {known}, or add it to tracks")
            if len(self.tracks) >= MOST_TRACKS:
                return Reason(code="too_many_tracks", message=f"{MOST_TRACKS} tracks were discovered already: configure tracks")
        if isinstance(event, RequestStarted) and track is None and not self.tracks:
            return Reason(code="no_track_known", message="a recommendation needs a track: configure tracks, or report requests with a track first")
        return None

    def next_due(self) -> float | None:
        """When something is due that only time brings; standing recommendations are renewed with the policy, not by time alone."""
        moments = [moment for name, moment in self.due.items() if name != "recommendations"]
        for moment in (
            self.workload.next_due(),
            self.signals.next_due(),
            self.join.due(self.config.intervals.join_s),
            *(t.windows.due(self.config.intervals.lateness_s) for t in self.tracks.values()),
        ):
            if moment is not None:
                moments.append(moment)
        return min(moments) if moments else None

    def _was_forwarded(self, event: AnyInput) -> bool:
        """Whether an intake has forwarded this record, or a later one of its partition, before."""
        origin = event.origin
        if origin is None:
            return False
        place = f"{origin.topic}/{origin.partition}"
        if origin.offset <= self.origins.get(place, -1):
            return True
        if place not in self.origins and len(self.origins) >= MOST_ORIGINS:
            del self.origins[next(iter(self.origins))]
        self.origins[place] = origin.offset
        return False

    def _output_id(self) -> str:
        return f"{self.name[:200]}/{self.sequence}/{len(self._out)}"

    def _emit(self, model: type[OutputEvent], **fields: Any) -> OutputEvent:
        cause = self._cause
        if cause is None:
            raise RuntimeError("an output needs the event that caused it")
        fields["event_id"] = self._output_id()
        output = model(scope=self.name, occurred_at=cause.occurred_at, caused_by=cause.event_id, **fields)
        self._out.append(output)
        return output

    def _advance(self, now: float) -> None:
        if now <= self.clock:
            return
        before, self.clock = self.clock, now
        self._say(self.workload.advance(before, now, len(self.join.flying), self.tracks))
        self._close_windows()
        self._tell(self.signals.advance(before, now))
        self._expire()
        if self.due.get("adapt", math.inf) <= now:
            del self.due["adapt"]
            self._adapt()
        if self.due.get("models", math.inf) <= now:
            del self.due["models"]
            for fields in self.predictions.reports(self.tracks):
                self._emit(ModelsReported, **fields)
        if self.due.get("policy", math.inf) <= now:
            del self.due["policy"]
            self._publish()

    def _arm_policy(self) -> None:
        last = self.policy.occurred_at if self.policy is not None else 0.0
        self.due.setdefault("policy", max(last + self.config.intervals.policy_s, self.clock))
        if self.config.strategy == "adaptive":
            self.due.setdefault("adapt", self.clock + self.config.intervals.adapt_s)

    @property
    def policy(self) -> PolicyPublished | None:
        """The policy in force."""
        return self.routing.policy

    @property
    def strategy(self) -> Strategy:
        """The strategy in force: the configured one, or what `adaptive` has come to."""
        return self.routing.strategy

    # one handler per event

    def _track(self, name: str) -> TrackState:
        track = self.tracks.get(name)
        if track is None:
            track = self.tracks[name] = TrackState(Track(name=name), self.config)
            self.routing.add(track.settings)
            self.limits.add(track.settings)
        return track

    def _started(self, event: RequestStarted) -> None:
        if self.join.is_known(event.request_id, event.track):
            self.duplicates += 1
            return
        crowded_out = self.join.make_room()
        if crowded_out is not None:
            self._leave(*crowded_out)
        self._tell(self.signals.started(event, self.clock))
        context = self.routing.context(event)
        track = self._track(event.track) if event.track is not None else None
        is_copy = self.join.is_copy(event.request_id, event.track, self.tracks)
        self.routing.started(event, context, self.running(), is_copy=is_copy)
        self.workload.started(event.track, self.clock, is_request=not is_copy and (event.request_id, "") not in self.join.flying)
        self._note_segment(event.category)
        if self.policy is None:
            self._publish()
        if event.track is None or track is None:
            self._recommend(context, "all" if event.category is None else event.category, event.request_id)
            self.join.start(event.request_id, Attempt("", event.occurred_at, context, {}, is_own=True))
            self._arm_policy()
            return
        has_ended = self.join.has_ended(event.request_id, event.track)
        attempt = self.predictions.attempt(event, context, track, self._queue(track), self.clock, is_new=not has_ended)
        completion = self.join.start(event.request_id, attempt)
        if completion is None:
            attempt.expected_s = track.expected_s(context) or attempt.expected_s
            attempt.area = track.take_off(self.clock)
            self._emit(PredictionIssued, request_id=event.request_id, track=event.track, **track.outlook.intervals(attempt.sayings))
            self._tell_models(self.predictions.loaded(track, self.constraints.breaches, self.clock))
        else:
            if attempt.is_own:
                self.routing.recognise(completion, self.clock)
            self._learn(completion, Attempt(event.track, event.occurred_at, context, attempt.features))
            self._tell(self.signals.joined(completion, context, self.clock))
        self._arm_policy()
        self._check_concurrency(track)

    def _completed(self, event: RequestCompleted) -> None:
        track = self._track(event.track)
        if self.join.is_repeat(event):
            self.duplicates += 1
            return
        asked = self.join.flying.pop((event.request_id, ""), None)
        if asked is not None and (event.request_id, event.track) not in self.join.flying:
            asked.track = event.track
            asked.features = features(track.situation(asked.context, self._queue(track), self.clock))
            self.join.flying[(event.request_id, event.track)] = asked
            asked.area = track.take_off(self.clock)
            self.signals.arrived(event.track, self.clock)
        attempt = self.join.complete(event)
        self.workload.completed(event.track, event.output_tokens, self.clock, asked.started_at if asked is not None and attempt is asked else None)
        track.observe(event, self.clock)
        is_own = attempt is not None and attempt.is_own
        self.routing.ended(event, self.clock, is_own=is_own, started_at=attempt.started_at if attempt is not None else None)
        self._note_health()
        if attempt is not None:
            self.limits.observe(event, attempt, self.clock, track.in_flight, track.load)
            tokens = event.input_tokens if event.input_tokens is not None else attempt.context.input_tokens
            track.land(self.clock, attempt.started_at, attempt.area, tokens, event.output_tokens if event.success else None)
            track.outlook.ended(event.request_id, event, self.clock)
            self._learn(event, attempt)
        self._tell(self.signals.completed(event, attempt, self.clock))
        self._check_budgets()
        self._arm_policy()
        self._check_concurrency(track)

    def _note_health(self) -> None:
        """Tracks that were taken out may be why something else changes."""
        for name in self.routing.health.taken_out():
            self.signals.changed(
                Change("ejection", name, name, self.clock, f"{name} was taken out ({self.routing.health.state(name, self.clock)}) after failures")
            )

    def _learn(self, event: RequestCompleted, attempt: Attempt) -> None:
        track = self._track(event.track)
        waited = event.latency_ms if event.latency_ms is not None else 1000.0 * max(event.occurred_at - attempt.started_at, 0.0)
        x = attempt.features or features(track.situation(attempt.context, 0.0, self.clock))
        track.learn(event, x, attempt.sayings, attempt.timeouts, waited, self.clock)
        self._tell_models(self.predictions.learned(track, self.constraints.breaches))
        self._tell_models(self.predictions.loaded(track, self.constraints.breaches, self.clock))
        self._tell_drift(event.track, self.routing.learn(event, attempt.context, track, self.clock))
        done = Done(attempt.context, x, attempt.sayings.get("quality_score")) if event.quality_score is None else None
        self.join.finish(event.request_id, event.track, done)
        self._publish_if_due()

    def _assessed(self, event: QualityAssessed) -> None:
        done = self.join.done.get((event.request_id, event.track))
        if done is not None:
            track = self._track(event.track)
            track.learn_quality(event.score, done.features, done.quality, self.clock)
            self._tell_models(self.predictions.learned(track, self.constraints.breaches))
            self.join.done[(event.request_id, event.track)] = Done(done.context, done.features)
            self._tell_drift(event.track, self.routing.learn_quality(event.track, done.context, event.score))
            self._tell(self.signals.assessed(event, done.context, self.clock))
            self._publish_if_due()
            self._arm_policy()

    def _tell_drift(self, track: str, said: str | None) -> None:
        """A track's quality has fallen, or is what it was, or has stayed where it fell to."""
        if said is None:
            return
        drift = self.routing.learner.drifts[track]
        usual = self.routing.usual_quality(track)
        self._alert(f"{track}/quality", "drift", usual + drift.shift, usual, is_broken=said == "shifted", at_once=True)

    def _tell_models(self, found: list[Finding]) -> None:
        """Whether intervals hold, and whether the load is one that was lived through."""
        self.due.setdefault("models", self.clock + REPORT_S)
        for one in found:
            self._alert(one.fingerprint, "drift", one.observed, one.expected, is_broken=one.is_broken, severity="info")

    def _check_budgets(self) -> None:
        learner = self.routing.learner
        for account in learner.accounts:
            share = account.share(self.clock)
            for level in WARNINGS if share is not None else ():
                severity: Severity = "critical" if level == WARNINGS[-1] else "warning"
                name = f"budget/{account.kind}/{100 * level:.0f}"
                self._alert(name, "budget", share or 0.0, level, is_broken=(share or 0.0) >= level, at_once=True, severity=severity)
            projected = account.projected(self.clock, learner.sample.gap_s)
            broken = account.will_not_last(self.clock, learner.sample.gap_s)
            self._alert(f"budget/{account.kind}/projected", "budget", projected, 1.0, is_broken=broken)

    def _sampled(self, event: ResourceSampled) -> None:
        if event.host not in self.hosts and len(self.hosts) >= MOST_HOSTS:
            del self.hosts[next(iter(self.hosts))]
        self.hosts[event.host] = event
        self.signals.serves(event.host, self.predictions.sampled(event, self.tracks, self.clock), self.clock)
        for metric, observed, bound, is_floor in self._resource_bounds(event):
            self._constrain(f"{event.host}/{metric}", observed, bound, is_broken=observed < bound if is_floor else observed > bound)
        self._say(self.workload.sampled(event, self.clock))
        self._tell(self.signals.sampled(event, len(self.join.flying), self.clock))
        if self.tracks:
            self._arm_policy()

    def _resource_bounds(self, event: ResourceSampled) -> list[tuple[str, float, float, bool]]:
        bounds = self.config.constraints
        rows = [
            ("cpu_percent", event.cpu_percent, bounds.max_cpu_percent, False),
            ("memory_used_mb", event.memory_used_mb, bounds.max_memory_mb, False),
            ("gpu_memory_used_mb", event.gpu_memory_used_mb, bounds.max_gpu_memory_mb, False),
            ("battery_percent", None if event.battery_charging else event.battery_percent, bounds.min_battery_percent, True),
            ("temperature_c", event.temperature_c, bounds.max_temperature_c, False),
        ]
        return [(metric, observed, bound, floor) for metric, observed, bound, floor in rows if observed is not None and bound is not None]

    def _configured(self, event: ConfigChanged) -> None:
        config = event.config
        changed: set[str] = set()
        if config.tracks:
            kept = {track.name: track for track in config.tracks}
            states: dict[str, TrackState] = {}
            for name, settings in kept.items():
                state = self.tracks.get(name)
                if state is None or state.settings != settings:
                    state = TrackState(settings, config)
                    changed.add(name)
                states[name] = state
            for request_id, name in [key for key in self.join.flying if key[1] and key[1] not in kept]:
                del self.join.flying[(request_id, name)]
            self.tracks = states
        self.config = config
        self.predictions.configure(config, self.tracks)
        for track in self.tracks.values():
            track.windows.size = config.intervals.window_s if not track.windows.open else track.windows.size
        self.routing.configure(config, self.tracks, changed)
        self.limits.configure(config)
        self.workload.configure(config)
        self._tell(self.signals.configure(config, self.clock))
        self.signals.changed(Change("configuration", event.event_id, None, self.clock, "the configuration was changed"))
        if self.tracks:
            self._publish()

    def _allocated(self, event: CapacityAllocated) -> None:
        self._track(event.track)
        if self.limits.allocate(event.track, event.concurrency):
            self.due["recommendations"] = self.clock
            self._publish()

    # time

    def _say(self, said: Iterable[Said]) -> None:
        """What the workload foresees; a warning stands for as long as one still expects what was certain."""
        for one in said:
            if isinstance(one, Foreseen):
                is_broken = one.is_certain or (one.is_expected and self.constraints.since(one.fingerprint) is not None)
                self._alert(one.fingerprint, "forecast", one.expected, one.limit, is_broken=is_broken, severity="critical" if one.is_soon else "warning")
            else:
                self._emit(one[0], **one[1])

    def _close_windows(self) -> None:
        lateness = self.config.intervals.lateness_s
        for track in self.tracks.values():
            due = track.windows.due(lateness)
            if due is None or due > self.clock:
                continue
            size = track.windows.size
            for index, window in track.windows.close(self.clock, lateness):
                fields = window.fields(size)
                self._emit(WindowClosed, track=track.name, start=index * size, end=(index + 1) * size, **fields)
                slow = fields.get("latency_p95_ms")
                if slow is not None:
                    bound = self.config.constraints.max_latency_ms
                    self._constrain(f"{track.name}/latency_p95_ms", slow, bound, is_broken=slow > bound)
                if window.count:
                    mean, bound = window.cost / window.count, self.config.constraints.max_cost_usd
                    self._constrain(f"{track.name}/cost_usd", mean, bound, is_broken=mean > bound)
            if not track.windows.open:
                track.windows.size = self.config.intervals.window_s

    def _expire(self) -> None:
        wait = self.config.intervals.join_s
        due = self.join.due(wait)
        if due is None or due > self.clock:
            return
        lost, single = self.join.expire(self.clock, wait)
        for request_id, attempt in lost:
            if attempt.track in self.tracks:
                track = self.tracks[attempt.track]
                self._leave(request_id, attempt)
                track.recent_success = 0.9 * track.recent_success_at(self.clock)
                track.failed_at = self.clock
                self.routing.lose(attempt.track, attempt.context)
                self._tell(self.signals.lost(attempt, self.clock))
        for event in single:
            if event.track in self.tracks:
                self._learn(event, Attempt(event.track, event.occurred_at, Context(event.input_tokens), {}))

    def _leave(self, request_id: str, attempt: Attempt) -> None:
        """An attempt whose end nobody will hear of runs no longer."""
        track = self.tracks.get(attempt.track)
        if track is not None:
            track.outlook.ended(request_id, None, self.clock)
            track.land(self.clock, attempt.started_at, attempt.area, None, None)

    def _adapt(self) -> None:
        standing = self.constraints.standing()
        by_metric = {name.rsplit("/", 1)[-1] for name in standing}
        quality = self._usual_qualities()
        wanted: Strategy = "balanced"
        why = "no constraint is violated"
        if by_metric & {"cpu_percent", "memory_used_mb", "gpu_memory_used_mb", "battery_percent"}:
            wanted, why = "resource", "a host is beyond its bounds"
        elif "cost_usd" in by_metric:
            wanted, why = "cost", "a track costs more than allowed"
        elif "projected" in by_metric:
            wanted, why = "cost", "a budget will not last at this pace"
        elif "latency_p95_ms" in by_metric:
            wanted, why = "latency", "a track is slower than allowed"
        elif quality and max(quality) < 0.5:
            wanted, why = "quality", "no track reaches a quality of 0.5"
        if wanted != self.strategy:
            evidence = {name[:200]: self.constraints.since(name) or 0.0 for name in standing[:16]}
            self._emit(StrategyAdapted, previous=self.strategy, current=wanted, why=why, evidence=evidence)
            self.signals.changed(Change("policy", f"{self.strategy} to {wanted}", None, self.clock, f"the strategy became {wanted}, since {why}"))
            self.routing.strategy = wanted
            self._arm_policy()

    def _usual_qualities(self) -> list[float]:
        """What the policy expects of a usual request, track by track, where that is known by outcomes."""
        if self.policy is None:
            return []
        arms = self.routing.learner.bandit.arms
        expected = self.routing.evaluator().expected(Context(500, 500))
        return [expected[name].quality for name, arm in arms.items() if arm.seen[0] >= YOUNG and name in expected]

    def objectives(self) -> list[dict[str, Any]]:
        """Every objective as it is reported, with what breaking it costs in routing; reads only."""
        priced = self.routing.learner.objectives()
        return [row | priced.get(row["objective"], {}) for row in self.signals.objectives.status(self.clock)]

    # alerts

    def _constrain(self, fingerprint: str, observed: float, bound: float, *, is_broken: bool) -> None:
        self._alert(fingerprint, "constraint", observed, bound, is_broken=is_broken)

    def _alert(
        self, fingerprint: str, kind: AlertKind, observed: float, bound: float, *, is_broken: bool, at_once: bool = False, severity: Severity = "warning"
    ) -> None:
        since = self.constraints.since(fingerprint)
        change = self.constraints.observe(fingerprint, is_broken, self.clock, confirmations=1 if at_once else CONFIRMATIONS)
        if change is not None:
            fields = {
                "fingerprint": fingerprint[:256],
                "kind": kind,
                "severity": severity,
                "subject": fingerprint.rsplit("/", 1)[0][:256] or "-",
                "observed": round(observed, 6),
                "expected": bound,
                "since": self.clock if since is None else since,
                **self._subject(fingerprint, kind),
            }
            self._tell([(AlertRaised if change == "raised" else AlertResolved, fields)])

    def _subject(self, fingerprint: str, kind: AlertKind) -> dict[str, str]:
        """The track or host that a fingerprint begins with, and the metric behind it; what concerns our own models is of no metric."""
        for known, field in ((self.tracks, "track"), (self.hosts, "host")) if kind != "budget" else ():
            for name in (fingerprint.rsplit("/", 1)[0], fingerprint.rsplit("/", 2)[0]):
                if name in known:
                    metric, _, rest = fingerprint[len(name) + 1 :].partition("/")
                    return {field: name[:256]} | ({} if rest and kind == "drift" else {"metric": metric[:256]})
        return {}

    def _tell(self, said: Iterable[Told]) -> None:
        """Emit what the signals say; alerts of every kind are heard by them at once."""
        for model, fields in said:
            if model not in (AlertRaised, AlertResolved):
                self._emit(model, **fields)
                continue
            alert = self._emit(model, **fields, **self.signals.marks(fields, self.clock, is_end=model is AlertResolved))
            if isinstance(alert, AlertRaised | AlertResolved):
                self._tell(self.signals.heard(alert))

    def _check_concurrency(self, track: TrackState) -> None:
        limit = track.settings.max_concurrency or (self.config.constraints.max_concurrent if track.settings.is_local else None)
        if limit is not None:
            self._constrain(f"{track.name}/in_flight", float(track.in_flight), float(limit), is_broken=track.in_flight > limit)

    # decisions

    def _queue(self, track: TrackState) -> float:
        if not track.settings.is_local:
            return 0.0
        waiting = 0.0
        for sample in self.hosts.values():
            for name, value in (sample.gauges or {}).items():
                if any(word in name for word in _QUEUE_GAUGES):
                    waiting += max(value, 0.0)
        return waiting

    def pressure(self, track: TrackState) -> float:
        """How far the worst resource of a local track is beyond its bound: 0 within bounds, 1 at twice the bound."""
        if not track.settings.is_local:
            return 0.0
        ratios = [0.0]
        for sample in self.hosts.values():
            for _, observed, bound, is_floor in self._resource_bounds(sample):
                ratios.append((bound / max(observed, 1.0) if is_floor else observed / bound) - 1.0)
        bound = track.settings.max_concurrency or self.config.constraints.max_concurrent
        found = self.limits.get(track.name)
        limit = bound if found is None else min(bound, found)
        ratios.append((track.in_flight - limit) / max(limit, 1))
        return min(max(ratios), 1.0)

    def _measure_overdue(self) -> None:
        """ln of how far each track's running requests exceed what was expected; the finished ones of a burst are the short ones."""
        ratios: dict[str, list[float]] = {name: [] for name in self.tracks}
        now = self.clock
        for attempt in self.join.flying.values():
            expected = attempt.expected_s
            if expected > 0.0 and attempt.track in ratios:
                ratios[attempt.track].append((now - attempt.started_at) / expected)
        for name, found in ratios.items():
            overdue = 0.0
            if len(found) >= 5:
                found.sort()
                overdue = math.log(max(1.0, min(found[len(found) // 2], 20.0)))
            self.tracks[name].overdue = overdue

    def _publish_if_due(self) -> None:
        if self.policy is not None and self.routing.is_due():
            self._publish()

    def _publish(self) -> None:
        if not self.tracks:
            return
        self._measure_overdue()
        pressures = {name: self.pressure(track) for name, track in self.tracks.items()}
        arms = self.policy.arms if self.policy is not None else ()
        in_flight_usd = sum((arm.price_usd * self.tracks[arm.track].in_flight for arm in arms if arm.track in self.tracks), 0.0)
        fields = self.routing.fields(self.tracks, pressures, self.limits.hard(), in_flight_usd, self.clock)
        if fields is not None and self._cause is not None:
            envelope: dict[str, Any] = {
                "event_id": self._output_id(),
                "scope": self.name,
                "occurred_at": self._cause.occurred_at,
                "caused_by": self._cause.event_id,
            }
            policy = PolicyPublished.model_construct(**envelope, **fields)
            self._out.append(policy)
            self.routing.take_up(policy)
        if fields is not None or self.due.get("recommendations", -math.inf) <= self.clock:
            self._refresh_segments()

    def _note_segment(self, category: str | None) -> None:
        for name in ("all", *((category,) if category is not None else ())):
            if name not in self.segments and len(self.segments) < MOST_SEGMENTS:
                self.segments[name] = ""

    def _refresh_segments(self) -> None:
        is_old = self.due.get("recommendations", -math.inf) <= self.clock
        self.due.pop("recommendations", None)
        for segment, last in self.segments.items():
            context = self.segment_context(segment)
            _, utilities = self.routing.evaluator().propensities(context)
            best = max(utilities, key=lambda name: utilities[name])
            if last in utilities and utilities[best] - utilities[last] < HOLD:
                best = last
            if is_old or best != last:
                self.segments[segment] = best
                self._recommend(context, segment, None)
        if self.segments:
            self.due["recommendations"] = self.clock + self.config.intervals.recommendation_s

    def segment_context(self, segment: str) -> Context:
        """The typical request of a segment: median lengths are not kept, so a thousand tokens stand for all."""
        return Context(500, 500, None if segment == "all" else segment)

    def decide(self, context: Context, request_id: str) -> Decision:
        """The draw of one request under the policy in force; reads only. Raises `LookupError` before there is one."""
        return self.routing.evaluator().decide(context, self.name, request_id)

    def running(self) -> dict[str, int]:
        """How many requests are in flight on the tracks that slow down under load."""
        return {name: track.in_flight for name, track in self.tracks.items() if track.load is not None}

    def plan(self, context: Context, decision: Decision) -> Plan:
        """Whether a second copy of the request is worth its cost; reads only."""
        return self.routing.plan(context, decision, self.tracks, {name: self._queue(track) for name, track in self.tracks.items()}, self.clock)

    def expectation(self, name: str, context: Context) -> Expectation:
        """What is expected of a request on this track now; reads only."""
        track = self.tracks[name]
        return track.outlook.expectation(track.situation(context, self._queue(track), self.clock))[0]

    def advice(self, context: Context, decision: Decision) -> tuple[TrackAdvice, ...]:
        """Every track, most likely first, with what is expected of it and how long to wait."""
        rows = []
        for name, share in sorted(decision.propensities.items(), key=lambda item: -item[1]):
            track = self.tracks[name]
            expected, logs = track.outlook.expectation(track.situation(context, self._queue(track), self.clock))
            timeout, first = track.issue_timeouts(logs)
            state = self.routing.health.state(name, self.clock)
            rows.append(
                TrackAdvice(
                    track=name,
                    propensity=share,
                    utility=decision.utilities[name],
                    expected=expected,
                    timeout_ms=timeout.timeout_ms,
                    ttft_timeout_ms=first.timeout_ms,
                    max_concurrency=self.limits.get(name),
                    health="degraded" if state == "healthy" and track.recent_success_at(self.clock) < 0.5 else state,
                )
            )
        return tuple(rows)

    def reasons(self, decision: Decision) -> tuple[str, ...]:
        """Why the likeliest track leads, in sentences for people."""
        best = max(decision.propensities, key=lambda name: decision.propensities[name])
        said = [f"strategy {self.strategy}: {best} has the highest expected utility ({decision.utilities[best]:.3f})"]
        for name, track in self.tracks.items():
            rung = track.outlook.predictors["latency_ms"].champion
            count = self.routing.learner.bandit.arms[name].count
            said.append(f"{name}: latency from {rung} after {count} outcomes, {track.in_flight} in flight")
            overdue, drift, pressure = track.overdue, track.latency_drift_at(self.clock), self.pressure(track)
            if overdue > 0.1:
                said.append(f"{name}: running requests are {math.exp(overdue):.1f} x older than they should take")
            if drift > 0.1:
                said.append(f"{name}: recent latency is {math.exp(drift):.1f} x what it usually is for such requests")
            if pressure > 0:
                said.append(f"{name}: its most used resource is {100 * pressure:.0f} % beyond its bound")
            if track.recent_success_at(self.clock) < 0.9:
                said.append(f"{name}: {100 * track.recent_success_at(self.clock):.0f} % of its recent requests succeeded")
            state = self.routing.health.state(name, self.clock)
            if state != "healthy":
                said.append(f"{name}: {state} after provider failures, {100 * self.routing.health.share(name, self.clock):.0f} % of its traffic admitted")
            shift = self.routing.learner.drifts[name].shift
            if shift:
                said.append(f"{name}: its quality has fallen by {-shift:.2f}")
        price = self.policy.worth.shadow_price if self.policy is not None else 0.0
        if price > 0.0:
            said.append(f"the budget makes 0.001 USD worth {0.001 * price:.4f} of utility")
        return tuple(said)

    def _recommend(self, context: Context, segment: str, request_id: str | None) -> None:
        decision = self.decide(context, request_id if request_id is not None else f"segment {segment}")
        track = decision.track if request_id is not None else self.segments[segment]
        advised = self.plan(context, decision)
        self._emit(
            RecommendationIssued,
            plan=advised.kind,
            hedge_delay_ms=advised.delay_ms,
            second_track=advised.second,
            segment=segment,
            request_id=request_id,
            track=track,
            propensity=decision.propensities[track],
            tracks=self.advice(context, decision),
            strategy=self.strategy,
            mode=self.config.mode,
            reasons=self.reasons(decision),
            policy_version=decision.policy_version,
            expires_at=round(self.clock + self.config.intervals.expiry_s, 6),
        )
