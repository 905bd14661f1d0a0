"""Everything known of one track but the policy: its windows, its outlook, its timeouts, and how it is doing now."""

import math
from collections.abc import Mapping
from typing import Any

from pointsman.schemas import OptimizationConfig, RequestCompleted, Track

from .context import Context
from .hedging import Quantile
from .load import Load
from .outlook import TIMED, Outlook, Sayings
from .predictor import Saying
from .situation import Situation
from .timeouts import Issued, Timeout, TimeoutSettings
from .windows import Windows

FAST = 0.1
HALF_LIFE_S = 60.0
TIMEOUTS = TimeoutSettings()


class TrackState:
    """The state of one track in one scope."""

    __slots__ = (
        "completed",
        "drifted_at",
        "failed_at",
        "in_flight",
        "latency_drift",
        "load",
        "name",
        "outlook",
        "overdue",
        "recent_success",
        "settings",
        "timeouts",
        "windows",
    )

    def __init__(self, settings: Track, config: OptimizationConfig) -> None:
        self.name = settings.name
        self.settings = settings
        self.windows = Windows(config.intervals.window_s)
        self.outlook = Outlook(settings, config)
        self.timeouts = {metric: Timeout(TIMEOUTS) for metric in TIMED}
        self.load = Load() if settings.is_local else None
        self.in_flight = 0
        self.completed = 0
        self.recent_success = 1.0
        self.failed_at = 0.0
        self.latency_drift = 0.0
        self.drifted_at = 0.0
        self.overdue = 0.0

    def situation(self, context: Context, pressure: float, now: float, attributes: Mapping[str, Any] | None = None) -> Situation:
        """What such a request meets here at this moment."""
        return Situation(
            now,
            context.input_tokens,
            context.max_output_tokens,
            context.category,
            context.features,
            attributes or {},
            self.in_flight,
            pressure,
            self.latency_drift,
            self.overdue,
        )

    def take_off(self, now: float) -> float:
        """A request starts here; what is returned belongs to its attempt."""
        self.in_flight += 1
        return self.load.start(now) if self.load is not None else 0.0

    def expected_s(self, context: Context) -> float | None:
        """Seconds that a request would take by what is in flight, where the track slows down under load and that is known."""
        return self.load.predict(context.input_tokens) if self.load is not None else None

    def land(self, now: float, started_at: float, area: float, input_tokens: int | None, output_tokens: int | None) -> None:
        """A request ends here; without `output_tokens` it did not succeed, or does not say how long its answer is."""
        self.in_flight = max(self.in_flight - 1, 0)
        if self.load is not None:
            if output_tokens is not None:
                self.load.learn(now, started_at, area, input_tokens, output_tokens)
            self.load.end(now)

    def issue_timeouts(self, logs: Mapping[str, float]) -> tuple[Issued, ...]:
        """Total and TTFT timeout, 99 % quantiles given ln of the medians expected of the request and how many run."""
        return tuple(self.timeouts[metric].issue(logs[metric], self.in_flight) for metric in TIMED)

    def latency_quantile(self, context: Context, pressure: float, now: float) -> Quantile:
        """The distribution of a request's latency, as a function from level (0..1) to ms."""
        log, place = self.outlook.latency(self.situation(context, pressure, now))
        predictor, is_full = self.outlook.predictors["latency_ms"], self.outlook.is_full
        return lambda level: predictor.quantile(log, level, place, is_full=is_full)

    def observe(self, event: RequestCompleted, clock: float) -> None:
        """Count a completion where it counts at once: windows and health (a client's hang-up is not the track's fault)."""
        self.completed += 1
        self.windows.add(event, clock)
        if not event.is_excused:
            self.recent_success = self.recent_success_at(clock)
            self.recent_success += FAST * (float(event.success) - self.recent_success)
            self.failed_at = clock

    def recent_success_at(self, now: float) -> float:
        """The share of the last ten or so requests that succeeded; what is not heard of for a minute is half forgiven."""
        return 1.0 - (1.0 - self.recent_success) * _faded(now - self.failed_at)

    def note_latency_error(self, error: float, now: float) -> None:
        """How far ln(latency) was from what the policy expects of such a request."""
        self.latency_drift = self.latency_drift_at(now)
        self.latency_drift += FAST * (max(-3.0, min(3.0, error)) - self.latency_drift)
        self.drifted_at = now

    def latency_drift_at(self, now: float) -> float:
        """ln of recent latency over the usual one, faded by half for every minute without news."""
        return self.latency_drift * _faded(now - self.drifted_at)

    def learn(self, event: RequestCompleted, x: dict[str, float], sayings: Sayings, timeouts: tuple[Issued, ...], waited_ms: float, now: float) -> None:
        """Learn from a joined outcome; `waited_ms` is how long a failure was waited for."""
        if event.is_excused:
            return
        self.outlook.learn(event, x, sayings, now)
        observed = (event.latency_ms, event.ttft_ms) if event.success else (None, None)
        for metric, value, timeout in zip(TIMED, observed, timeouts, strict=False):
            if value is not None:
                self.timeouts[metric].observe(timeout, value)
            elif event.failure_class == "timeout" and metric == "latency_ms":
                self.timeouts[metric].observe(timeout, waited_ms, censored=True)

    def learn_quality(self, score: float, x: dict[str, float], saying: Saying | None, now: float) -> None:
        """Learn from a judgement that came after the completion."""
        self.outlook.learn_quality(score, x, saying, now)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "settings": self.settings.model_dump(),
            "windows": self.windows.snapshot(),
            "timeouts": {metric: timeout.snapshot() for metric, timeout in self.timeouts.items()},
            "load": self.load.snapshot() if self.load is not None else None,
            "now": [self.in_flight, self.completed, self.recent_success, self.failed_at, self.latency_drift, self.drifted_at, self.overdue],
        }

    @classmethod
    def restore(cls, state: dict[str, Any], config: OptimizationConfig) -> "TrackState":
        """The track that left this snapshot."""
        track = cls(Track.model_validate(state["settings"]), config)
        track.windows = Windows.restore(state["windows"])
        track.timeouts = {metric: Timeout.restore(timeout, TIMEOUTS) for metric, timeout in state["timeouts"].items()}
        track.load = Load.restore(state["load"]) if state["load"] is not None else None
        track.in_flight, track.completed, track.recent_success, track.failed_at, track.latency_drift, track.drifted_at, track.overdue = state["now"]
        return track


def _faded(age_s: float) -> float:
    return math.pow(0.5, max(age_s, 0.0) / HALF_LIFE_S)
