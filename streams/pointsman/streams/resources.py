"""What a host runs out of: its trends, the horizon by horizon choice between trend and series, and the warning before a limit is met."""

from typing import Any, Literal, NamedTuple

from pointsman.models.forecast import RowForecast
from pointsman.models.rivals import Rivals
from pointsman.models.trend import Trend
from pointsman.schemas import Constraints, ResourceSampled

from .live_series import HORIZONS_S, MINUTE_S, OTHER_MINUTES, Series

Resourced = Literal["memory_used_mb", "gpu_memory_used_mb", "battery_percent", "temperature_c"]
RESOLUTION: dict[Resourced, float] = {"memory_used_mb": 1.0, "gpu_memory_used_mb": 1.0, "battery_percent": 1.0, "temperature_c": 1.0}
CONTESTED_S = HORIZONS_S[:3]  # beyond an hour a line through the last hour is no forecast
CRITICAL_S = 600.0
ROW_S = OTHER_MINUTES * MINUTE_S
PROVEN_ROWS = 720  # minutes, twice the longest horizon, before a series may warn of a limit by itself


class Path(NamedTuple):
    """What is expected at one horizon, with the ends of the 90 % interval."""

    horizon_s: float
    median: float
    lower: float
    upper: float


class Foreseen(NamedTuple):
    """Whether a limit will be met: surely (the whole 90 % interval is beyond it within some horizon), or as far as one expects."""

    fingerprint: str
    expected: float
    limit: float
    is_certain: bool
    is_expected: bool
    is_soon: bool


class Resource:
    """One resource of one host. `limit` is None where nothing bounds it; a battery has one only while it discharges."""

    __slots__ = ("_far", "is_charging", "is_floor", "metric", "rivals", "sampled_at", "trend", "value")

    def __init__(self, metric: Resourced) -> None:
        self.metric = metric
        self.is_floor = metric == "battery_percent"
        self.trend = Trend(RESOLUTION[metric])
        self.rivals = {horizon: Rivals(max(round(horizon / ROW_S), 1)) for horizon in CONTESTED_S}
        self.sampled_at = 0.0
        self.value = 0.0
        self.is_charging = False
        self._far: Path | None = None

    def limit(self, bounds: Constraints) -> float | None:
        """The bound of the configuration that holds now."""
        if self.metric == "battery_percent":
            return None if self.is_charging else bounds.min_battery_percent
        if self.metric == "temperature_c":
            return bounds.max_temperature_c
        return bounds.max_memory_mb if self.metric == "memory_used_mb" else bounds.max_gpu_memory_mb

    def learn(self, event: ResourceSampled, value: float, now: float) -> bool:
        """Take a sample; whether there is another trend."""
        is_charging = self.metric == "battery_percent" and bool(event.battery_charging)
        if is_charging != self.is_charging:
            self.is_charging, self._far = is_charging, None
            self.trend.forget()
        self.sampled_at, self.value = now, value
        return self.trend.learn(now, value) or is_charging

    def close(self, minute: float | None, *, is_block: bool, block: float | None) -> None:
        """Rows are over: hold what was said of them against them."""
        for horizon, rivals in self.rivals.items():
            if horizon < ROW_S:
                rivals.learn(minute)
            elif is_block:
                rivals.learn(block)

    def paths(self, forecasts: list[tuple[float, RowForecast]], targets: list[float]) -> list[Path]:
        """The better of line and series, horizon by horizon, at these moments."""
        found = []
        for (horizon, one), target in zip(forecasts, targets, strict=True):
            line = self.trend.predict(target) if horizon in self.rivals else None
            path = Path(horizon, one.median, one.lower, one.upper)
            if line is not None:
                self.rivals[horizon].say(line[0], one.median)
                path = Path(horizon, *line) if self.rivals[horizon].leader == 0 else path
            found.append(self._physical(path))
        return found

    def note_far(self, path: Path, series: Series) -> None:
        """What the series expects six hours ahead, once it has shown itself."""
        self._far = path if series.rows >= PROVEN_ROWS else None

    def time_to(self, limit: float, end: float) -> float | None:
        """Seconds until the line meets the limit, within the longest horizon; 0 where the last sample is beyond it."""
        if self._is_beyond(self.value, limit):
            return 0.0
        ahead = self.trend.time_to(limit, end)
        return round(ahead, 3) if ahead is not None and ahead <= HORIZONS_S[-1] else None

    def foresee(self, host: str, bounds: Constraints, now: float, *, is_stale: bool = False) -> Foreseen:
        """What to say of the limit; without one nothing is foreseen, nor of a host that no longer reports."""
        limit = self.limit(bounds)
        fingerprint = f"{host}/{self.metric}/forecast"
        if limit is None or is_stale:
            return Foreseen(fingerprint, self.value, self.value if limit is None else limit, is_certain=False, is_expected=False, is_soon=False)
        paths = self._leading(now)
        certain = next((path for path in paths if self._is_beyond(path.upper if self.is_floor else path.lower, limit)), None)
        likely = next((path for path in paths if self._is_beyond(path.median, limit)), None)
        is_beyond = self._is_beyond(self.value, limit)
        shown = certain or likely
        return Foreseen(
            fingerprint,
            self.value if shown is None else shown.median,
            limit,
            is_certain=certain is not None and not is_beyond,
            is_expected=likely is not None or is_beyond,
            is_soon=shown is not None and shown.horizon_s <= CRITICAL_S,
        )

    def _leading(self, now: float) -> list[Path]:
        lines = [(horizon, self.trend.predict(now + horizon)) for horizon, rivals in self.rivals.items() if rivals.leader == 0]
        return [self._physical(Path(horizon, *line)) for horizon, line in lines if line is not None] + ([self._far] if self._far is not None else [])

    def _is_beyond(self, value: float, limit: float) -> bool:
        return value < limit if self.is_floor else value > limit

    def _physical(self, path: Path) -> Path:
        """Within what the sensor can say."""
        lowest = -273.15 if self.metric == "temperature_c" else 0.0
        highest = 100.0 if self.metric == "battery_percent" else float("inf")
        return Path(path.horizon_s, *(min(max(value, lowest), highest) for value in path[1:]))

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        rivals = [one.snapshot() for one in self.rivals.values()]
        now = [self.sampled_at, self.value, self.is_charging, list(self._far) if self._far is not None else None]
        return [self.metric, self.trend.snapshot(), rivals, now]

    @classmethod
    def restore(cls, state: list[Any]) -> "Resource":
        """The resource that left this snapshot."""
        resource = cls(state[0])
        resource.trend = Trend.restore(state[1])
        resource.rivals = {horizon: Rivals.restore(one) for horizon, one in zip(resource.rivals, state[2], strict=True)}
        resource.sampled_at, resource.value, resource.is_charging, far = state[3]
        resource._far = Path(*far) if far is not None else None
        return resource


__all__ = ["RESOLUTION", "Foreseen", "Path", "Resource", "Resourced"]
