"""Whether a gauge that goes with the load has left its place for such a load: a queue, a throughput, the use of a processor."""

import math
from typing import Any

from .watch_series import Away, Step

PER_OCTAVE, MOST_BINS = 2, 32
KEPT, PRIOR, FEWEST_ALIKE = 128.0, 4.0, 12.0
BLOCK = 16
WARM_UP = 150
GRAIN = 0.02
FARTHEST = 10.0
RATE = 1.0 / 8.0
USUAL, FADING, SHARE, BEYOND = 1.0, 1.0 / 4000.0, 0.95, 0.5
LASTING, LASTING_S = 20, 30.0
CALM = 8
LEARNED = 0.7
EMPTY_SHARE, EMPTY_RATE = 0.25, 1.0 / 512.0
ACCEPTED, ACCEPTED_S, LATEST_S = 2000, 3600.0, 86_400.0
HALF = 2.8


class Shift:
    """A gauge beside its mean, in mean absolute deviations, at such a load: in half octaves of 1 + the requests that run, the last 128 or so samples of each.

    The mean of the last eight or so has left its place once it is half a deviation beyond 0.95 times as far as it ever was (fading over 4,000), for 20 samples
    and 30 s on one side. That bound is not derived from the false alarms asked for. The first 150 samples, loads that are not known from 12, and gauges that
    are 0 at a quarter of the samples say nothing. Nothing is learned while an alarm stands; what stays for 2,000 samples and an hour, or a day, is usual.

    >>> shift = Shift()
    >>> moves = [shift.observe(2.0 * number, 40.0 + number % 5, 8) for number in range(200)]
    >>> [shift.observe(400.0 + 2.0 * number, 15.0 + number % 5, 8) for number in range(30)].index("raised"), any(moves)
    (20, False)
    """

    __slots__ = ("_all", "_begun", "_beyond", "_bins", "_calm", "_ends", "_level", "_seen", "_sums", "_top", "_unit", "_waiting", "_zeros", "standing")

    def __init__(self) -> None:
        self._unit = 0.0
        self._begin()

    def _begin(self) -> None:
        self._seen = 0
        self._zeros = self._level = self._top = self._begun = 0.0
        self._all = [0.0, 0.0, 0.0]
        self._bins: dict[int, list[float]] = {}
        self._waiting: list[tuple[int, float]] = []
        self._ends = [USUAL, USUAL]  # how far off the level ever was, below and above
        self._beyond = self._calm = 0
        self._sums = [0.0, 0.0, 0.0]  # since it was beyond: what was seen, what was expected, how many
        self.standing = False

    def observe(self, at: float, value: float, in_flight: int) -> Step | None:
        """Take in a sample, of a moment at which so many requests run."""
        if value and not self._unit:
            self._unit = abs(value)
        self._seen += 1
        self._zeros += max(1.0 / self._seen, EMPTY_RATE) * (float(value == 0.0) - self._zeros)
        scaled, place = self._scaled(value), min(int(PER_OCTAVE * math.log2(1.0 + max(in_flight, 0))), MOST_BINS - 1)
        held = self._bins.get(place)
        if held is not None and held[0] >= FEWEST_ALIKE:
            off = (scaled - held[1]) / self._size(held)
            self._level += RATE * (max(min(off, FARTHEST), -FARTHEST) - self._level)
            if self._beyond:
                self._sums = [self._sums[0] + scaled, self._sums[1] + held[1], self._sums[2] + 1.0]
        if self.standing:
            return self._clear(at)
        if self._is_beyond():
            return self._count(at)
        self._learn(place, scaled)
        return None

    def _scaled(self, value: float) -> float:
        """On a scale on which twice as much is as far off anywhere, but near 0."""
        return math.copysign(math.log1p(abs(value) / (self._unit or 1.0)), value)

    def _shown(self, scaled: float) -> float:
        return math.copysign(self._unit * math.expm1(min(abs(scaled), 700.0)), scaled)

    def _size(self, held: list[float]) -> float:
        return max((PRIOR * self._all[2] + held[0] * held[2]) / (PRIOR + held[0]), GRAIN)

    def _is_beyond(self) -> bool:
        if self._seen <= WARM_UP or self._zeros > EMPTY_SHARE:
            return False
        return abs(self._level) > SHARE * self._ends[self._level > 0.0] + BEYOND and (not self._beyond or self._level * self._top > 0.0)

    def _count(self, at: float) -> Step | None:
        if not self._beyond:
            self._begun, self._top, self._sums = at, self._level, [0.0, 0.0, 0.0]
        self._beyond += 1
        self._reach()
        if self._beyond < LASTING or at - self._begun < LASTING_S:
            return None
        self.standing, self._calm, self._waiting = True, 0, []
        return "raised"

    def _reach(self) -> None:
        if abs(self._level) > abs(self._top):
            self._top = self._level

    def _clear(self, at: float) -> Step | None:
        """The alarm ends once the level is back, for 8 samples, or has stayed long enough."""
        self._beyond += 1
        lasted = at - self._begun
        if (self._beyond >= ACCEPTED and lasted >= ACCEPTED_S) or lasted >= LATEST_S:
            self._begin()
            return "resolved"
        self._reach()
        self._calm = self._calm + 1 if abs(self._level) < self._ends[self._top > 0.0] else 0
        if self._calm < CALM:
            return None
        self.quiet()
        return "resolved"

    def quiet(self) -> None:
        """The alarm stands no longer; how far it went is known in part."""
        self.standing = False
        self._learn_end(LEARNED * self._top)

    def _learn_end(self, level: float) -> None:
        side = level > 0.0
        self._ends[side] = max(self._ends[side], abs(level))
        self._beyond, self._top = 0, 0.0

    def _learn(self, place: int, scaled: float) -> None:
        """A sample that is nothing new waits for its block; what was beyond for a while only is known from now on."""
        if self._beyond:
            self._learn_end(self._top)
        self._ends = [end + FADING * (USUAL - end) for end in self._ends]
        side = self._level > 0.0
        self._ends[side] = max(self._ends[side], abs(self._level))
        self._waiting.append((place, scaled))
        if len(self._waiting) < BLOCK:
            return
        for one, value in self._waiting:
            held = self._bins.setdefault(one, [0.0, 0.0, 0.0])
            away = abs(value - held[1]) if held[0] else 0.0
            for sums in (held, self._all):
                sums[0] = min(sums[0] + 1.0, KEPT)
                sums[1] += (value - sums[1]) / sums[0]
                sums[2] += (away - sums[2]) / sums[0]
        self._waiting = []

    def away(self) -> Away | None:
        """How far off it is since it left its place, in the gauge's unit; None where it has not for some samples."""
        if self._beyond < CALM or not self._sums[2]:
            return None
        seen, expected, count = self._sums
        observed, usual, size = seen / count, expected / count, max(self._all[2], GRAIN)
        far = abs(self._top) / self._ends[self._top > 0.0]
        band = self._ends[1] * size, self._ends[0] * size
        effect, score = (observed - usual) / (1.25 * size), far / (far + HALF)
        return Away(self._begun, effect, score, *(self._shown(one) for one in (observed, usual, usual - band[1], usual + band[0])))

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [
            [self._unit, self._seen, self._zeros, self._level, self._top, self._begun, self._beyond, self._calm, self.standing],
            list(self._all),
            [[place, *held] for place, held in self._bins.items()],
            [list(one) for one in self._waiting],
            list(self._ends),
            list(self._sums),
        ]

    @classmethod
    def restore(cls, state: list[Any]) -> "Shift":
        """The state of a snapshot."""
        made = cls()
        made._unit, made._seen, made._zeros, made._level, made._top, made._begun, made._beyond, made._calm, made.standing = state[0]
        made._all, made._ends, made._sums = list(state[1]), list(state[4]), list(state[5])
        made._bins = {place: held for place, *held in state[2]}
        made._waiting = [(place, scaled) for place, scaled in state[3]]
        return made


__all__ = ["Shift"]
