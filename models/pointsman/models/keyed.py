"""What to expect of a request from others alike: medians by key, coarse to fine, and a robust regression on what they leave."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arrays import dot
from .keyed_fields import Fields, Value, fields_of, is_number
from .keyed_windows import KeyedWindows
from .least_squares import LEAST_ERROR, RobustLeastSquares
from .quantiles import SlidingQuantiles
from .situation import Situation

WINDOWS = (24, 24, 16, 16, 8)
KEYS = (160, 160, 160, 160, 320)
EVERYONE = 64
NUMBERS = 6
BINS = 24
LONG_IDLE = 7.0
INPUTS = 19
SMALLEST = 1e-12
LARGEST = 1e12
REACH = 1.0
FADING = 0.01
THOROUGH = 2000
SAMPLED = 4


class Kept(NamedTuple):
    """A prediction with what is needed to learn from its outcome: plain values; `Kept.read` takes them back from a snapshot.

    `median` is in the metric's own unit, None before the first outcome; `level` is ln of what those alike had, `corrected` with the regression; the rest is the
    request's row: its keys coarse to fine under the `version` of their order, the code of each field, its bins and the regression's inputs.
    """

    median: float | None
    level: float
    corrected: float
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
        return 0.5 * self.inputs[12], self.inputs[16], self.inputs[17], 0.5 * self.inputs[8]

    @classmethod
    def read(cls, values: Sequence[Any]) -> "Kept":
        """The prediction of a snapshot's list."""
        median, level, corrected, tilt, now, version, keys, codes, bins, numbers, inputs = values
        return cls(median, level, corrected, tilt, now, version, tuple(keys), tuple(codes), tuple(bins), tuple(numbers), tuple(inputs))


class Keyed:
    """One metric of one track, learned from requests alike: `predict` at the start, `learn` at the outcome.

    The chain: rolling medians of ln y over everyone and over ever finer keys (`Fields` finds which fields, in which order), windows 64 24 24 16 16 8, each
    shrunk to its parent, (n · median + 2 · parent) ÷ (n + 2). On ln y − the finest, a nearly least-absolute recursive regression: steps of the chain, log
    numbers, time since last use of the keys, load, recent residuals, spread, and what was left of late at this idle time and at this load (binned means, for
    cold starts and queues). The chain alone answers while it was the better of late. Values are positive, in any unit; `plain` learns
    them as they are (quality), not their logarithms. Leave out requests that failed.

    >>> keyed = Keyed()
    >>> keyed.predict(Situation(now=0.0)).median is None
    True
    >>> for number in range(600):
    ...     size = (256, 512, 1024)[number % 3]
    ...     kept = keyed.predict(Situation(now=float(number), attributes={"model": f"m{number % 4}", "size": size}))
    ...     keyed.learn(kept, 3.0 * size + 500.0 * (number % 4))
    >>> round(keyed.predict(Situation(now=600.0, attributes={"model": "m1", "size": 512})).median)
    2055
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
        "_means",
        "_numbers",
        "_plain",
        "_predicted",
        "_prefixes",
        "_recent",
        "_regression",
        "_seen",
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
        self._tilts = RobustLeastSquares(NUMBERS)
        self._slopes = [0.0] * NUMBERS
        self._means = [0.0] * NUMBERS
        self._centre = 0.0
        self._prefixes: list[tuple[int, ...]] = []
        self._chain: list[KeyedWindows] = []
        self._numbers: list[int] = []
        self._binned = [[0.0] * BINS, [0.0] * BINS]
        self._errors = [0.0, 0.0]
        self._gap = 0.0
        self._last = 0.0
        self._predicted = self._seen = self._version = self._evicted = 0

    def predict(self, situation: Situation) -> Kept:
        """What to expect, with the row to learn from."""
        now = situation.now if math.isfinite(situation.now) else self._last
        self._tick(now)
        codes, numbers = self._read(situation)
        tilt = dot(self._slopes, (one - mean for one, mean in zip(numbers, self._means, strict=True)))
        keys = [_combined(codes, prefix) for prefix in self._prefixes]
        level, inputs, bins = self._row(situation, now, keys, self._everyone.get(0.5))
        level += tilt
        corrected = level + max(-REACH, min(REACH, self._regression.predict(inputs)))
        chosen = corrected if self._errors[1] <= self._errors[0] else level
        median = (max(chosen, 0.0) if self._plain else math.exp(chosen)) if self._seen else None
        return Kept(median, level, corrected, tilt, now, self._version, tuple(keys), tuple(codes), bins, tuple(numbers), tuple(inputs.tolist()))

    def learn(self, kept: Kept, value: float) -> None:
        """What came of it, in the metric's own unit."""
        if not math.isfinite(value):
            return
        value = max(-3.0, min(3.0, value)) if self._plain else max(SMALLEST, min(LARGEST, value))
        outcome = value if self._plain else math.log(value)
        if self._seen and kept.version == self._version:
            self._correct(kept, outcome)
        self._seen += 1
        for place, number in enumerate(kept.numbers):
            self._means[place] += max(1.0 / self._seen, 0.001) * (number - self._means[place])
        self._centre += max(1.0 / self._seen, FADING) * (outcome - self._centre)
        steps = max(-32_767, min(32_767, round((outcome - kept.tilt) * self._unit)))
        self._everyone.update(steps / self._unit)
        if kept.version == self._version:
            self._remember(kept, steps, outcome)
        if self._fields.learn(kept.codes, outcome):
            self._rebuild()

    def _row(self, situation: Situation, now: float, keys: list[int], everyone: float) -> tuple[float, NDArray[np.float64], tuple[int, ...]]:
        """The chain's finest level, the regression's inputs, and the bins of idle time and load."""
        unit, level, steps, since = self._unit, everyone, [0.0] * len(WINDOWS), [-1.0] * 3
        drift = spread = newest = held = 0.0
        for depth, (windows, key) in enumerate(zip(self._chain, keys, strict=True)):
            place = windows.touch(key, now)
            count = windows.count[place]
            newest, held = 0.0, float(count)
            if depth == 0:
                drift, spread = windows.drift[place], windows.spread[place] / unit
            if depth < 3:
                since[depth:] = [windows.since] * (3 - depth)
            since[2] = windows.since
            if count:
                steps[depth] = step = count / (count + 2.0) * (windows.median[place] / unit - level)
                level += step
                newest = windows.last[place] / unit - level
        idle = [math.log(one / self._gap + 0.1) if one >= 0.0 and self._gap > 0.0 else LONG_IDLE for one in since]
        waiting = math.log1p(max(situation.in_flight, 0))
        bins = (_idle_bin(idle[0]) if since[0] >= 0.0 else 0, min(round(3.0 / math.log(2.0) * waiting), BINS - 1))
        row = np.array(
            (
                *steps,
                *idle,
                waiting,
                math.log1p(min(max(situation.pressure, 0.0), 1e6)),
                _sane(situation.drift),
                _sane(situation.overdue),
                math.log1p(held),
                self._recent.get(0.5),
                drift,
                newest,
                spread,
                self._binned[0][bins[0]],
                self._binned[1][bins[1]],
            )
        )
        return level, np.rint(row * 1e4) / 1e4, bins

    def _correct(self, kept: Kept, outcome: float) -> None:
        """Judge the chain alone and corrected, in the metric's own unit; then the regression and the binned means learn what the chain left."""
        rate = max(1.0 / self._seen, FADING)
        for place, said in enumerate((kept.level, kept.corrected)):
            away = abs(outcome - said) if self._plain else abs(math.exp(outcome) - math.exp(said))
            self._errors[place] += rate * (away - self._errors[place])
        rest = max(-3.0, min(3.0, outcome - kept.level))
        self._recent.update(round(rest, 4))
        for means, place in zip(self._binned, kept.bins, strict=True):
            means[place] = round(means[place] + 0.05 * (max(-1.0, min(1.0, rest - means[place]))), 9)
        if self._seen > THOROUGH and self._seen % 2:
            return
        self._regression.learn(kept.inputs, rest, 1.0 if self._plain else math.exp(max(-3.0, min(3.0, 0.5 * (kept.level - self._centre)))))

    def _remember(self, kept: Kept, steps: int, outcome: float) -> None:
        for depth, (windows, key) in enumerate(zip(self._chain, kept.keys, strict=True)):
            place = windows.learn(key, steps, kept.now)
            if depth == 0:
                *numbers, rest = windows.centre(place, (*kept.numbers, outcome))
                if windows.count[place] > 1 and (self._seen <= THOROUGH or self._seen % SAMPLED == 0):
                    self._tilts.learn(numbers, max(-3.0, min(3.0, rest)))
                    self._slopes = [max(-3.0, min(3.0, slope)) for slope in self._tilts.slopes()]
                windows.drift[place] += 0.2 * (outcome - kept.level - windows.drift[place])

    def _rebuild(self) -> None:
        """Take up a new order of the fields; levels whose fields stay keep what they have."""
        order = self._fields.order
        depths = min(len(order), len(WINDOWS))
        lengths = [1 + round((depth * (len(order) - 1)) / max(depths - 1, 1)) for depth in range(depths)]
        prefixes = [tuple(sorted(order[:length])) for length in lengths]
        old = self._chain
        kept = {prefix: windows for prefix, windows in zip(self._prefixes, old, strict=True)}
        places = {prefix: depth for depth, prefix in enumerate(self._prefixes)}
        self._chain = [
            kept[prefix] if places.get(prefix) == depth else KeyedWindows(WINDOWS[depth], KEYS[depth], 0 if depth else NUMBERS + 1)
            for depth, prefix in enumerate(prefixes)
        ]
        if prefixes[:1] != self._prefixes[:1]:
            self._tilts, self._slopes = RobustLeastSquares(NUMBERS), [0.0] * NUMBERS
            self._regression = RobustLeastSquares(INPUTS, least_error=0.02 if self._plain else LEAST_ERROR)
        self._errors = [0.0, 0.0]
        self._evicted += sum(windows.evicted for depth, windows in enumerate(old) if depth >= len(self._chain) or windows is not self._chain[depth])
        self._prefixes = prefixes
        self._version += 1

    def _tick(self, now: float) -> None:
        """Count the time between starts in its running mean; a long silence counts as twenty."""
        if self._predicted:
            gap = max(now - self._last, 0.0)
            self._gap += max(1.0 / self._predicted, 0.002) * (min(gap, 20.0 * self._gap if self._gap > 0.0 else gap) - self._gap)
        self._predicted += 1
        self._last = now

    def _read(self, situation: Situation) -> tuple[list[int], list[float]]:
        """The code of each field, 0 where the request lacks it, and the first six numeric ones as signed logarithms."""
        numbers = [-0.7] * NUMBERS
        given: list[tuple[int, Value]] = []
        for name, value in fields_of(situation):
            number = self._fields.number(name)
            if number < 0:
                continue
            given.append((number, value))
            if is_number(value):
                if number not in self._numbers and len(self._numbers) < NUMBERS:
                    self._numbers.append(number)
                if number in self._numbers:
                    numbers[self._numbers.index(number)] = round(math.copysign(math.log1p(abs(float(value))), float(value)), 4)
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
            "prefixes": [list(prefix) for prefix in self._prefixes],
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
        keyed._prefixes = [tuple(prefix) for prefix in state["prefixes"]]
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


def _combined(codes: list[int], prefix: tuple[int, ...]) -> int:
    """One 32-bit key of several fields' codes."""
    key = 0
    for number in prefix:
        key = ((key ^ codes[number]) * 0x9E3779B1 + 0x7F4A7C15) & 0xFFFFFFFF
        key ^= key >> 15
    return key


def _sane(number: float) -> float:
    return number if -1e3 < number < 1e3 else 0.0


def _idle_bin(idle: float) -> int:
    """By ln of how many mean gaps a key was idle; 0 is for one never seen."""
    return 1 + max(0, min(BINS - 2, round(1.5 * idle) + 4))
