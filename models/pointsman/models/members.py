"""What the models of one metric have in common, and the three that every track has: a sliding median, smoothing, and a linear model."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from .quantiles import SlidingQuantiles
from .situation import Situation

RATE = 0.05
SMOOTHING = 0.2
FEWEST = 3
_FARTHEST = 3.0
_STEEPEST = 3.0


class Said(NamedTuple):
    """What a model says of a request: ln of the metric, what it wants to see again at the outcome (plain values), and its version."""

    log: float
    kept: Any = None
    version: int = 0


@dataclass(slots=True)
class View:
    """What the models see of one request: `x` are features of order one, `centre` ln of the metric's sliding median, `engine` ln of what its engine says.

    `beyond` is how far the load is beyond known ones.

    Where it is made anew from what an attempt kept, only `x` and `centre` are there. `is_question` is true where no request starts: a model that notes
    requests as they start notes nothing then.
    """

    x: dict[str, float]
    centre: float = 0.0
    situation: Situation | None = None
    engine: float | None = None
    beyond: float = 0.0
    is_question: bool = False


class Member(Protocol):
    """A model of one metric of one track, in ln: it may throw, and what it says may be anything; its host takes care."""

    @property
    def name(self) -> str:
        """Under what name it is reported."""
        ...

    @property
    def prior(self) -> float:
        """How much better than the simplest it has to be, in relative errors, before it is believed as much: complexity."""
        ...

    def predict(self, view: View) -> Said | None:
        """What it expects, None where it has nothing to say; where it is only asked, it changes nothing."""
        ...

    def learn(self, view: View, said: Said | None, log: float) -> None:
        """Take in ln of what came, and what it had said of it."""
        ...

    def snapshot(self) -> Any:
        """The state as plain values."""
        ...

    def restore(self, state: Any) -> None:
        """Take up the state of a snapshot."""
        ...


class Windowed:
    """The median of the last outcomes: the rung that always answers, and the centre of the others.

    >>> import math
    >>> windowed = Windowed(100, default=math.log(2000.0))
    >>> for latency in (900.0, 1000.0, 1100.0):
    ...     windowed.learn(View({}), None, math.log(latency))
    >>> round(math.exp(windowed.centre))
    1000
    """

    name = "windowed"
    prior = 0.0

    def __init__(self, memory: int, default: float) -> None:
        self.values = SlidingQuantiles(memory)
        self.default = default
        self.centre = default
        self.is_young = True  # it has seen too little to say anything but its default
        self.is_constant = False  # every outcome it holds is the same, as where a track is free

    def __len__(self) -> int:
        """How many outcomes it holds."""
        return len(self.values.ordered)

    def predict(self, view: View) -> Said | None:
        """The median."""
        return None if self.is_young else Said(self.centre)

    def learn(self, view: View, said: Said | None, log: float) -> None:
        """Take in a value and let the oldest go."""
        self.values.update(round(log, 6))
        self._settle()

    def snapshot(self) -> Any:
        """The state as plain values."""
        return self.values.snapshot()

    def restore(self, state: Any) -> None:
        """Take up the state of a snapshot."""
        self.values.restore(state)
        self._settle()

    def _settle(self) -> None:
        ordered = self.values.ordered
        if len(ordered) >= FEWEST:
            self.is_young, self.is_constant = False, ordered[0] == ordered[-1]
            self.centre = ordered[0] if self.is_constant else self.values.get(0.5)


class Smoothed:
    """Exponential smoothing of ln values, a step of a fifth at most e-fold: it follows a level that moves.

    >>> import math
    >>> smoothed = Smoothed()
    >>> for latency in (1000.0, 1000.0, 2000.0):
    ...     smoothed.learn(View({}), None, math.log(latency))
    >>> round(math.exp(smoothed.predict(View({})).log))
    1149
    """

    name = "smoothed"
    prior = 0.02

    def __init__(self) -> None:
        self._level: float | None = None

    def predict(self, view: View) -> Said | None:
        """The level."""
        return None if self._level is None else Said(self._level)

    def learn(self, view: View, said: Said | None, log: float) -> None:
        """Move the level."""
        self._level = log if self._level is None else self._level + SMOOTHING * max(-1.0, min(1.0, log - self._level))

    def snapshot(self) -> Any:
        """The state as plain values."""
        return self._level

    def restore(self, state: Any) -> None:
        """Take up the state of a snapshot."""
        self._level = state


class Linear:
    """Linear regression on the ratio to the sliding median, in logs, features of order one, by stochastic gradient descent.

    It says what river's `LinearRegression(SGD(0.05), intercept_lr=0.05, clip_gradient=3)` says (a test holds them together), in a fifth of the time.

    >>> linear = Linear()
    >>> for number in range(500):
    ...     view = View({"in_flight": number % 10 / 10.0}, centre=7.0)
    ...     linear.learn(view, None, 7.0 + 2.0 * view.x["in_flight"])
    >>> round(linear.predict(View({"in_flight": 0.5}, centre=7.0)).log, 1)
    8.0
    """

    name = "linear"
    prior = 0.02

    def __init__(self) -> None:
        self.weights: dict[str, float] = {}
        self.intercept = 0.0

    def predict(self, view: View) -> Said | None:
        """The median, moved by what the features say."""
        return Said(view.centre + self._away(view.x))

    def learn(self, view: View, said: Said | None, log: float) -> None:
        """One step of gradient descent."""
        away = log - view.centre
        away = -_FARTHEST if away < -_FARTHEST else _FARTHEST if away > _FARTHEST else away
        gradient = 2.0 * (self._away(view.x) - away)
        step = RATE * (-_STEEPEST if gradient < -_STEEPEST else _STEEPEST if gradient > _STEEPEST else gradient)
        self.intercept -= step
        weights = self.weights
        for name, value in view.x.items():
            weights[name] = weights.get(name, 0.0) - step * value

    def _away(self, x: dict[str, float]) -> float:
        weights, total = self.weights, 0.0
        for name, value in x.items():
            if value:
                total += weights.get(name, 0.0) * value
        return total + self.intercept

    def snapshot(self) -> Any:
        """The state as plain values."""
        return [dict(self.weights), self.intercept]

    def restore(self, state: Any) -> None:
        """Take up the state of a snapshot."""
        self.weights, self.intercept = dict(state[0]), state[1]
