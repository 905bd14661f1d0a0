"""Anomalies of one series: each row is scored before it is learned, and the score means the same on every series."""

import math
from array import array
from collections import deque
from typing import Any, Literal, NamedTuple

from .arrays import added
from .normal import Expected, Normal
from .shape import Shape
from .surprise import Surprise

Kind = Literal["residual", "level", "shift", "jump", "shape", "drift", "variance", "stuck", "gap"]
IN_MEAN = 4
SINGLES: tuple[tuple[Kind, float], ...] = (
    ("level", 0.5),
    ("shift", 0.5),
    ("jump", 0.5),
    ("shape", 0.5),
    ("drift", 0.5),
    ("variance", 1.0),
    ("stuck", 1.0),
    ("gap", 0.5),
)
STATISTICS = IN_MEAN + len(SINGLES)
LONGEST, DRIFT = 15, 10
HALF, SILENCE = 2.8, 100
LARGEST, LARGEST_STATISTIC = 1e30, 1e38  # within single precision, in which the largest are kept
BITS = 30
USUAL_GAP, STEADY = 3.0, 20
LEARNED, SCORED, LARGER, CLOSEST = 1000.0, 1e5, 1000.0, 0.001  # how far off a value is learned and scored at most: one must not hide the next
BAND_RATE, BAND_MISSED = 0.05, 0.1
_PLAIN = ("_unit", "_size", "_first", "_last", "_step_s", "_rows", "_since", "_previous", "_fast", "_slow", "_moves", "_all_moves", "_band")


class Scored(NamedTuple):
    """What a row is: its `surprise` on the scale of -log10 of a probability, what had been expected with a 90 % band, and what gives it away.

    `score` is surprise / (surprise + 2.8), and 0 for the 100 rows that follow one above 0.5: an anomaly is told once. `surprises` are those of the statistics.
    """

    score: float
    surprise: float
    expected: float
    lower: float
    upper: float
    kind: Kind
    surprises: tuple[float, ...]


class _Row(NamedTuple):
    """A row on its way: what was asked, what it makes of the running means, and its statistics."""

    at: float
    given: float
    size: float
    taken: float
    unit: float
    gap: float
    expected: Expected
    miss: float
    fast: float
    moves: float
    statistics: list[float]
    scored: Scored


class SeriesDetector:
    """Scores one row after the other; rows may come at any distance, twice, or late, and a gap shows at the row that ends it.

    Twelve statistics, each calibrated by `Surprise`: the residuals from what is normal (mixture, and time of day; one row, and three), from the level, of the
    last fifteen rows, of ten rows, of an autoregression; the jump; the residuals' variance, stillness, and the gap. The surprise of a row is the mean of the
    first four, or the largest of the others less 0.5 (variance and stillness less 1), whichever is more.

    >>> detector = SeriesDetector()
    >>> said = [detector.step(300.0 * row, float(row % 12)) for row in range(2000)]
    >>> detector.step(600_000.0, 40.0).score > 0.6 > max(one.score for one in said)
    True
    """

    __slots__ = (*_PLAIN, "_daily", "_mixed", "_normal", "_row", "_shape", "_tails")

    def __init__(self) -> None:
        self._unit = self._size = 0.0
        self._first = self._last = self._step_s = 0.0
        self._rows = 0
        self._since = SILENCE
        self._previous = 0.0
        self._fast = self._slow = self._moves = self._all_moves = self._band = 0.0
        self._normal = Normal()
        self._shape = Shape()
        self._mixed, self._daily = deque([0.0] * (DRIFT - 1)), deque([0.0] * (LONGEST - 1))
        self._tails = [Surprise() for _ in range(STATISTICS)]
        self._row: _Row | None = None

    @property
    def step_s(self) -> float:
        """The usual time between two rows, in seconds; 0 before the second."""
        return self._step_s

    def step(self, at: float, value: float) -> Scored:
        """Score a row, then learn it; `at` in epoch seconds, a time before the last row's counts as the last row's. The value is finite."""
        scored = self.score(at, value)
        self.learn(at, value)
        return scored

    def score(self, at: float, value: float) -> Scored:
        """What a row would be, were it the next; nothing changes."""
        row = self._row = self._look(at, value)
        return row.scored

    def learn(self, at: float, value: float) -> None:
        """Take in a row."""
        row = self._row
        if row is None or (row.at, row.given) != (at, value):
            row = self._look(at, value)
        self._row = None
        if self._rows == 0:
            self._first = self._last = at
            self._previous = row.taken
        self._since = 0 if self._since >= SILENCE and row.scored.surprise > HALF else self._since + 1
        for tail, one in zip(self._tails, row.statistics, strict=True):
            tail.learn(one)
        self._normal.learn(row.expected, row.taken, self._step_s)
        self._shape.learn(row.taken, row.miss)
        self._follow(row)

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        parts = {"normal": self._normal.snapshot(), "shape": self._shape.snapshot(), "tails": [tail.snapshot() for tail in self._tails]}
        return {"plain": [getattr(self, name) for name in _PLAIN], "mixed": list(self._mixed), "daily": list(self._daily), **parts}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "SeriesDetector":
        """The state of a snapshot."""
        made = cls()
        for name, value in zip(_PLAIN, state["plain"], strict=True):
            setattr(made, name, value)
        made._mixed, made._daily = deque(state["mixed"]), deque(state["daily"])
        made._normal.restore(state["normal"])
        made._shape.restore(state["shape"])
        made._tails = [Surprise.restore(tail) for tail in state["tails"]]
        return made

    def _look(self, at: float, given: float) -> _Row:
        unit = self._unit or _unit(given)
        value = min(max(given / unit, -LARGEST), LARGEST)
        gap = max(at - self._last, 0.0) if self._rows else 0.0
        expected = self._normal.expect(self._last + gap - self._first if self._rows else 0.0, value)
        mixture = expected.mixture
        far = max(self._normal.scale, CLOSEST * self._size) if self._rows > STEADY else math.inf
        size = min(abs(value), LARGER * self._size) if self._rows > STEADY and self._size > 0.0 else abs(value)
        if far > 0.0:
            value = min(max(value, mixture - SCORED * far), mixture + SCORED * far)
        taken = min(max(value, mixture - LEARNED * far), mixture + LEARNED * far) if far > 0.0 else value
        move = abs(value - self._previous) if self._rows else 0.0
        fast = self._fast + (abs(taken - mixture) - self._fast) / 15.0
        moves = self._moves + ((abs(taken - self._previous) if self._rows else 0.0) - self._moves) / 30.0
        miss = self._shape.miss(value)
        statistics = self._statistics(value, expected, move, abs(miss) * self._shape.spread, fast, moves, gap)
        surprises = [tail.say(one) for tail, one in zip(self._tails, statistics, strict=True)]
        surprise, kind = together(surprises)
        score = surprise / (surprise + HALF) if self._since >= SILENCE else 0.0
        band = self._band
        scored = Scored(score, surprise, mixture * unit, (mixture - band) * unit, (mixture + band) * unit, kind, tuple(surprises))
        return _Row(at, given, size, taken, unit, gap, expected, miss, fast, moves, statistics, scored)

    def _statistics(self, value: float, expected: Expected, move: float, shape: float, fast: float, moves: float, gap: float) -> list[float]:
        mixed, daily, size = self._mixed, self._daily, self._size
        residual, by_day = value - expected.mixture, value - expected.day
        quantum = math.ldexp(1.0, math.frexp(size)[1] - BITS) if size > 0.0 else 0.0
        found = (
            abs(residual),
            abs(mixed[-2] + mixed[-1] + residual) / 3.0,
            abs(by_day),
            abs(daily[-2] + daily[-1] + by_day) / 3.0,
            abs(value - expected.level),
            abs(math.fsum(daily) + by_day) / LONGEST,
            move,
            shape,
            abs(math.fsum(mixed) + residual) / DRIFT,
            size * fast / self._slow if self._slow > quantum else 0.0,
            size * self._all_moves / (moves + 0.05 * self._all_moves) if self._all_moves > quantum else 0.0,
            size * max(gap / self._step_s - USUAL_GAP, 0.0) if self._step_s > 0.0 else 0.0,
        )
        most = 1e15 * quantum
        return array("f", [round(one / quantum) * quantum if 0.0 < one < most else min(one, LARGEST_STATISTIC) for one in found]).tolist()

    def _follow(self, row: _Row) -> None:
        """The running means."""
        self._rows += 1
        rows, value = self._rows, row.taken
        residual, move = value - row.expected.mixture, abs(value - self._previous)
        away = abs(residual)
        if value != 0.0:
            self._unit = row.unit
        self._fast, self._moves = row.fast, row.moves
        self._size += max(1.0 / rows, 0.002) * (row.size - self._size)
        self._slow += max(1.0 / rows, 1.0 / 600.0) * (away - self._slow)
        self._all_moves += max(1.0 / rows, 1.0 / 1500.0) * (move - self._all_moves)
        self._band = max(self._band + BAND_RATE * self._slow * (1.0 - BAND_MISSED if away > self._band else -BAND_MISSED), 0.0)
        if rows > 1:
            usual = min(row.gap, USUAL_GAP * self._step_s) if rows > STEADY else row.gap
            self._step_s += max(1.0 / (rows - 1), 0.01) * (usual - self._step_s)
        self._last += row.gap
        self._previous = value
        self._mixed.append(residual)
        self._mixed.popleft()
        self._daily.append(value - row.expected.day)
        self._daily.popleft()


def together(surprises: list[float]) -> tuple[float, Kind]:
    """The surprise of a row from those of its statistics, and which kind gives it away."""
    surprise = added(surprises[:IN_MEAN]) / IN_MEAN
    kind: Kind = "residual"
    for one, (name, off) in zip(surprises[IN_MEAN:], SINGLES, strict=True):
        if one - off > surprise:
            surprise, kind = one - off, name
    return max(surprise, 0.0), kind


def _unit(value: float) -> float:
    """The size of a value as a power of two, so that dividing by it rounds nothing; 1 for 0."""
    return math.ldexp(1.0, min(max(math.frexp(value)[1], -1000), 1000)) if value else 1.0


__all__ = ["Kind", "Scored", "SeriesDetector", "together"]
