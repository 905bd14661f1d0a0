"""What to expect of a request from others alike: medians by key, coarse to fine, and a robust regression on what they leave."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .keyed_fields import MOST_FIELDS, Fields, Told, fields_of, told
from .keyed_windows import KeyedWindows
from .least_squares import LEAST_ERROR, RobustLeastSquares
from .quantiles import SlidingQuantiles
from .situation import Situation
from .small_least_squares import SmallLeastSquares

WINDOWS = (16, 16, 16, 8)
KEYS = (384, 128, 128, 320)
EVERYONE = 64
NUMBERS = 6
BINS = 24
LONG_IDLE = 7.0
INPUTS = 14 + len(WINDOWS)
HELD, SPREAD, IDLE, WAITING = INPUTS - 7, INPUTS - 3, INPUTS - 2, len(WINDOWS) + 3
SMALLEST = 1e-12
LARGEST = 1e12
REACH = 1.0
FADING = 0.01
THOROUGH = 2000
SAMPLED = 4
LEARNED = 3
PER_E_FOLD = 3.0 / math.log(2.0)
FACTORS = tuple(0x9E3779B1 * (2 * number + 1) & 0xFFFFFFFF for number in range(MOST_FIELDS))


class Kept(NamedTuple):
    """A prediction with what is needed to learn from its outcome: plain values; `Kept.read` takes them back from a snapshot.

    `median` is in the metric's own unit, None before the first outcome; `said` is ln of it by each way: the chain, the chain corrected by the regression, and
    the last ones alike alone. The rest is the request's row: its keys coarse to fine under the `version` of their order, the code of each field, its bins
    and the regression's inputs.
    """

    median: float | None
    said: tuple[float, float, float]
    tilt: float
    now: float
    version: int
    keys: tuple[int, ...]
    codes: tuple[int, ...]
    bins: tuple[int, ...]
    numbers: tuple[float, ...]
    inputs: tuple[float, ...]

    @property
    def near(self) -> tuple[float, float, float, float]:
        """What tells how sure it is, for `Conformal.issue`: how many alike, their spread, what idle time makes of it, and load."""
        return 0.5 * self.inputs[HELD], self.inputs[SPREAD], self.inputs[IDLE], 0.5 * self.inputs[WAITING]

    @classmethod
    def read(cls, values: Sequence[Any]) -> "Kept":
        """The prediction of a snapshot's list."""
        median, said, tilt, now, version, keys, codes, bins, numbers, inputs = values
        return cls(median, tuple(said), tilt, now, version, tuple(keys), tuple(codes), tuple(bins), tuple(numbers), tuple(inputs))


class Keyed:
    """One metric of one track, learned from requests alike: `predict` at the start, `learn` at the outcome.

    The chain: rolling medians of ln y over everyone and over ever finer keys (`Fields` finds which fields, in which order), windows 64 16 16 16 8, each
    shrunk to its parent, (n · median + 2 · parent) ÷ (n + 2). On ln y − the finest, a nearly least-absolute recursive regression: steps of the chain, log
    numbers, time since last use of the keys, load, recent residuals, spread, and what was left of late at this idle time and at this load (binned means, for
    cold starts and queues). Of the chain alone, corrected, and the last alike
    alone (the finest window's median) the one with the least error of late answers. Values are positive, in any unit; `plain` learns
    them as they are (quality), not their logarithms. Leave out requests that failed.

    >>> keyed = Keyed()
    >>> keyed.predict(Situation(now=0.0)).median is None
    True
    >>> for number in range(600):
    ...     size = (256, 512, 1024)[number % 3]
    ...     kept = keyed.predict(Situation(now=float(number), attributes={"model": f"m{number % 4}", "size": size}))
    ...     keyed.learn(kept, 3.0 * size + 500.0 * (number % 4))
    >>> round(keyed.predict(Situation(now=600.0, attributes={"model": "m1", "size": 512})).median)
    2037
    """

    __slots__ = (
        "_binned",
        "_centre",
        "_chain",
        "_errors",
        "_everyone",
        "_evicted",
        "_fields",
        "_gap",
        "_last",
        "_lengths",
        "_means",
        "_numbers",
        "_plain",
        "_predicted",
        "_recent",
        "_regression",
        "_seen",
        "_shape",
        "_slopes",
        "_tilts",
        "_unit",
        "_version",
    )

    def __init__(self, plain: bool = False) -> None:
        self._plain = plain
        self._unit = 10_000.0 if plain else 1_000.0
        self._fields = Fields()
        self._everyone = SlidingQuantiles(EVERYONE)
        self._recent = SlidingQuantiles(32)
        self._regression = RobustLeastSquares(INPUTS, least_error=0.02 if self._plain else LEAST_ERROR)
        self._tilts = SmallLeastSquares(NUMBERS)
        self._slopes = [0.0] * NUMBERS
        self._means = [0.0] * NUMBERS
        self._centre = 0.0
        self._shape: tuple[int, ...] = ()
        self._lengths: list[int] = []
        self._chain: list[KeyedWindows] = []
        self._numbers: list[int] = []
        self._binned = [[0.0] * BINS, [0.0] * BINS]
        self._errors = [0.0, 0.0, 0.0]
        self._gap = 0.0
        self._last = 0.0
        self._predicted = self._seen = self._version = self._evicted = 0

    def predict(self, situation: Situation) -> Kept:
        """What to expect, with the row to learn from."""
        return self._predict(situation, is_question=False)

    def peek(self, situation: Situation) -> float | None:
        """The median that `predict` would give; changes nothing."""
        kept = self._gap, self._last, self._predicted
        try:
            return self._predict(situation, is_question=True).median
        finally:
            self._gap, self._last, self._predicted = kept

    def _predict(self, situation: Situation, *, is_question: bool) -> Kept:
        now = situation.now if math.isfinite(situation.now) else self._last
        self._tick(now)
        codes, numbers = self._read(situation, is_question)
        tilt = 0.0
        for slope, one, mean in zip(self._slopes, numbers, self._means, strict=True):
            tilt += slope * (one - mean)
        keys = self._keys(codes)
        level, alike, inputs, bins = self._row(situation, now, keys, self._everyone.get(0.5), is_question)
        level += tilt
        said = level, level + max(-REACH, min(REACH, self._regression.predict(inputs))), alike + tilt
        chosen = said[self._best()]
        median = (max(chosen, 0.0) if self._plain else math.exp(chosen)) if self._seen else None
        return Kept(median, said, tilt, now, self._version, tuple(keys), tuple(codes), bins, tuple(numbers), tuple(inputs.tolist()))

    def learn(self, kept: Kept, value: float) -> None:
        """What came of it, in the metric's own unit."""
        if not math.isfinite(value):
            return
        value = max(-3.0, min(3.0, value)) if self._plain else max(SMALLEST, min(LARGEST, value))
        outcome = value if self._plain else math.log(value)
        if self._seen and kept.version == self._version:
            self._correct(kept, value, outcome)
        self._seen += 1
        rate = max(1.0 / self._seen, 0.001)
        self._means = [mean + rate * (number - mean) for mean, number in zip(self._means, kept.numbers, strict=True)]
        self._centre += max(1.0 / self._seen, FADING) * (outcome - self._centre)
        steps = max(-32_767, min(32_767, round((outcome - kept.tilt) * self._unit)))
        self._everyone.update(steps / self._unit)
        if kept.version == self._version:
            self._remember(kept, steps, outcome)
        if self._fields.learn(kept.codes, outcome):
            self._rebuild()

    def _keys(self, codes: list[int]) -> list[int]:
        """For each level one 32-bit key of its fields' codes, whatever their order: a sum in which each field has a factor of its own."""
        keys, key, begun = list[int](), 0, 0
        for length in self._lengths:
            for number in self._shape[begun:length]:
                key += codes[number] * FACTORS[number]
            begun = length
            keys.append(key & 0xFFFFFFFF)
        return keys

    def _best(self) -> int:
        """The way with the least error of late; the corrected one among equals."""
        chain, corrected, alike = self._errors
        if corrected <= chain and corrected <= alike:
            return 1
        return 0 if chain <= alike else 2

    def _row(
        self, situation: Situation, now: float, keys: list[int], everyone: float, is_question: bool
    ) -> tuple[float, float, NDArray[np.float64], tuple[int, int]]:
        """The chain's finest level, the median of the finest window, the regression's inputs, and the bins of idle time and load."""
        unit, level, alike, steps, since = self._unit, everyone, everyone, [0.0] * len(WINDOWS), [-1.0] * 3
        drift = spread = newest = 0.0
        count = 0
        for depth, windows in enumerate(self._chain):
            place = windows.find(keys[depth], now) if is_question else windows.touch(keys[depth], now)
            count = windows.count[place] if place >= 0 else 0
            if depth == 0:
                since[0] = windows.since
                if place >= 0:
                    drift, spread = windows.drift[place], windows.spread[place] / unit
            if depth < 2:
                since[1] = windows.since
            since[2] = windows.since
            newest = 0.0
            if count:
                alike = windows.median[place] / unit
                steps[depth] = step = count / (count + 2.0) * (alike - level)
                level += step
                newest = windows.last[place] / unit - level
        gap = self._gap
        idle = [math.log(one / gap + 0.1) if one >= 0.0 and gap > 0.0 else LONG_IDLE for one in since]
        waiting = math.log1p(max(situation.in_flight, 0))
        bins = _idle_bin(idle[0]) if since[0] >= 0.0 else 0, min(round(PER_E_FOLD * waiting), BINS - 1)
        row = np.array(
            (
                *steps,
                *idle,
                waiting,
                math.log1p(min(max(situation.pressure, 0.0), 1e6)) if situation.pressure else 0.0,
                _sane(situation.drift),
                _sane(situation.overdue),
                math.log1p(count),
                self._recent.get(0.5),
                drift,
                newest,
                spread,
                self._binned[0][bins[0]],
                self._binned[1][bins[1]],
            )
        )
        row *= 1e4
        np.rint(row, row)
        row /= 1e4
        return level, alike, row, bins

    def _correct(self, kept: Kept, value: float, outcome: float) -> None:
        """Judge each way, in the metric's own unit; then the regression and the binned means learn what the chain left."""
        rate, level = max(1.0 / self._seen, FADING), kept.said[0]
        for place, said in enumerate(kept.said):
            away = abs(outcome - said) if self._plain else abs(value - math.exp(said))
            self._errors[place] += rate * (away - self._errors[place])
        rest = max(-3.0, min(3.0, outcome - level))
        self._recent.update(round(rest, 4))
        for means, place in zip(self._binned, kept.bins, strict=True):
            means[place] += 0.05 * max(-1.0, min(1.0, rest - means[place]))
        if self._seen > THOROUGH and self._seen % LEARNED:
            return
        self._regression.learn(kept.inputs, rest, 1.0 if self._plain else math.exp(max(-3.0, min(3.0, 0.5 * (level - self._centre)))))

    def _remember(self, kept: Kept, steps: int, outcome: float) -> None:
        for depth, (windows, key) in enumerate(zip(self._chain, kept.keys, strict=True)):
            place = windows.learn(key, steps, kept.now)
            if depth == 0:
                *numbers, rest = windows.centre(place, (*kept.numbers, outcome))
                if windows.count[place] > 1 and (self._seen <= THOROUGH or self._seen % SAMPLED == 0):
                    self._tilts.learn(numbers, max(-3.0, min(3.0, rest)))
                    self._slopes = [max(-3.0, min(3.0, slope)) for slope in self._tilts.slopes()]
                windows.drift[place] += 0.2 * (outcome - kept.said[0] - windows.drift[place])

    def _rebuild(self) -> None:
        """Take up a new order of the fields; levels whose fields stay keep what they have."""
        order = self._fields.order
        depths = min(len(order), len(WINDOWS))
        lengths = [1 + round((depth * (len(order) - 1)) / max(depths - 1, 1)) for depth in range(depths)]
        shapes = [frozenset(order[:length]) for length in lengths]
        old, before = self._chain, [frozenset(self._shape[:length]) for length in self._lengths]
        alike = {(shape, WINDOWS[depth], KEYS[depth]): windows for depth, (shape, windows) in enumerate(zip(before, old, strict=True))}
        self._chain = [
            alike.get((shape, WINDOWS[depth], KEYS[depth])) or KeyedWindows(WINDOWS[depth], KEYS[depth], 0 if depth else NUMBERS + 1)
            for depth, shape in enumerate(shapes)
        ]
        if order[:1] != self._shape[:1]:
            self._tilts, self._slopes = SmallLeastSquares(NUMBERS), [0.0] * NUMBERS
            self._regression = RobustLeastSquares(INPUTS, least_error=0.02 if self._plain else LEAST_ERROR)
        self._errors = [0.0, 0.0, 0.0]
        self._evicted += sum(windows.evicted for windows in old if all(windows is not one for one in self._chain))
        self._shape, self._lengths = order, lengths
        self._version += 1

    def _tick(self, now: float) -> None:
        """Count the time between starts in its running mean; a long silence counts as twenty."""
        if self._predicted:
            gap = max(now - self._last, 0.0)
            self._gap += max(1.0 / self._predicted, 0.002) * (min(gap, 20.0 * self._gap if self._gap > 0.0 else gap) - self._gap)
        self._predicted += 1
        self._last = now

    def _read(self, situation: Situation, is_question: bool) -> tuple[list[int], list[float]]:
        """The code of each field, 0 where the request lacks it, and the first six numeric ones as signed logarithms."""
        numbers = [-0.7] * NUMBERS
        given: list[tuple[int, Told]] = []
        for name, value in fields_of(situation):
            number = self._fields.known(name) if is_question else self._fields.number(name)
            if number < 0:
                continue
            one = told(value)
            given.append((number, one))
            if one.number is not None:
                if number in self._numbers:
                    numbers[self._numbers.index(number)] = one.number
                elif len(self._numbers) < NUMBERS and not is_question:
                    numbers[len(self._numbers)] = one.number
                    self._numbers.append(number)
        if is_question:
            return self._fields.answers(given), numbers
        return self._fields.codes(given, self._seen <= THOROUGH or self._predicted % SAMPLED == 0), numbers

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "fields": self._fields.snapshot(),
            "everyone": self._everyone.snapshot(),
            "recent": self._recent.snapshot(),
            "regression": self._regression.snapshot(),
            "tilts": self._tilts.snapshot(),
            "slopes": [list(self._slopes), list(self._means)],
            "centre": self._centre,
            "shape": [list(self._shape), list(self._lengths)],
            "chain": [windows.snapshot() for windows in self._chain],
            "numbers": list(self._numbers),
            "binned": [list(means) for means in self._binned],
            "errors": list(self._errors),
            "clock": [self._gap, self._last],
            "counts": [self._predicted, self._seen, self._version, self._evicted],
        }

    @classmethod
    def restore(cls, state: dict[str, Any], plain: bool = False) -> "Keyed":
        """The predictor that left this snapshot."""
        keyed = cls(plain)
        keyed._fields.restore(state["fields"])
        keyed._everyone.restore(state["everyone"])
        keyed._recent.restore(state["recent"])
        keyed._regression.restore(state["regression"])
        keyed._tilts.restore(state["tilts"])
        (keyed._slopes, keyed._means), keyed._centre = map(list, state["slopes"]), state["centre"]
        keyed._shape, keyed._lengths = tuple(state["shape"][0]), list(state["shape"][1])
        keyed._chain = [KeyedWindows(WINDOWS[depth], KEYS[depth], 0 if depth else NUMBERS + 1) for depth in range(len(state["chain"]))]
        for windows, values in zip(keyed._chain, state["chain"], strict=True):
            windows.restore(values)
        keyed._numbers, keyed._binned, keyed._errors = list(state["numbers"]), [list(means) for means in state["binned"]], list(state["errors"])
        keyed._gap, keyed._last = state["clock"]
        keyed._predicted, keyed._seen, keyed._version, keyed._evicted = state["counts"]
        return keyed

    @property
    def evicted(self) -> int:
        """How many keys gave way to newer ones."""
        return self._evicted + sum(windows.evicted for windows in self._chain)


def _sane(number: float) -> float:
    return number if -1e3 < number < 1e3 else 0.0


def _idle_bin(idle: float) -> int:
    """By ln of how many mean gaps a key was idle; 0 is for one never seen."""
    return 1 + max(0, min(BINS - 2, round(1.5 * idle) + 4))
