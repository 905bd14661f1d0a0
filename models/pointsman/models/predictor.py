"""One metric of one track: models side by side, blended by how they did of late, each cared for, and an interval around what is issued."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.schemas import Interval

from .care import Standing, is_sane
from .conformal import Band, Conformal, ConformalSettings
from .conformal_light import LightConformal
from .coverage import Coverage
from .ensemble import MEMORY, weights
from .members import Member, Said, View, Windowed

METRICS = ("latency_ms", "ttft_ms", "output_tokens", "cost_usd", "quality_score")
DECIMALS = {"latency_ms": 3, "ttft_ms": 3, "output_tokens": 1, "cost_usd": 9, "quality_score": 6}
SMALLEST = {"latency_ms": 0.01, "ttft_ms": 0.01, "output_tokens": 0.5, "cost_usd": 1e-9, "quality_score": 1e-3}
SLACK = {metric: 0.5 * 10.0**-digits for metric, digits in DECIMALS.items()}  # what is issued has so many digits
YOUNG = 20
SHARED = 4  # shares follow errors that fade over fifty outcomes: every fourth is soon enough
ENGINES_CROWD = 250.0
_LARGEST_LOG = 25.0
_SETTINGS = (ConformalSettings(), ConformalSettings(bounds=(0.0, 1.0)))

Makers = Mapping[str, Callable[[], Member]]


@dataclass(slots=True)
class Saying:
    """What was said of one metric of one request: ln of the median, the median and interval issued, what each model said, and the band to learn from."""

    log: float
    median: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    said: dict[str, Said] = field(default_factory=dict)
    band: Band | None = None
    is_full: bool = False

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.log, self.median, self.lower, self.upper, self.said, self.band, self.is_full]

    @classmethod
    def restore(cls, state: list[Any]) -> "Saying":
        """What left this snapshot."""
        said = {name: Said(*one) for name, one in state[4].items()}
        log, median, lower, upper = state[:4]
        return cls(log, median, lower, upper, said, Band.read(state[5]) if state[5] is not None else None, state[6])


class Predictor:
    """The models of one metric of one track, and what is issued of them.

    `makers` are the models beside the sliding median; those in `light` answer always, the others while the track is in full form.
    """

    __slots__ = ("_nothing", "coverage", "has_rested", "intervals", "makers", "members", "metric", "shares", "standings", "window")

    def __init__(self, metric: str, default: float, memory: int, makers: Makers) -> None:
        self.metric = metric
        self._nothing = SMALLEST[metric] * 1.000001
        self.window = Windowed(memory, math.log(max(default, SMALLEST[metric])))
        self.makers = makers
        self.members: dict[str, Member] = {name: make() for name, make in makers.items()}
        self.standings = {name: Standing() for name in ("windowed", *makers)}
        self.intervals: dict[bool, Conformal | LightConformal] = {}
        self.coverage = Coverage()
        self.shares: dict[str, float] = {}
        self.has_rested = False

    # what is said

    @property
    def champion(self) -> str:
        """The model with the largest share; the sliding median, or its default, while the others are young."""
        return "default" if self.window.is_young else max(self.shares, key=lambda name: self.shares[name], default="windowed")

    def look(self, view: View, active: frozenset[str]) -> tuple[Saying, list[str]]:
        """The blend and what each says, and who failed to say anything sane; reads only."""
        window = self.window
        if window.is_young:
            return Saying(window.default), []
        centre = view.centre = window.centre
        said = {"windowed": Said(centre)}
        failed: list[str] = []
        if window.is_constant:
            return Saying(centre, said=said), failed
        for name, member in self.members.items():
            if name not in active:
                continue
            try:
                one = member.predict(view)
                if one is None:
                    continue
                if is_sane(one.log, centre):
                    said[name] = one
                else:
                    failed.append(name)
            except Exception:  # law 9: whatever a model throws, another answers
                failed.append(name)
        return Saying(self._blend(said, centre), said=said), failed

    def _blend(self, said: dict[str, Said], centre: float) -> float:
        total = mean = 0.0
        for name, share in self.shares.items():
            if name in said:
                total += share
                mean += share * (said[name].log - centre)
        return centre + mean / total if total > 0.0 else centre

    def issue(self, view: View, active: frozenset[str], near: tuple[float, ...], in_flight: int, now: float, *, is_full: bool) -> Saying | None:
        """What is published of a request, and kept until its outcome; None before there is anything to say."""
        if self.window.is_young:
            return None
        saying, failed = self.look(view, active)
        for name in failed:
            self.rest(name, now)
        saying.median = median = self._value(saying.log)
        saying.is_full = is_full
        if self.window.is_constant:
            saying.lower = saying.upper = median
            return saying
        saying.band = band = (self.intervals.get(is_full) or self._conformal(is_full)).issue(median, near, in_flight, view.beyond)
        saying.lower = band.lower if band.lower < median else median
        saying.upper = band.upper if band.upper > median else median
        if self.has_rested:
            saying.said = {name: one._replace(version=self.standings[name].version) for name, one in saying.said.items()}
        return saying

    def interval(self, saying: Saying) -> Interval:
        """The median with its 90 % interval, in the metric's unit."""
        digits = DECIMALS[self.metric]
        return Interval(median=round(saying.median, digits), lower=round(saying.lower, digits), upper=round(saying.upper, digits))

    def expected(self, view: View, active: frozenset[str], near: tuple[float, ...], in_flight: int, *, is_full: bool) -> tuple[float, Interval]:
        """ln of the median, and the interval that would be issued; reads only, and the prior's where nothing was seen."""
        saying, _ = self.look(view, active)
        saying.median = median = self._value(saying.log)
        if self.window.is_constant:
            saying.lower = saying.upper = median
        else:
            band = (self.intervals.get(is_full) or self._fresh(is_full)).issue(median, near, in_flight, view.beyond)
            saying.lower, saying.upper = min(band.lower, median), max(band.upper, median)
        return saying.log, self.interval(saying)

    def quantile(self, log: float, level: float, near: tuple[float, ...], *, is_full: bool) -> float:
        """The value under which a share `level` of such requests stays."""
        conformal = self.intervals.get(is_full)
        if conformal is None or len(conformal) < YOUNG:
            return _exp(log + 1.6)
        return conformal.quantile(self._value(log), level, near)

    # what is learned

    def learn(self, view: View, value: float, saying: Saying | None, active: frozenset[str], now: float) -> None:
        """Take in an outcome; `saying` is what was issued of it, where something was."""
        log = math.log(max(value, SMALLEST[self.metric]))
        if saying is not None:
            self._judge_interval(saying, value)
        elif not self.window.is_young:
            saying, _ = self.look(view, active)
        view.centre = self.window.centre
        if saying is not None:
            self._measure(saying.said, log, value, now, math.expm1(4.0 * view.x.get("in_flight", 0.0)))
        if not self.window.is_young and not (self.window.is_constant and abs(log - self.window.centre) < 1e-6):
            self._teach(view, saying, log, active, now)
        self.window.learn(view, None, log)
        if not self.window.is_constant:
            outcomes = self.standings["windowed"].outcomes
            if outcomes <= MEMORY or outcomes % SHARED == 0:
                self._share_out(active)

    def _judge_interval(self, saying: Saying, value: float) -> None:
        self.coverage.observe(saying.lower, saying.upper, value, SLACK[self.metric])
        if saying.band is not None and (conformal := self.intervals.get(saying.is_full)) is not None:
            conformal.observe(saying.band, value)

    def _measure(self, said: Mapping[str, Said], log: float, value: float, now: float, in_flight: float) -> None:
        """Every model that spoke is judged by what it said; one that has diverged goes to rest, one that has proved itself comes back."""
        simplest = self.standings["windowed"]
        if "engine" in said:  # from calm to crowded takes seconds: what is a little better on calm days must not speak for the crowd
            in_flight = max(in_flight, ENGINES_CROWD)
        for name, one in said.items():
            standing = self.standings.get(name)
            if standing is None or standing.version != one.version:
                continue
            standing.observe(abs(log - one.log), value, _exp(one.log), in_flight)
            if standing.is_resting:
                standing.judge(simplest.error, now)
            elif standing is not simplest and standing.has_diverged(simplest.error):
                self.rest(name, now)

    def _teach(self, view: View, saying: Saying | None, log: float, active: frozenset[str], now: float) -> None:
        said = saying.said if saying is not None else {}
        for name, member in self.members.items():
            if name not in active:
                continue
            one = said.get(name)
            if one is not None and one.version != self.standings[name].version:
                one = None
            try:
                member.learn(view, one, log)
            except Exception:  # law 9
                self.rest(name, now)

    def rest(self, name: str, now: float) -> None:
        """A model failed: made anew, silent until it has proved itself."""
        self.has_rested = True
        self.standings[name].rest(now)
        self.members[name] = self.makers[name]()
        self.shares.pop(name, None)

    def _share_out(self, active: frozenset[str]) -> None:
        """The shares of those that may answer now."""
        rivals = [name for name in self.members if name in active and self.standings[name].may_answer]
        if not rivals:
            self.shares = {"windowed": 1.0}
            return
        names = ["windowed", *rivals]
        standings = [self.standings[name] for name in names]
        priors = [0.0, *[self.members[name].prior for name in rivals]]
        shares = weights([standing.loss for standing in standings], priors, [standing.outcomes for standing in standings])
        self.shares = dict(zip(names, shares, strict=True))

    # state

    def take_over(self, other: "Predictor") -> None:
        """Continue what another predictor of this metric has learned, as far as both have it."""
        self.window.restore(other.window.snapshot()[-self.window.values.size :])
        same = [name for name, make in self.makers.items() if other.makers.get(name) == make]
        self.members |= {name: other.members[name] for name in same}
        self.standings |= {name: other.standings[name] for name in ("windowed", *same)}
        self.has_rested = any(standing.version for standing in self.standings.values())
        self.intervals, self.coverage = other.intervals, other.coverage
        self.shares = {name: other.shares[name] for name in ("windowed", *same) if name in other.shares}

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "window": self.window.snapshot(),
            "members": {name: member.snapshot() for name, member in self.members.items()},
            "standings": {name: standing.snapshot() for name, standing in self.standings.items()},
            "intervals": {"full" if is_full else "light": conformal.snapshot() for is_full, conformal in self.intervals.items()},
            "coverage": self.coverage.snapshot(),
            "shares": self.shares,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self.window.restore(state["window"])
        for name, member in self.members.items():
            member.restore(state["members"][name])
        self.standings = {name: Standing.restore(standing) for name, standing in state["standings"].items()}
        self.intervals = {form == "full": self._restored(form == "full", found) for form, found in state["intervals"].items()}
        self.has_rested = any(standing.version for standing in self.standings.values())
        self.coverage = Coverage.restore(state["coverage"])
        self.shares = state["shares"]

    def _conformal(self, is_full: bool) -> Conformal | LightConformal:
        found = self.intervals.get(is_full)
        if found is None:
            found = self.intervals[is_full] = self._fresh(is_full)
        return found

    def _fresh(self, is_full: bool) -> Conformal | LightConformal:
        is_share = self.metric == "quality_score"
        return Conformal(_SETTINGS[is_share]) if is_full else LightConformal(is_share)

    def _restored(self, is_full: bool, state: dict[str, Any]) -> Conformal | LightConformal:
        is_share = self.metric == "quality_score"
        return Conformal.restore(state, _SETTINGS[is_share]) if is_full else LightConformal.restore(state, is_share)

    def _value(self, log: float) -> float:
        """The metric in its unit; what is as small as the smallest is nothing."""
        number = _exp(log)
        if number > 1.0 and self.metric == "quality_score":
            return 1.0
        return number if number > self._nothing else 0.0


def _exp(log: float) -> float:
    return math.exp(log if -_LARGEST_LOG < log < _LARGEST_LOG else math.copysign(_LARGEST_LOG, log))
