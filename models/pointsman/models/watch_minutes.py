"""The slow scale: series of minutes beside their season, by the detector of `pointsman detect`."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .detector import Scored, SeriesDetector
from .false_alarms import level, sure
from .surprise import WARM_UP
from .watch_series import HALF, Away, Speed, Step

MINUTE_S = 60.0
MOST_SERIES = 32
MOST_WAITING = 128
MOST_SILENT = 1440
CALM = 15
HOUR_S = 3600.0
FADING, MORE = 0.9, 2.0
Key = tuple[str, str, str]
ARRIVALS = "arrival_rate"


class Row(NamedTuple):
    """What a minute says of a series."""

    key: Key
    step: Step
    speed: Speed
    away: Away | None


class Minutes:
    """Means of minutes (counts a second for arrivals), of at most 32 series: those with the most values.

    While there is room a series is watched from its first value on. Else it waits, and takes the place of the one with the fewest values once it has had twice
    as many, looked at every hour (counts fade by a tenth an hour, arrivals of the scope keep their place). Values that found no place are counted in `refused`.
    The first 100 minutes of a series raise nothing, and the first hours count for less (`sure`). A minute above the level for so many false alarms a month
    raises an alarm; 15 minutes in a row below half of it resolve it. A minute without a value is no row, but 0 for arrivals, for up to a day of silence.
    """

    __slots__ = ("_calm", "_end", "_open", "_rows", "_series", "_traffic", "refused")

    def __init__(self) -> None:
        self._series: dict[Key, SeriesDetector] = {}
        self._rows: dict[Key, int] = {}
        self._calm: dict[Key, int] = {}
        self._open: dict[Key, list[float]] = {}
        self._traffic: dict[Key, float] = {}
        self._end = 0.0
        self.refused = 0

    def count(self, key: Key, value: float) -> None:
        """Something happens in the open minute: a value of a series, or an arrival."""
        if key in self._traffic or len(self._traffic) < MOST_WAITING:
            self._traffic[key] = self._traffic.get(key, 0.0) + 1.0
        held = self._open.get(key)
        if held is None:
            if key not in self._series:
                if len(self._series) >= MOST_SERIES:
                    self.refused += 1
                    return
                self._admit(key)
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
            if self._end % HOUR_S == 0.0:
                yield from self._review()
            self._end += MINUTE_S

    def _admit(self, key: Key) -> None:
        self._series[key], self._rows[key] = SeriesDetector(), 0

    def _review(self) -> Iterator[Row]:
        """Another hour: who waits and has had far more values than one that is watched takes its place."""
        if len(self._series) >= MOST_SERIES:
            waiting = sorted((key for key in self._traffic if key not in self._series), key=lambda key: (-self._traffic[key], key))
            for key in waiting:
                least = min((one for one in self._series if one[2] != ARRIVALS or one[0] != one[1]), key=lambda one: (self._traffic.get(one, 0.0), one))
                if self._traffic[key] <= MORE * self._traffic.get(least, 0.0):
                    break
                del self._series[least], self._rows[least]
                if self._calm.pop(least, None) is not None:
                    yield Row(least, "resolved", "anomaly", None)
                self._admit(key)
        self._traffic = {key: FADING * count for key, count in self._traffic.items() if key in self._series or count >= 1.0}

    def _value(self, key: Key) -> float | None:
        held = self._open.get(key)
        if key[2] == ARRIVALS:
            return held[0] / MINUTE_S if held is not None else 0.0
        return held[0] / held[1] if held is not None else None

    def _judge(self, key: Key, scored: Scored, value: float, per_month: float) -> Row | None:
        self._rows[key] += 1
        if self._rows[key] <= WARM_UP or (scored.kind == "gap" and key[2] != ARRIVALS):
            return None
        bound, surprise = level(per_month, MINUTE_S), sure(scored.surprise, self._rows[key])
        spread = max(0.5 * (scored.upper - scored.lower) / 1.645, 1e-300)
        away = Away(
            self._end - MINUTE_S,
            (value - scored.expected) / spread,
            surprise / (surprise + HALF),
            value,
            scored.expected,
            scored.lower,
            scored.upper,
        )
        speed: Speed = "drift" if scored.kind == "drift" else "anomaly"
        if key in self._calm:
            if surprise >= 0.5 * bound:
                self._calm[key] = 0
            return self._calmed(key, speed)
        if surprise <= bound:
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
            "traffic": [[list(key), count] for key, count in self._traffic.items()],
            "open": [[list(key), held] for key, held in self._open.items()],
        }
        return {"watch_minutes": head} | {f"watch_minutes:{place}": detector.snapshot() for place, detector in enumerate(self._series.values())}

    def restore(self, parts: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        head = parts["watch_minutes"]
        self._end, self.refused = head["end"], head["refused"]
        self._rows = {_key(key): rows for key, rows in head["series"]}
        self._calm = {_key(key): count for key, count in head["calm"]}
        self._traffic = {_key(key): count for key, count in head["traffic"]}
        self._open = {_key(key): list(held) for key, held in head["open"]}
        self._series = {key: SeriesDetector.restore(parts[f"watch_minutes:{place}"]) for place, key in enumerate(self._rows)}


def _key(values: list[str]) -> Key:
    return values[0], values[1], values[2]


__all__ = ["ARRIVALS", "Key", "Minutes", "Row"]
