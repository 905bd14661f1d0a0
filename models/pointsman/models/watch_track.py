"""The outcomes of one track: each metric of each beside what is usual for such a request under such a load."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pointsman.schemas import RequestCompleted

from .join import Attempt
from .watch_arrivals import Arrivals
from .watch_errors import WatchedErrors
from .watch_near import Near
from .watch_series import Away, Speed, Step, WatchedSeries
from .watch_usual import Usual

TIMES = ("latency_ms", "ttft_ms")
TOKENS = ("input_tokens", "output_tokens")
FAR = 3.0
LEAST = {
    "latency_ms": 0.22,
    "ttft_ms": 0.26,
    "output_tokens": 0.7,
    "input_tokens": 0.5,
    "cost_usd": 0.1,
    "quality_score": 0.03,
}  # changes that matter: times of 1.25
_RATE = 1.0 / 256.0
Row = tuple[float, ...]


class Load(NamedTuple):
    """ln(1 + x) of what explains an outcome: tokens of the answer and of the prompt, and what arrived at its track lately."""

    output: float
    input: float
    seconds: float
    minute: float
    minutes: float


ROWS: Mapping[str, tuple[int, Callable[[Load], Row]]] = {
    "latency_ms": (6, lambda load: (1.0, *load)),
    "ttft_ms": (5, lambda load: (1.0, load.input, load.seconds, load.minute, load.minutes)),
    "cost_usd": (3, lambda load: (1.0, load.output, load.input)),
    "output_tokens": (2, lambda load: (1.0, load.input)),
    "input_tokens": (1, lambda _: (1.0,)),
    "quality_score": (2, lambda load: (1.0, load.output)),
}


class Found(NamedTuple):
    """What an outcome says: normal scores (above 0 is worse), what was beyond the usual, and which alarms it raised or resolved."""

    deviations: dict[str, float]
    extra_usd: float
    steps: list[tuple[str, Step]]


class WatchedTrack:
    """A series per metric that the track's outcomes have, made when the first comes, and its errors."""

    __slots__ = ("_errors", "_lowest", "_near", "_per_month", "_reach", "_seen", "_series", "_usual_flight", "_usual_tokens", "arrivals")

    def __init__(self, per_month: float) -> None:
        self._per_month = per_month
        self._series: dict[str, WatchedSeries] = {}
        self._errors = WatchedErrors(per_month)
        self._lowest: dict[str, float] = {}
        self._usual_tokens, self._usual_flight = [0.0, 0.0], [0.0, 0.0]
        self.arrivals = Arrivals()
        self._seen = 0
        self._reach = Usual(1 + len(Load._fields))
        self._near = Near(len(Load._fields), len(TIMES))

    def observe(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> Found:
        """Judge an outcome, and learn from it."""
        found = Found({}, 0.0, [])
        if not event.is_excused:
            score, step = self._errors.observe(now, not event.success)
            self._note(found, "error", score, step)
        if not event.success or event.cache_hit:
            return found
        load = self._measure(event, attempt, now)
        doubt = self._doubt(load)
        self._times(found, event, load, self._flight(attempt, load), now, doubt)
        extra_usd = self._logged(found, "cost_usd", event.cost_usd, load, now, doubt)
        for metric, tokens in (("output_tokens", event.output_tokens), ("input_tokens", event.input_tokens)):
            if tokens is not None:
                self._judge(found, metric, math.log1p(tokens), load, now, doubt)
        if event.quality_score is not None:
            self._judge(found, "quality_score", -event.quality_score, load, now, doubt)
        return found._replace(extra_usd=extra_usd)

    def assessed(self, score: float, now: float) -> Found:
        """Judge a quality that comes after the outcome."""
        found = Found({}, 0.0, [])
        self._judge(found, "quality_score", -score, Load(*self._usual_tokens, *self.arrivals.logs(now)), now, 1.0)
        return found

    def _measure(self, event: RequestCompleted, attempt: Attempt | None, now: float) -> Load:
        """What explains the outcome; what is not known is as it usually is."""
        context = attempt.context if attempt is not None else None
        asked = event.input_tokens if event.input_tokens is not None else context.input_tokens if context is not None else None
        given = (math.log1p(event.output_tokens) if event.output_tokens is not None else None, math.log1p(asked) if asked is not None else None)
        self._seen += 1
        rate = max(1.0 / self._seen, _RATE)
        for place, one in enumerate(given):
            if one is not None:
                self._usual_tokens[place] += rate * (one - self._usual_tokens[place])
        output, prompt = (one if one is not None else usual for one, usual in zip(given, self._usual_tokens, strict=True))
        return Load(output, prompt, *self.arrivals.logs(now))

    def _doubt(self, load: Load) -> float:
        """By how much more an outcome may vary where few were like it; the load is learned."""
        row = (1.0, *load)
        leverage = self._reach.leverage(row)
        self._reach.learn(row, 0.0, 0.0, 0.0)
        if self._reach.is_full:
            self._reach.settle(keep=True)
        return math.sqrt(1.0 + leverage) * max(1.0, leverage * self._reach.rows / (FAR * len(row)))

    def _flight(self, attempt: Attempt | None, load: Load) -> Row:
        """The other explanation of times: the requests in flight and those waiting at the start. A fault shows beside it before they are many."""
        features = attempt.features if attempt is not None else {}
        for place, name in enumerate(("in_flight", "queue")):
            self._usual_flight[place] = features.get(name, self._usual_flight[place])
        return (1.0, load.output, load.input, *self._usual_flight)

    def _times(self, found: Found, event: RequestCompleted, load: Load, flight: Row, now: float, doubt: float) -> None:
        """Latency and TTFT, beside the outcomes that were most like this one, too."""
        residuals = [self._residual(metric, getattr(event, metric), load) for metric in TIMES]
        offsets = self._near.ask(load)
        for metric, offset in zip(TIMES, offsets, strict=True):
            self._logged(found, metric, getattr(event, metric), load, now, doubt, offset, flight)
        if any(one == one for one in residuals):
            self._near.learn(load, residuals)
            if self._near.is_full:
                self._near.settle(keep=not any(self._series[metric].is_doubtful for metric in TIMES if metric in self._series))

    def _residual(self, metric: str, value: float | None, load: Load) -> float:
        """By how much a metric is off its line; not a number where that is not known."""
        series = self._series.get(metric)
        found = series.residual(ROWS[metric][1](load), self._log(metric, value)) if series is not None and value is not None else None
        return found if found is not None else math.nan

    def _logged(self, found: Found, metric: str, value: float | None, load: Load, now: float, doubt: float, offset: float = 0.0, flight: Row = ()) -> float:
        """A metric on a logarithmic scale; by how much it is beyond what is usual."""
        if value is None:
            return 0.0
        expected = self._judge(found, metric, self._log(metric, value), load, now, doubt, offset, flight)
        return max(value - math.exp(min(expected, 700.0)), 0.0) if expected is not None and value > 0.0 else 0.0

    def _log(self, metric: str, value: float) -> float:
        """ln of a value; 0 counts as the smallest that was seen, so that the unit does not matter."""
        lowest = self._lowest.get(metric)
        if value <= 0.0:
            return lowest if lowest is not None else 0.0
        log = math.log(value)
        if lowest is None or log < lowest:
            self._lowest[metric] = log
        return log

    def _judge(self, found: Found, metric: str, value: float, load: Load, now: float, doubt: float, offset: float = 0.0, flight: Row = ()) -> float | None:
        inputs, row = ROWS[metric]
        series = self._series.get(metric)
        if series is None:
            series = self._series[metric] = WatchedSeries(inputs, self._per_month, beside=len(flight), both_ways=metric in TOKENS, least=LEAST[metric])
        score, expected, step = series.observe(now, row(load), value, doubt, offset, flight)
        self._note(found, metric, score, step)
        return expected if series.is_ready else None

    def _note(self, found: Found, metric: str, score: float, step: Step | None) -> None:
        found.deviations[metric] = round(score, 3)
        if step is not None:
            found.steps.append((metric, step))

    # what stands

    def metrics(self) -> list[str]:
        """The metrics that are watched."""
        return ["error", *self._series]

    def _of(self, metric: str) -> WatchedSeries | WatchedErrors:
        return self._errors if metric == "error" else self._series[metric]

    def speed(self, metric: str) -> Speed:
        """Whether an alarm's change is slow."""
        standing = self._of(metric).standing
        return standing.kind if standing is not None else "anomaly"

    def is_silent(self, metric: str, now: float) -> bool:
        """Whether a metric has not been heard of for so long that its alarm says nothing any more."""
        return self._of(metric).pace.is_silent(now)

    def quiet(self, metric: str) -> None:
        """An alarm of a metric stands no longer."""
        self._of(metric).silent()

    def away(self, metric: str) -> Away | None:
        """How far a metric is from what is usual, in its unit."""
        away = self._of(metric).away()
        if away is None or metric == "error":
            return away
        if metric == "quality_score":
            return away._replace(observed=-away.observed, expected=-away.expected, lower=-away.upper, upper=-away.lower)
        shown = _tokens if metric in TOKENS else _exp
        return away._replace(observed=shown(away.observed), expected=shown(away.expected), lower=shown(away.lower), upper=shown(away.upper))

    def set_per_month(self, per_month: float) -> None:
        """So many false alarms a month and series from now on."""
        self._per_month = per_month
        for metric in self.metrics():
            self._of(metric).pace.per_month = per_month

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        series = {metric: one.snapshot() for metric, one in self._series.items()}
        return {
            "errors": self._errors.snapshot(),
            "series": series,
            "lowest": dict(self._lowest),
            "usual_tokens": list(self._usual_tokens),
            "usual_flight": list(self._usual_flight),
            "arrivals": self.arrivals.snapshot(),
            "seen": self._seen,
            "reach": self._reach.snapshot(),
            "near": self._near.snapshot(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], per_month: float) -> "WatchedTrack":
        """The state of a snapshot."""
        made = cls(per_month)
        made._errors = WatchedErrors.restore(state["errors"], per_month)
        made._series = {metric: WatchedSeries.restore(one, per_month) for metric, one in state["series"].items()}
        made._lowest, made._usual_tokens, made._seen = dict(state["lowest"]), list(state["usual_tokens"]), state["seen"]
        made._usual_flight = list(state["usual_flight"])
        made.arrivals = Arrivals.restore(state["arrivals"])
        made._reach, made._near = Usual.restore(state["reach"]), Near.restore(state["near"])
        return made


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _tokens(value: float) -> float:
    return max(math.expm1(min(value, 700.0)), 0.0)


__all__ = ["Found", "WatchedTrack"]
