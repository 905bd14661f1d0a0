"""The state of a river model as plain JSON values, and back: its objects' fields one by one, of river's own classes and a few others; never pickle."""

import base64
import copyreg
import functools
import importlib
import math
import random
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

_PLAIN = {
    "builtins": {"int", "float", "list", "dict", "set", "str", "tuple", "bool", "object", "frozenset", "max", "min", "sum", "abs", "len"},
    "collections": {"deque", "defaultdict", "Counter", "OrderedDict"},
    "functools": {"partial"},
    "datetime": {"timedelta", "datetime"},
    "statistics": {"NormalDist"},
    "math": {"sqrt", "log", "exp", "log2", "log10"},
    "numpy": {"mean", "median", "sum", "dot"},
}
_KINDS = "biuf"
_NEW: Any = vars(copyreg)["__newobj__"]
Values = Any


class UnknownStructureError(TypeError):
    """A part of a model that can't be written as plain values; the message names it."""


def dump(thing: Any) -> list[Values]:
    """A graph of objects as a list of rows; an object that occurs twice is one row that is referred to.

    >>> from river import linear_model
    >>> model = linear_model.LinearRegression()
    >>> model.learn_one({"x": 1.0}, 2.0)
    >>> load(dump(model)).predict_one({"x": 1.0}) == model.predict_one({"x": 1.0})
    True
    """
    return _Writer().write(thing)


def load(rows: list[Values]) -> Any:
    """What `dump` wrote; raises `UnknownStructureError` where it names anything but what models are made of."""
    return _Reader(rows).value(rows[0])


class _Writer:
    def __init__(self) -> None:
        self.rows: list[Values] = [None]
        self.places: dict[int, int] = {}
        self.held: list[Any] = []

    def write(self, thing: Any) -> list[Values]:
        self.rows[0] = self.value(thing)
        return self.rows

    def value(self, thing: Any) -> Values:
        """A plain value as it is, anything else as a small dictionary."""
        if thing is None or type(thing) in (bool, str, int):
            return thing
        if type(thing) is float:
            return thing if math.isfinite(thing) else {"float": repr(thing)}
        if type(thing) is bytes:
            return {"bytes": base64.b64encode(thing).decode("ascii")}
        if type(thing) is tuple:
            return {"tuple": [self.value(one) for one in thing]}
        if isinstance(thing, type | FunctionType | BuiltinFunctionType | np.ufunc):
            return {"name": _name(thing)}
        if isinstance(thing, MethodType):
            return {"method": [self.value(thing.__self__), thing.__name__]}
        if isinstance(thing, np.generic):
            return {"scalar": self.array(np.asarray(thing))}
        return {"at": self.place(thing)}

    def place(self, thing: Any) -> int:
        """The row of an object with an identity."""
        if id(thing) not in self.places:
            self.places[id(thing)] = len(self.rows)
            self.held.append(thing)
            self.rows.append(None)
            self.rows[self.places[id(thing)]] = self.row(thing)
        return self.places[id(thing)]

    def row(self, thing: Any) -> Values:
        if type(thing) is list:
            return {"list": [self.value(one) for one in thing]}
        if type(thing) is dict:
            return {"dict": self.pairs(thing)}
        if type(thing) in (set, frozenset):
            return {type(thing).__name__: [self.value(one) for one in sorted(thing, key=repr)]}
        if type(thing) is np.ndarray:
            return {"array": self.array(thing)}
        if type(thing) is random.Random:
            return {"random": self.value(thing.getstate())}
        if type(thing) is np.random.RandomState:
            return {"random_state": self.value(thing.get_state(legacy=True))}
        if type(thing) is np.random.Generator and type(thing.bit_generator) is np.random.PCG64:
            return {"generator": self.value(thing.bit_generator.state)}
        return self.instance(thing)

    def instance(self, thing: Any) -> Values:
        """Any other object by what it says of itself (`__reduce_ex__`): its class, arguments, fields and items."""
        name = _name(type(thing))
        try:
            reduced = thing.__reduce_ex__(4)
        except (TypeError, AttributeError, ValueError) as error:
            raise UnknownStructureError(f"{name} does not tell its state ({error})") from None
        if isinstance(reduced, str):
            raise UnknownStructureError(f"{name} is known by its name only")
        whole: tuple[Any, ...] = (*reduced, None, None, None)
        make, arguments, state, items, pairs = whole[:5]
        if make is _NEW:
            if arguments[0] is not type(thing):
                raise UnknownStructureError(f"{name} is made as another class")
            row: dict[str, Values] = {"new": name, "arguments": [self.value(one) for one in arguments[1:]]}
        elif make is type(thing):
            row = {"call": name, "arguments": [self.value(one) for one in arguments]}
        else:
            raise UnknownStructureError(f"{name} is made in a way of its own")
        if state is not None:
            row["state"] = self.value(state)
        if items is not None:
            row["items"] = [self.value(one) for one in items]
        if pairs is not None:
            row["pairs"] = self.pairs(dict(pairs))
        return row

    def pairs(self, mapping: dict[Any, Any]) -> Values:
        return [[self.value(key), self.value(value)] for key, value in mapping.items()]

    def array(self, found: Any) -> Values:
        if found.dtype.kind not in _KINDS:
            raise UnknownStructureError(f"an array of {found.dtype} holds more than numbers")
        little = np.ascontiguousarray(found, found.dtype.newbyteorder("<"))
        return [little.dtype.str, list(found.shape), base64.b64encode(little.tobytes()).decode("ascii")]


class _Reader:
    def __init__(self, rows: list[Values]) -> None:
        self.rows = rows
        self.made: dict[int, Any] = {}

    def value(self, value: Values) -> Any:
        if not isinstance(value, dict):
            return value
        (kind, found), *_ = value.items()
        if kind == "at":
            return self.object(int(found))
        if kind == "float":
            return float(found)
        if kind == "bytes":
            return base64.b64decode(found)
        if kind == "tuple":
            return tuple(self.value(one) for one in found)
        if kind == "name":
            return _found(found)
        if kind == "method":
            return self.method(self.value(found[0]), found[1])
        if kind == "scalar":
            return self.array(found)[()]
        raise UnknownStructureError(f"a value of kind {kind!r} is not part of a model")

    def object(self, place: int) -> Any:
        """The object of a row, made once, before its parts: they may refer to it."""
        if place in self.made:
            return self.made[place]
        row = self.rows[place]
        (kind, found), *_ = row.items()
        made: Any
        if kind == "list":
            made = self.made[place] = []
            made.extend(self.value(one) for one in found)
        elif kind == "dict":
            made = self.made[place] = {}
            self.fill(made, found)
        elif kind in ("set", "frozenset"):
            made = self.made[place] = (set if kind == "set" else frozenset)(self.value(one) for one in found)
        elif kind == "array":
            made = self.made[place] = self.array(found).copy()
        elif kind in ("random", "random_state", "generator"):
            made = self.made[place] = self.chance(kind, self.value(found))
        elif kind in ("new", "call"):
            made = self.instance(place, row, kind)
        else:
            raise UnknownStructureError(f"an object of kind {kind!r} is not part of a model")
        return made

    def method(self, owner: Any, name: str) -> Any:
        """A bound method of a part of the model."""
        if not type(owner).__module__.startswith("river."):
            raise UnknownStructureError(f"a method of {type(owner).__name__} is not part of a model")
        return getattr(owner, name)

    def instance(self, place: int, row: dict[str, Values], kind: str) -> Any:
        cls = _found(row[kind])
        if not isinstance(cls, type):
            raise UnknownStructureError(f"{row[kind]} is not a class")
        arguments = [self.value(one) for one in row["arguments"]]
        made: Any = cls.__new__(cls, *arguments) if kind == "new" else cls(*arguments)
        self.made[place] = made
        for one in row.get("items", ()):
            made.append(self.value(one))
        self.fill(made, row.get("pairs", ()))
        if "state" in row:
            self.settle(made, self.value(row["state"]))
        return made

    def settle(self, made: Any, state: Any) -> None:
        """Give an object its fields, as unpickling would."""
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
            return
        fields, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        if fields:
            made.__dict__.update(fields)
        for name, value in (slots or {}).items():
            setattr(made, name, value)

    def fill(self, made: Any, pairs: Any) -> None:
        for key, value in pairs:
            made[self.value(key)] = self.value(value)

    def array(self, found: Values) -> Any:
        dtype = np.dtype(found[0])
        if dtype.kind not in _KINDS:
            raise UnknownStructureError(f"an array of {dtype} holds more than numbers")
        return np.frombuffer(base64.b64decode(found[2]), dtype).reshape(found[1]).astype(dtype.newbyteorder("="))

    def chance(self, kind: str, state: Any) -> Any:
        """A source of random numbers where it was."""
        if kind == "random":
            made = random.Random()
            made.setstate(state)
            return made
        if kind == "random_state":
            chance = np.random.RandomState()
            chance.set_state(state)
            return chance
        generator = np.random.Generator(np.random.PCG64())
        generator.bit_generator.state = state
        return generator


def _name(thing: Any) -> str:
    """The full name of a class or function that a model may be made of."""
    module = "numpy" if isinstance(thing, np.ufunc) else getattr(thing, "__module__", None) or "builtins"
    name = f"{module}:{getattr(thing, '__qualname__', getattr(thing, '__name__', '?'))}"
    try:
        if _found(name) is thing:
            return name
    except UnknownStructureError:
        pass
    raise UnknownStructureError(f"{name.replace(':', '.')} is not river's, nor a plain container or number")


@functools.cache
def _found(name: str) -> Any:
    module, _, path = name.partition(":")
    if not (module == "river" or module.startswith("river.") or path in _PLAIN.get(module, ()) or (module == "numpy" and _is_ufunc(path))):
        raise UnknownStructureError(f"{name} is not river's, nor a plain container or number")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        raise UnknownStructureError(f"{name} is not there") from None
    if not isinstance(found, type | FunctionType | BuiltinFunctionType | np.ufunc):
        raise UnknownStructureError(f"{name} is neither a class nor a function")
    if module.split(".")[0] == "river" and found.__module__.split(".")[0] != "river":
        raise UnknownStructureError(f"{name} is not river's own")
    return found


def _is_ufunc(name: str) -> bool:
    return isinstance(getattr(np, name, None), np.ufunc)


__all__ = ["UnknownStructureError", "dump", "load"]
