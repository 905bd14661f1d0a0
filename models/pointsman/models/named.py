"""A river regressor that a user named: validated when the configuration is taken up, fed ln values, and kept in snapshots field by field."""

import functools
import importlib
import inspect
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from river import base, preprocessing

from pointsman.schemas import ModelChoice

from .members import Said, View
from .structure import UnknownStructureError, dump, load

SEED = 1
LARGEST = 1_000_000
MEASURED = 512
_TRIALS = 40


class ModelRefusedError(ValueError):
    """A model that can't be used; the message says which, why, and what to do."""


class OutgrownError(RuntimeError):
    """A model whose state is larger than a snapshot may carry."""


@dataclass(frozen=True, slots=True)
class Making:
    """How a named model is made, and made anew."""

    choice: ModelChoice

    def __call__(self) -> "Named":
        return Named(self.choice)


class Named:
    """river's regressor behind a `StandardScaler`, on ln of the metric; features as `pointsman.models.outlook.features`, and `recent`, ln of the median.

    A `seed` that is left open is 1, so that every run gives the same. Every 512 outcomes its state is measured: one beyond 1 MB is made anew.

    >>> named = Named(ModelChoice(metric="latency_ms", model="river.tree.HoeffdingTreeRegressor"))
    >>> for number in range(1000):
    ...     named.learn(View({"in_flight": number % 10 / 10.0}, centre=7.0), None, 7.0 + number % 10 / 10.0)
    >>> round(named.predict(View({"in_flight": 0.5}, centre=7.0)).log, 1)
    7.5
    """

    prior = 0.05

    def __init__(self, choice: ModelChoice) -> None:
        self.name = choice.model
        self.model: Any = preprocessing.StandardScaler() | regressor(choice)
        self.learned = 0

    def predict(self, view: View) -> Said | None:
        """What it expects; nothing before its first outcome."""
        return Said(float(self.model.predict_one(_inputs(view)))) if self.learned else None

    def learn(self, view: View, said: Said | None, log: float) -> None:
        """One outcome."""
        self.learned += 1
        self.model.learn_one(_inputs(view), log)
        if self.learned % MEASURED == 0 and len(json.dumps(dump(self.model))) > LARGEST:
            raise OutgrownError(f"the state of {self.name} is beyond {LARGEST} bytes")

    def snapshot(self) -> Any:
        """The state as plain values."""
        return [self.learned, dump(self.model)]

    def restore(self, state: Any) -> None:
        """Take up the state of a snapshot."""
        self.learned, rows = state
        self.model = load(rows)


def makings(choices: Iterable[ModelChoice], track: str, metric: str) -> dict[str, Making]:
    """The models that are named for this metric of this track, by the names under which they are reported."""
    found: dict[str, Making] = {}
    for choice in choices:
        if choice.metric == metric and choice.track in (None, track):
            twins = sum(making.choice.model == choice.model for making in found.values())
            found[f"{choice.model}#{twins + 1}" if twins else choice.model] = Making(choice)
    return found


def regressor(choice: ModelChoice) -> base.Regressor:
    """The regressor that a choice names, new; raises `ModelRefusedError` where it can't be made."""
    module, _, name = choice.model.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ModelRefusedError(f"{choice.model}: river has no such class; give its full name, for example river.tree.HoeffdingTreeRegressor") from None
    if not (inspect.isclass(cls) and issubclass(cls, base.Regressor)) or inspect.isabstract(cls):
        raise ModelRefusedError(f"{choice.model} is not a regressor; name one, for example river.tree.HoeffdingTreeRegressor")
    parameters = dict(choice.parameters)
    try:
        if "seed" in inspect.signature(cls).parameters and parameters.get("seed") is None:
            parameters["seed"] = SEED
        return cls(**parameters)
    except Exception as error:
        raise ModelRefusedError(f"{choice.model} can't be made with these parameters ({error}); correct them, or leave them out") from None


def check(choice: ModelChoice) -> None:
    """Raise `ModelRefusedError` for a model that can't be made, can't learn, or whose state can't be written down and continued exactly."""
    reason = _reason(choice.model, json.dumps(choice.parameters, sort_keys=True))
    if reason is not None:
        raise ModelRefusedError(reason)


@functools.lru_cache(maxsize=256)
def _reason(model: str, parameters: str) -> str | None:
    """Why it is refused, found by a trial: some outcomes, its state written and read, and then the same predictions."""
    choice = ModelChoice(metric="latency_ms", model=model, parameters=json.loads(parameters))
    try:
        one, other = Named(choice), Named(choice)
        for place in range(2 * _TRIALS):
            view = View({"in_flight": 0.618034 * place % 1.0, "input": 0.754878 * place % 1.0}, centre=6.0)
            if place == _TRIALS:
                other.restore(json.loads(json.dumps(one.snapshot())))
            if place >= _TRIALS and _said(one, view) != _said(other, view):
                return f"{model} does not go on exactly from its written state, as a restart needs; name another model"
            log = 6.0 + view.x["in_flight"] + 0.1 * (0.569840 * place % 1.0)
            one.learn(view, None, log)
            if place >= _TRIALS:
                other.learn(view, None, log)
        if json.dumps(one.snapshot()) != json.dumps(other.snapshot()):
            return f"{model} does not go on exactly from its written state, as a restart needs; name another model"
    except ModelRefusedError as error:
        return str(error)
    except UnknownStructureError as error:
        return f"{model} can't be kept in a snapshot: {error}; name another model"
    except Exception as error:
        return f"{model} failed in a trial ({type(error).__name__}: {error}); correct its parameters, or name another model"
    return None


def _said(named: Named, view: View) -> float | None:
    said = named.predict(view)
    return said.log if said is not None and math.isfinite(said.log) else None


def _inputs(view: View) -> dict[str, float]:
    return view.x | {"recent": view.centre}
