"""The gauges of one host: resources beside their level under such a load, whether each still moves, whether it is throttled, and whether it still reports."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman.schemas import ResourceSampled

from .watch_errors import WatchedErrors
from .watch_series import HALF, Away, Speed, Step, WatchedSeries
from .watch_shift import Shift
from .watch_stillness import Stillness

FIELDS = ("cpu_percent", "memory_used_mb", "gpu_percent", "gpu_memory_used_mb", "temperature_c", "battery_percent")
SLOW = ("memory_used_mb", "gpu_memory_used_mb", "temperature_c", "battery_percent")
THROTTLED, REPORTS = "throttled", "reports"
MOST_GAUGES = 24
GRAIN = 0.02
LARGEST = 1e6
FORGET_S = 600.0
GAP_RATE = 1.0 / 32.0
FEWEST_SAMPLES = 10
MISSED, LEAST_GAP_S, LONGER = 10.0, 90.0, 2.0


class WatchedHost:
    """At most 24 gauges. Values are parts of the first that is not 0, and changes of less than a tenth of that are none.

    Memory, heat and battery are watched beside a line through the load, by `WatchedSeries`; what follows the load at once (the use of processors, and named
    gauges: queues, throughput) beside its usual at such a load, both ways, by `Shift`. A host that never says whether it is throttled is not. A host that says
    nothing for ten times its usual distance, for 90 s, and for twice as long as ever before, while requests end, has stopped to report.
    """

    __slots__ = ("_gap_s", "_heard", "_is_gone", "_longest_s", "_per_month", "_samples", "_series", "_shifts", "_still", "_throttled", "_units", "refused")

    def __init__(self, per_month: float) -> None:
        self._per_month = per_month
        self._series: dict[str, WatchedSeries] = {}
        self._shifts: dict[str, Shift] = {}
        self._still: dict[str, Stillness] = {}
        self._units: dict[str, float] = {}
        self._throttled = WatchedErrors(per_month)
        self._heard = self._gap_s = self._longest_s = 0.0
        self._samples = 0
        self._is_gone = False
        self.refused = 0

    def observe(self, event: ResourceSampled, in_flight: int, now: float) -> list[tuple[str, Step]]:
        """Take in a sample, of a moment at which so many requests run."""
        steps = self.hear(now)
        throttled = self._throttled.observe(now, bool(event.throttled))[1]
        if throttled is not None:
            steps.append((THROTTLED, throttled))
        for metric, value in readings(event):
            step = self._read(metric, value, in_flight, now)
            if step is not None:
                steps.append((metric, step))
        return steps

    def hear(self, now: float) -> list[tuple[str, Step]]:
        """The host reports, whatever it says."""
        was_gone = self._is_gone
        self._samples += 1
        if self._samples > 1 and not was_gone:
            gap = max(now - self._heard, 0.0)
            self._gap_s += max(1.0 / (self._samples - 1), GAP_RATE) * (gap - self._gap_s)
            self._longest_s = max(self._longest_s, gap)
        self._heard, self._is_gone = max(now, self._heard), False
        return [(REPORTS, "resolved")] if was_gone else []

    def _read(self, metric: str, value: float, in_flight: int, now: float) -> Step | None:
        still = self._still.get(metric)
        if still is None:
            if len(self._still) >= MOST_GAUGES:
                self.refused += 1
                return None
            still = self._still[metric] = Stillness()
            if metric in SLOW:
                self._series[metric] = WatchedSeries(2, self._per_month, grain=GRAIN)
            else:
                self._shifts[metric] = Shift()
        before = self._stands(metric)
        still.observe(now, value, is_busy=in_flight > 0)
        if not still.standing:
            self._judge(metric, value, in_flight, now)
        after = self._stands(metric)
        return None if before == after else "raised" if after else "resolved"

    def _judge(self, metric: str, value: float, in_flight: int, now: float) -> None:
        """A gauge that moves beside what is usual."""
        shift = self._shifts.get(metric)
        if shift is not None:
            shift.observe(now, value, in_flight)
            return
        if value and metric not in self._units:
            self._units[metric] = abs(value)
        parts = max(min(value / self._units.get(metric, 1.0), LARGEST), -LARGEST)
        self._series[metric].observe(now, (1.0, math.log1p(in_flight)), parts)

    def _stands(self, metric: str) -> bool:
        if self._still[metric].standing:
            return True
        shift = self._shifts.get(metric)
        return shift.standing if shift is not None else self._series[metric].standing is not None

    def silent(self, now: float) -> list[tuple[str, Step]]:
        """A request ends: whether the host should have been heard of by now."""
        if self._is_gone or self._samples < FEWEST_SAMPLES or now - self._heard < max(MISSED * self._gap_s, LEAST_GAP_S, LONGER * self._longest_s):
            return []
        self._is_gone = True
        return [(REPORTS, "raised")]

    # what stands

    def metrics(self) -> list[str]:
        """The metrics that are watched."""
        return [REPORTS, THROTTLED, *self._still]

    def speed(self, metric: str) -> Speed:
        """Whether an alarm's change is slow."""
        series = self._series.get(metric)
        return series.standing.kind if series is not None and series.standing is not None else "anomaly"

    def away(self, metric: str) -> Away | None:
        """How far a metric is from what is usual, in its unit."""
        if metric == REPORTS:
            return Away(self._heard, MISSED, 1.0, 0.0, 1.0, 1.0, 1.0) if self._is_gone else None
        if metric == THROTTLED:
            return self._throttled.away()
        still, series = self._still[metric], self._series.get(metric)
        if still.standing and still.last is not None:
            return Away(still.since, 0.0, still.surprise / (still.surprise + HALF), still.last, still.last, still.last, still.last)
        if metric in self._shifts:
            return self._shifts[metric].away()
        away, unit = series.away() if series is not None else None, self._units.get(metric, 1.0)
        if away is None:
            return None
        return away._replace(observed=unit * away.observed, expected=unit * away.expected, lower=unit * away.lower, upper=unit * away.upper)

    def set_per_month(self, per_month: float) -> None:
        """So many false alarms a month and series from now on."""
        self._per_month = per_month
        self._throttled.pace.per_month = per_month
        for series in self._series.values():
            series.pace.per_month = per_month

    def is_silent(self, metric: str, now: float) -> bool:
        """Whether a metric has not been heard of for so long that its alarm says nothing any more; a host that is silent stays so."""
        return metric != REPORTS and now - self._heard > FORGET_S

    def quiet(self, metric: str) -> None:
        """An alarm of a metric stands no longer."""
        if metric == THROTTLED:
            self._throttled.silent()
            return
        self._still[metric].standing = False
        if metric in self._series:
            self._series[metric].silent()
        else:
            self._shifts[metric].quiet()

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "series": {metric: one.snapshot() for metric, one in self._series.items()},
            "shifts": {metric: one.snapshot() for metric, one in self._shifts.items()},
            "still": {metric: one.snapshot() for metric, one in self._still.items()},
            "units": dict(self._units),
            "throttled": self._throttled.snapshot(),
            "plain": [self._heard, self._gap_s, self._samples, self._is_gone, self._longest_s, self.refused],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], per_month: float) -> "WatchedHost":
        """The state of a snapshot."""
        made = cls(per_month)
        made._series = {metric: WatchedSeries.restore(one, per_month) for metric, one in state["series"].items()}
        made._shifts = {metric: Shift.restore(one) for metric, one in state["shifts"].items()}
        made._still = {metric: Stillness.restore(one) for metric, one in state["still"].items()}
        made._units = dict(state["units"])
        made._throttled = WatchedErrors.restore(state["throttled"], per_month)
        made._heard, made._gap_s, made._samples, made._is_gone, made._longest_s, made.refused = state["plain"]
        return made


def readings(event: ResourceSampled) -> Iterator[tuple[str, float]]:
    """The gauges that a sample has; a battery that charges is no reading."""
    for metric in FIELDS:
        value = getattr(event, metric)
        if value is not None and not (metric == "battery_percent" and event.battery_charging):
            yield metric, value
    for metric, value in (event.gauges or {}).items():
        if metric not in FIELDS and metric not in (THROTTLED, REPORTS):
            yield metric, value


__all__ = ["WatchedHost", "readings"]
