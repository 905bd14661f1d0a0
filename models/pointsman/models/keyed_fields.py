"""Which fields of a request tell its outcome apart, learned online: the keys of a keyed predictor, coarse to fine."""

import math
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from .keyed_windows import read_array, text_of
from .situation import Situation

MOST_FIELDS = 20
MOST_VALUES = 128
MOST_PAIRS = 160
POPULAR = 4
USEFUL = 0.985
HARMFUL = 1.01
LEADING = 0.95
LOOK = 512
FORGET = 4096
BETTER = 0.93
FADING = 0.005

Value = str | int | float | bool


def fields_of(situation: Situation) -> Iterator[tuple[str, Value]]:
    """What a request carries, by name: its category, lengths and attributes (behind a dot, so that no name is taken)."""
    if situation.category is not None:
        yield "category", situation.category
    if situation.input_tokens is not None:
        yield "input_tokens", situation.input_tokens
    if situation.max_output_tokens is not None:
        yield "max_output_tokens", situation.max_output_tokens
    for name, value in situation.attributes.items():
        yield f".{name}", value


class Told(NamedTuple):
    """What a value tells: the tag of itself; of a finite number (a truth value is none) also that of its half octave, and its signed logarithm."""

    tag: int
    octave: int
    number: float | None


@lru_cache(4096, typed=True)
def told(value: Value) -> Told:
    """What a value tells, the same in every process.

    >>> told(512).octave == told(500).octave, told(512).tag == told(500).tag, told(512).number
    (True, False, 6.2403)
    """
    tag = zlib.crc32(repr(value).encode())
    if isinstance(value, bool | str) or not -1e300 < value < 1e300:
        return Told(tag, tag, None)
    size = abs(float(value))
    octave = zlib.crc32(b"%d" % round(math.copysign(2.0 * math.log2(1.0 + size), float(value))), 1)
    return Told(tag, octave, round(math.copysign(math.log1p(size), float(value)), 4))


class _Counts:
    """How often each of at most 128 tags came; where a new one finds no room, all counts are halved and the rarer half goes."""

    __slots__ = ("counts", "tags")

    def __init__(self) -> None:
        self.tags = array("I")
        self.counts = array("B")

    def get(self, tag: int) -> int:
        """How often a tag came."""
        at = bisect_left(self.tags, tag)
        return self.counts[at] if at < len(self.tags) and self.tags[at] == tag else 0

    def count(self, tag: int) -> int:
        """Count a tag; how often it came before."""
        at = bisect_left(self.tags, tag)
        if at < len(self.tags) and self.tags[at] == tag:
            before = self.counts[at]
            self.counts[at] = min(before + 1, 250)
            return before
        if len(self.tags) >= MOST_VALUES:
            middle = sorted(self.counts)[MOST_VALUES // 2]
            kept = [(one, count // 2) for one, count in zip(self.tags, self.counts, strict=True) if count > middle]
            self.tags, self.counts = array("I", (one for one, _ in kept)), array("B", (count for _, count in kept))
            at = bisect_left(self.tags, tag)
        self.tags.insert(at, tag)
        self.counts.insert(at, 1)
        return 0


class _Means:
    """The mean outcome of each of at most so many tags, shrunk, and how far outcomes lay from it beside how far from nothing; later tags find no room."""

    __slots__ = ("base", "counts", "error", "given", "means", "most", "tags")

    def __init__(self, most: int) -> None:
        self.most = most
        self.tags = array("I")
        self.counts = array("B")
        self.means = array("f")
        self.base = self.error = 0.0
        self.given = 0

    def get(self, tag: int) -> float:
        """The mean of a tag, shrunk to 0, which it is for others."""
        at = bisect_left(self.tags, tag)
        if at == len(self.tags) or self.tags[at] != tag:
            return 0.0
        return self.counts[at] * self.means[at] / (self.counts[at] + 2.0)

    def learn(self, tag: int, outcome: float, otherwise: float = 0.0) -> None:
        """Take in an outcome, of which `otherwise` would have been said; one of a tag without room counts in neither error."""
        at = bisect_left(self.tags, tag)
        held = at < len(self.tags) and self.tags[at] == tag
        if not held:
            if len(self.tags) >= self.most:
                return
            self.tags.insert(at, tag)
            self.counts.insert(at, 0)
            self.means.insert(at, 0.0)
        count = self.counts[at]
        self.given += 1
        rate = max(1.0 / self.given, FADING)
        self.base += rate * (min(abs(outcome - otherwise), 3.0) - self.base)
        self.error += rate * (min(abs(outcome - count * self.means[at] / (count + 2.0)), 3.0) - self.error)
        self.counts[at] = count = min(count + 1, 250)
        self.means[at] += max(1.0 / count, 0.02) * (outcome - self.means[at])

    def forget(self) -> None:
        """Make room: all tags go."""
        for numbers in (self.tags, self.counts, self.means):
            del numbers[:]

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.given, self.base, self.error, text_of(self.tags), text_of(self.counts), text_of(self.means)]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self.given, self.base, self.error = state[:3]
        self.tags, self.counts, self.means = (read_array(typecode, text) for typecode, text in zip("IBf", state[3:], strict=True))


class Field:
    """One field: what its values tell alone, and what they tell beside the leading field, of what that left.

    A number that came less than four times of late is a key by its half octave, the others by themselves.

    >>> field = Field()
    >>> [field.code(told(512)) == field.code(told(500)) for _ in range(4)], field.code(told(512)) == field.code(told(500))
    ([True, True, True, True], False)
    """

    __slots__ = ("_popular", "alone", "beside")

    def __init__(self) -> None:
        self._popular = _Counts()
        self.alone = _Means(MOST_VALUES)
        self.beside = _Means(MOST_PAIRS)

    def code(self, value: Told, *, is_question: bool = False) -> int:
        """The key of a value, which counts as seen unless it is only asked."""
        popular = self._popular
        if value.number is not None and (popular.get(value.tag) if is_question else popular.count(value.tag)) < POPULAR:
            return value.octave
        return value.tag

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [text_of(self._popular.tags), text_of(self._popular.counts), self.alone.snapshot(), self.beside.snapshot()]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self._popular.tags, self._popular.counts = read_array("I", state[0]), read_array("B", state[1])
        self.alone.restore(state[2])
        self.beside.restore(state[3])


class Fields:
    """At most 20 fields in the order in which they help: first the one that alone tells most, then the others by what they tell beside it.

    A field helps where the means of its values lower the mean absolute error by 1.5 %, and goes where they raise it by 1 %; order changes where a later
    one is better by 3 %.
    The order is looked at after 32, 64, 128, ... outcomes, later after every 512, after 4,096 after every 2,048.
    Fields are numbered as they first appear: names mean nothing.
    """

    __slots__ = ("_average", "_constant", "_fields", "_names", "_nothing", "_seen", "order")

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._fields: list[Field] = []
        self._constant = _Means(1)
        self._nothing = _Means(MOST_PAIRS)
        self._average = 0.0
        self._seen = 0
        self.order: tuple[int, ...] = ()

    def number(self, name: str) -> int:
        """The number of a field, -1 where there are too many."""
        number = self._names.get(name)
        if number is None:
            if len(self._fields) >= MOST_FIELDS:
                return -1
            number = self._names[name] = len(self._fields)
            self._fields.append(Field())
        return number

    def known(self, name: str) -> int:
        """The number of a field, -1 where it never came."""
        return self._names.get(name, -1)

    def answers(self, given: list[tuple[int, Told]]) -> list[int]:
        """What `codes` gives of the fields that help; nothing is noted."""
        codes = [0] * len(self._fields)
        for number, value in given:
            if number in self.order:
                codes[number] = self._fields[number].code(value, is_question=True)
        return codes

    def codes(self, given: list[tuple[int, Told]], whole: bool) -> list[int]:
        """The key of each numbered field, 0 where the request does not have it; unless `whole` those of fields that help alone, the others 1."""
        if not whole:
            codes = [1] * len(self._fields)
            for number in self.order:
                codes[number] = 0
            for number, value in given:
                if codes[number] == 0:
                    codes[number] = self._fields[number].code(value)
            return codes
        codes = [0] * len(self._fields)
        for number, value in given:
            codes[number] = self._fields[number].code(value)
        return codes

    def learn(self, codes: tuple[int, ...], outcome: float) -> bool:
        """Take in an outcome, where its codes are whole; whether the order has changed."""
        self._seen += 1
        self._average += max(1.0 / self._seen, 0.002) * (outcome - self._average)
        if 1 not in codes:
            self._compare(codes, outcome - self._average)
        if self._seen % (LOOK if self._seen <= FORGET else FORGET // 2) and (self._seen & (self._seen - 1) or self._seen < 32):
            return False
        return self._reorder()

    def _compare(self, codes: tuple[int, ...], outcome: float) -> None:
        """Every field's means learn, beside what would have been said without it."""
        lead = self.order[0] if self.order and self.order[0] < len(codes) else -1
        if lead >= 0:
            rest, leading = outcome - self._fields[lead].alone.get(codes[lead]), codes[lead] * 0x9E3779B1
            otherwise = self._nothing.get(leading & 0xFFFFFFFF)
            self._nothing.learn(leading & 0xFFFFFFFF, rest)
            for field, code in zip(self._fields, codes, strict=False):
                field.beside.learn((code ^ leading) & 0xFFFFFFFF, rest, otherwise)
        otherwise = self._constant.get(0)
        self._constant.learn(0, outcome)
        for field, code in zip(self._fields, codes, strict=False):
            field.alone.learn(code, outcome, otherwise)

    def _reorder(self) -> bool:
        """Sort anew; whether anything moved."""
        places = {number: place for place, number in enumerate(self.order)}
        everyone = sorted(range(len(self._fields)), key=lambda number: places.get(number, len(places) + number))
        alone = {number: _share(self._fields[number].alone) for number in everyone}
        lead = self._lead(alone)
        if lead < 0:
            order: list[int] = []
        elif self.order[:1] != (lead,):
            order = [lead, *(number for number in self.order if number != lead)]  # what they tell beside it is not known yet
            self._nothing = _Means(MOST_PAIRS)
            for field in self._fields:
                field.beside = _Means(MOST_PAIRS)
        else:
            beside = {number: _share(self._fields[number].beside) for number in everyone if number != lead}
            order = [lead, *_sorted([number for number in beside if beside[number] < (HARMFUL if number in places else USEFUL)], beside)]
        if self._seen <= FORGET or self._seen % FORGET == 0:
            for means in (means for field in self._fields for means in (field.alone, field.beside) if len(means.tags) >= means.most):
                means.forget()
        changed = tuple(order) != self.order
        self.order = tuple(order)
        return changed

    def _lead(self, alone: dict[int, float]) -> int:
        """The field that tells most alone; who leads stays until another is better by 5 %: while requests queue none tells much. -1: none helps."""
        best = min(alone, key=alone.__getitem__, default=-1)
        if best >= 0 and alone[best] >= USEFUL:
            best = -1
        if not self.order:
            return best
        leads = self.order[0]
        return best if best >= 0 and alone[best] < LEADING * alone[leads] else leads

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "names": list(self._names),
            "fields": [field.snapshot() for field in self._fields],
            "order": list(self.order),
            "constant": self._constant.snapshot(),
            "nothing": self._nothing.snapshot(),
            "average": [self._average, self._seen],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot."""
        self._names = {name: number for number, name in enumerate(state["names"])}
        self._fields = [Field() for _ in state["fields"]]
        for field, values in zip(self._fields, state["fields"], strict=True):
            field.restore(values)
        self.order = tuple(state["order"])
        self._constant.restore(state["constant"])
        self._nothing.restore(state["nothing"])
        self._average, self._seen = state["average"]


def _share(means: _Means) -> float:
    """How much of the error means leave: 1 where they tell nothing."""
    return means.error / means.base if means.base > 0.0 else 1.0


def _sorted(numbers: list[int], errors: dict[int, float]) -> list[int]:
    """By error, but two neighbours change places only where it is better by 3 %."""
    moved = list(numbers)
    for last in range(1, len(moved)):
        at = last
        while at and errors[moved[at]] < BETTER * errors[moved[at - 1]]:
            moved[at - 1], moved[at] = moved[at], moved[at - 1]
            at -= 1
    return moved
