"""The slow scale: series of minutes beside their season, by the detector of `pointsman detect`."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .detector import Scored, SeriesDetector
from .false_alarms import level
from .watch_series import HALF, Away, Speed, Step

MINUTE_S = 60.0
MOST_SERIES = 16
A_DAY = 1440
MOST_SILENT = 1440
CALM = 15
Key = tuple[str, str, str]
ARRIVALS = "arrival_rate"


class Row(NamedTuple):
    """What a minute says of a series."""

    key: Key
    step: Step
    speed: Speed
    away: Away | None


class Minutes:
    """Means of minutes (counts a second for arrivals), at most 16 series, in the order in which they appear; what found no place is counted in `refused`.

    Nothing is said of a series in its first day, since its season is not known. A minute above the level for so many false alarms a month raises an alarm; 15
    minutes in a row below half of it resolve it. A minute without a value is no row, but 0 for arrivals, for up to a day of silence.
    """

    __slots__ = ("_calm", "_end", "_open", "_rows", "_series", "refused")

    def __init__(self) -> None:
        self._series: dict[Key, SeriesDetector] = {}
        self._rows: dict[Key, int] = {}
        self._calm: dict[Key, int] = {}
        self._open: dict[Key, list[float]] = {}
        self._end = 0.0
        self.refused = 0

    def count(self, key: Key, value: float) -> None:
        """Something happens in the open minute: a value of a series, or an arrival."""
        held = self._open.get(key)
        if held is None:
            if key not in self._series:
                if len(self._series) >= MOST_SERIES:
                    self.refused += 1
                    return
                self._series[key], self._rows[key] = SeriesDetector(), 0
            held = self._open[key] = [0.0, 0.0]
        held[0] += value
        held[1] += 1.0

    def due(self, now: float) -> bool:
        """Whether a minute is over."""
        if self._end == 0.0:
            self._end = (now // MINUTE_S + 1.0) * MINUTE_S
        return now >= self._end

    def close(self, now: float, per_month: float) -> Iterator[Row]:
        """The minutes that are over, one after the other, and what they raise and resolve."""
        self._end = max(self._end, (now // MINUTE_S - MOST_SILENT) * MINUTE_S)
        while now >= self._end:
            for key, detector in self._series.items():
                value = self._value(key)
                row = self._calmed(key, "anomaly") if value is None else self._judge(key, detector.step(self._end, value), value, per_month)
                if row is not None:
                    yield row
            self._open = {}
            self._end += MINUTE_S

    def _value(self, key: Key) -> float | None:
        held = self._open.get(key)
        if key[2] == ARRIVALS:
            return held[0] / MINUTE_S if held is not None else 0.0
        return held[0] / held[1] if held is not None else None

    def _judge(self, key: Key, scored: Scored, value: float, per_month: float) -> Row | None:
        self._rows[key] += 1
        if self._rows[key] <= A_DAY or (scored.kind == "gap" and key[2] != ARRIVALS):
            return None
        bound = level(per_month, MINUTE_S)
        spread = max(0.5 * (scored.upper - scored.lower) / 1.645, 1e-300)
        away = Away(
            self._end - MINUTE_S,
            (value - scored.expected) / spread,
            scored.surprise / (scored.surprise + HALF),
            value,
            scored.expected,
            scored.lower,
            scored.upper,
        )
        speed: Speed = "drift" if scored.kind == "drift" else "anomaly"
        if key in self._calm:
            if scored.surprise >= 0.5 * bound:
                self._calm[key] = 0
            return self._calmed(key, speed)
        if scored.surprise <= bound:
            return None
        self._calm[key] = 0
        return Row(key, "raised", speed, away)

    def _calmed(self, key: Key, speed: Speed) -> Row | None:
        """Another calm minute of a series whose alarm stands; one without a value is calm."""
        if key not in self._calm:
            return None
        self._calm[key] += 1
        if self._calm[key] <= CALM:
            return None
        del self._calm[key]
        return Row(key, "resolved", speed, None)

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values."""
        head = {
            "end": self._end,
            "refused": self.refused,
            "series": [[list(key), rows] for key, rows in self._rows.items()],
            "calm": [[list(key), count] for key, count in self._calm.items()],
            "open": [[list(key), held] for key, held in self._open.items()],
        }
        return {"watch_minutes": head} | {f"watch_minutes:{place}": detector.snapshot() for place, detector in enumerate(self._series.values())}

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        head = parts["watch_minutes"]
        self._end, self.refused = head["end"], head["refused"]
        self._rows = {_key(key): rows for key, rows in head["series"]}
        self._calm = {_key(key): count for key, count in head["calm"]}
        self._open = {_key(key): list(held) for key, held in head["open"]}
        self._series = {key: SeriesDetector.restore(parts[f"watch_minutes:{place}"]) for place, key in enumerate(self._rows)}


def _key(values: list[str]) -> Key:
    return values[0], values[1], values[2]


__all__ = ["ARRIVALS", "Key", "Minutes", "Row"]
