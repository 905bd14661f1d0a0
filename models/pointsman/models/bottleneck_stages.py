"""Where the time of slow requests goes: their stages beside those of the others, and which of them are waiting.

The columns of a request are its stages and `other`, the time that no stage covers, and add up to its latency. Where stages overlap, so that together they are
longer than the latency, each column is shortened in proportion: which of them ran alone cannot be told from durations.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .bottleneck_sample import OTHER, Group, Row

WAITING = ("queue", "queued", "queueing", "queuing", "wait", "waiting", "pending", "scheduled", "scheduling", "backlog")
GROWS = 0.3  # rank correlation with the requests in flight, from which on a stage may be waiting
AS_THE_MOST = 0.5  # and its share of the correlation of the stage that grows most
CERTAIN = 3.0  # standard errors
BY_LENGTH = 0.4  # rank correlation with the output tokens, from which on a stage is looked at token by token
QUIET = 1 / 3

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
Weighed = list[tuple[float, float]]


class Column(NamedTuple):
    """One stage over all rows of a view. `waiting_ms` is the part of it that is waiting: all where its name says so, else what is beyond its quiet level."""

    name: str
    ms: list[float]
    is_queueing: bool
    waiting_ms: list[float]


class Seen(NamedTuple):
    """The rows of a group with their weights (a sampled row stands for so many), the first `slow` of them slow, and their columns."""

    rows: list[Row]
    weights: list[float]
    slow: int
    columns: list[Column]

    def weighed(self, values: Sequence[float]) -> Weighed:
        """These values, one a row, with the rows' weights."""
        return list(zip(values, self.weights, strict=True))

    @property
    def latencies(self) -> list[float]:
        """The rows' latencies."""
        return [row.latency_ms for row in self.rows]

    @property
    def waiting(self) -> list[float]:
        """How long each row waited, in all stages."""
        return [sum(column.waiting_ms[place] for column in self.columns) for place in range(len(self.rows))]


class Part(NamedTuple):
    """One stage of slow requests: medians, and its share of the time that slow requests take beyond the others (of means, since they add up)."""

    name: str
    is_queueing: bool
    typical_ms: float
    slow_ms: float
    share: float


def quantile(values: Weighed, share: float) -> float:
    """The smallest value that has `share` of the weight at or below it; 0 of none.

    >>> quantile([(1.0, 9.0), (5.0, 1.0)], 0.95)
    5.0
    """
    ordered = sorted(values)
    rest = share * sum(weight for _, weight in ordered)
    for value, weight in ordered:
        rest -= weight
        if rest <= 1e-9:
            return value
    return ordered[-1][0] if ordered else 0.0


def seen(group: Group) -> Seen:
    """A group's two samples as one, each row with its weight."""
    rows, weights = [], []
    for sample in (group.slow, group.typical):
        rows += sample.rows
        weights += [sample.count / max(len(sample.rows), 1)] * len(sample.rows)
    columns = [list(column) for column in zip(*(_columns(row, len(group.names)) for row in rows), strict=True)]
    waits = _queueing(group.names, rows, weights, columns)
    named = [*group.names, OTHER]
    return Seen(rows, weights, len(group.slow.rows), [Column(*one) for one in zip(named, columns, *zip(*waits, strict=True), strict=True)])


def _columns(row: Row, count: int) -> list[float]:
    """The stages, padded where later requests had more, and what they don't cover; together the latency."""
    given = [*row.stages, *[0.0] * (count - len(row.stages))]
    covered = sum(given)
    if covered > row.latency_ms:
        return [value * row.latency_ms / covered for value in given] + [0.0]
    return [*given, row.latency_ms - covered]


def _queueing(names: Sequence[str], rows: Sequence[Row], weights: Sequence[float], columns: Sequence[list[float]]) -> list[tuple[bool, list[float]]]:
    """Per column whether it is waiting, and how much of it."""
    units = [_units(rows, weights, column) for column in columns]
    known = [_found_in_flight(rows, weights, column, unit) for column, unit in zip(columns, units, strict=True)]
    growth = [correlation(*lists) if (lists := _unzipped(one)) else 0.0 for one in known]
    most = AS_THE_MOST * max(growth, default=0.0)
    found: list[tuple[bool, list[float]]] = []
    for name, column, unit, one, grown in zip([*names, ""], columns, units, known, growth, strict=True):
        if is_named(name):
            found.append((True, list(column)))
        elif one and grown >= max(GROWS, CERTAIN / len(one) ** 0.5, most):
            quiet = _quiet(one)
            waits = zip(column, unit, rows, strict=True)
            found.append((True, [max(value - quiet * size, 0.0) if row.in_flight is not None and size else 0.0 for value, size, row in waits]))
        else:
            found.append((False, [0.0] * len(column)))
    return found


Found = list[tuple[float, float, float]]


def _units(rows: Sequence[Row], weights: Sequence[float], column: Sequence[float]) -> list[float]:
    """What a stage's time is looked at by: output tokens where it is the longer the more of them there are (0 where they are not known), else the request."""
    return [float(row.output_tokens or 0) for row in rows] if by_length(rows, weights, column) >= BY_LENGTH else [1.0] * len(rows)


def by_length(rows: Sequence[Row], weights: Sequence[float], column: Sequence[float]) -> float:
    """How much a stage's time grows with the tokens of the answer: rank correlation, 0 where they are mostly not known."""
    known = [(float(row.output_tokens), ms, weight) for row, ms, weight in zip(rows, column, weights, strict=True) if row.output_tokens is not None]
    lists = _unzipped(known)
    return correlation(*lists) if lists and 2 * len(known) >= len(rows) else 0.0


def _found_in_flight(rows: Sequence[Row], weights: Sequence[float], column: Sequence[float], unit: Sequence[float]) -> Found:
    """In flight at the start, ms a unit, and weight of the rows of which that is known."""
    every = zip(rows, column, unit, weights, strict=True)
    return [(float(row.in_flight), ms / size, weight) for row, ms, size, weight in every if row.in_flight is not None and size]


def _unzipped(rows: Found) -> tuple[list[float], list[float], list[float]] | None:
    return ([one for one, _, _ in rows], [other for _, other, _ in rows], [weight for _, _, weight in rows]) if rows else None


def is_named(stage: str) -> bool:
    """Whether a stage's name says that it is waiting.

    >>> is_named("gpu_queue"), is_named("time-in-Queue"), is_named("waiter"), is_named("queueTime")
    (True, True, False, True)
    """
    return any(word.lower() in WAITING for word in _WORD.findall(stage))


def _quiet(found: Found) -> float:
    """The median of the requests that found the fewest in flight, a third of all."""
    bound = quantile([(load, weight) for load, _, weight in found], QUIET)
    return quantile([(ms, weight) for load, ms, weight in found if load <= bound], 0.5)


def correlation(first: Sequence[float], second: Sequence[float], weights: Sequence[float]) -> float:
    """Spearman's rank correlation of weighted rows; 0 where one of them is constant.

    >>> round(correlation([1, 2, 3, 4], [1, 4, 9, 16], [1, 1, 1, 1]), 6)
    1.0
    """
    total = sum(weights)
    if total <= 0.0:
        return 0.0
    one, other = _centred(first, weights, total), _centred(second, weights, total)
    spread = sum(w * a * a for w, a in zip(weights, one, strict=True)) * sum(w * b * b for w, b in zip(weights, other, strict=True))
    return float(sum(w * a * b for w, a, b in zip(weights, one, other, strict=True)) / spread**0.5) if spread > 0.0 else 0.0


def _centred(values: Sequence[float], weights: Sequence[float], total: float) -> list[float]:
    """Weighted ranks (of equal values the middle) less their mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    below, start = 0.0, 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        tied = sum(weights[place] for place in order[start:end])
        for place in order[start:end]:
            ranks[place] = below + tied / 2.0
        below, start = below + tied, end
    return [rank - total / 2.0 for rank in ranks]


def parts(found: Seen) -> list[Part]:
    """The stages, the one that makes slow requests slow first; those that take no time are left out."""
    slow, rest = range(found.slow), range(found.slow, len(found.rows))
    beyond = [
        _mean(column.waiting_ms[place] for place in slow)
        if column.is_queueing
        else max(_mean(column.ms[place] for place in slow) - _mean(column.ms[place] for place in rest), 0.0)
        for column in found.columns
    ]
    total = sum(beyond)
    made = [
        Part(
            column.name,
            column.is_queueing,
            quantile([(column.ms[place], 1.0) for place in rest], 0.5),
            quantile([(column.ms[place], 1.0) for place in slow], 0.5),
            extra / total if total > 0.0 else 0.0,
        )
        for column, extra in zip(found.columns, beyond, strict=True)
    ]
    return sorted((part for part in made if part.slow_ms > 0.0 or part.typical_ms > 0.0 or part.share > 0.0), key=lambda part: -part.share)


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every) if every else 0.0


__all__ = ["BY_LENGTH", "Column", "Part", "Seen", "by_length", "correlation", "is_named", "parts", "quantile", "seen"]
