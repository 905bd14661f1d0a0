"""Which entity is the cause of a trouble: how far its metrics are from normal, how well they go with the trouble, and where it stands among the calls."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .call_graph import CallGraph

Floats = NDArray[np.float64]
Column = tuple[str, str]
FEWEST_NORMAL = 10
CLOSEST = 0.0003
LEAST, CLEAR, LARGEST, BEYOND = 3.0, 5.0, 10.0, 100.0
AFTER = 3
TROUBLED = 0.3
OTHER_METRIC, UNREACHED, EXPLAINED = 0.1, 0.3, 0.8
DIGITS = 9


@dataclass(frozen=True, slots=True)
class Suspected:
    """An entity or one of its metrics: `score` in 0..1, `deviation` in robust standard deviations, and how well it goes with the trouble (-1..1)."""

    entity: str
    metric: str
    score: float
    deviation: float
    agreement: float
    observed: float
    normal: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """Entities (by their strongest metric) and metrics, the most suspected first; what has no strength at all is left out of the metrics."""

    entities: tuple[Suspected, ...]
    metrics: tuple[Suspected, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows × columns of a trouble, with the rows in order of time, and what the same columns are normally; what is missing is nan."""

    columns: Sequence[Column]
    times: Floats
    values: Floats
    normal: Floats


def rank(measured: Measured, at: float, edges: Sequence[tuple[str, str]] = (), target: Column | None = None) -> Ranking:
    """Rank by effect, agreement and place in the graph; `at` is when the trouble was noticed, `target` where (entity, metric). It depends on no name."""
    deviations, middle = deviations_of(measured)
    place = list(measured.columns).index(target) if target is not None and target in measured.columns else None
    row = min(max(int(np.searchsorted(measured.times, at, side="right")) - 1, 0), len(measured.times) - 1)
    trouble, is_troubled, sign = _trouble(_seen(measured.columns, deviations, place, row) if place is not None else None, row, len(measured.times))
    strengths, agreements, sizes = _strengths(measured.columns, deviations, trouble, is_troubled, sign, target[1] if target and place is not None else None)
    found = [
        Suspected(entity, metric, float(strength), float(size), float(agreement), _mean(measured.values[is_troubled, number]), float(normal))
        for number, ((entity, metric), strength, agreement, size, normal) in enumerate(zip(measured.columns, strengths, agreements, sizes, middle, strict=True))
    ]
    metrics = sorted((one for one in found if one.score > 0.0), key=lambda one: (-round(one.score, DIGITS), -one.deviation, one.entity, one.metric))
    return Ranking(tuple(_entities(found, edges, target[0] if target else None)), tuple(metrics))


def deviations_of(measured: Measured) -> tuple[Floats, Floats]:
    """Rows × columns in robust standard deviations from the normal median (nan where fewer than ten normal values are known), and those medians."""
    with np.errstate(all="ignore"):
        known = np.isfinite(measured.normal).sum(0)
        low, first, middle, third, high = _quantiles(measured.normal, (0.01, 0.25, 0.5, 0.75, 0.99))
        largest = np.fmax(_largest(measured.normal), _largest(measured.values))
        spread = np.maximum.reduce([(third - first) / 1.349, (high - low) / 4.65, CLOSEST * largest])
        found = measured.values / np.where(spread > 0.0, spread, 1.0) - middle / np.where(spread > 0.0, spread, 1.0)
    found[:, known < FEWEST_NORMAL] = np.nan
    return np.where(np.isfinite(found), np.clip(found, -1e9, 1e9), np.nan), middle


def _quantiles(values: Floats, levels: Sequence[float]) -> Floats:
    """Levels × columns, over what is known of each column."""
    found = np.full((len(levels), values.shape[1]), np.nan)
    is_known = np.isfinite(values).any(0)
    if is_known.any():
        found[:, is_known] = np.nanquantile(np.where(np.isfinite(values[:, is_known]), values[:, is_known], np.nan), levels, axis=0)
    return found


def _largest(values: Floats) -> Floats:
    found: Floats = np.max(np.where(np.isfinite(values), np.abs(values), 0.0), axis=0, initial=0.0)
    return found


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.mean(known)) if known.size else math.nan


def _seen(columns: Sequence[Column], deviations: Floats, place: int, row: int) -> Floats | None:
    """The course of the trouble at the target.

    Where that hardly stands out near the row (by less than five standard deviations; not at all below three), it is that of all columns of the same metric
    instead, each weighed by the logarithm of how far it stands out: noise at the target says nothing of the cause.
    """
    target = np.nan_to_num(deviations[:, place])
    if not np.isfinite(deviations[:, place]).any():
        return None
    before = float(np.median(target[:row])) if row else 0.0
    clear = (float(np.abs(target[row : row + AFTER] - before).max()) - LEAST) / (CLEAR - LEAST)
    known = np.clip(np.nan_to_num(deviations), -LARGEST, LARGEST)
    same = np.array([metric == columns[place][1] for _, metric in columns], bool)
    weights = np.where(same, np.log1p(np.maximum(np.abs(known[row : row + AFTER]).max(0) - LEAST, 0.0)), 0.0)
    if clear >= 1.0 or not weights.any():
        return target
    everywhere: Floats = (known * weights).sum(1) / weights.sum()
    return max(clear, 0.0) * target + (1.0 - max(clear, 0.0)) * everywhere


def _trouble(course: Floats | None, row: int, rows: int) -> tuple[Floats, NDArray[np.bool_], float]:
    """The trouble, the rows that are in it, and its sign: by its course near the row at which it was noticed, else all rows from there on."""
    if course is None:
        after = np.arange(rows) >= row
        return after.astype(float), after, 0.0
    before = float(np.median(course[:row])) if row else 0.0
    near = course[row : row + AFTER] - before
    peak = int(np.argmax(np.abs(near)))
    sign = math.copysign(1.0, near[peak])
    course = sign * course
    start = min(sign * before, 0.0)
    troubled = course - start >= TROUBLED * (max(course[row + peak], 1e-9) - start)
    return course, troubled if troubled.any() else np.ones(rows, bool), sign


def _strengths(
    columns: Sequence[Column], deviations: Floats, trouble: Floats, is_troubled: NDArray[np.bool_], sign: float, metric: str | None
) -> tuple[Floats, Floats, Floats]:
    """Per column strength, agreement and size; a metric other than the target's counts a tenth, in either direction.

    An effect of ten standard deviations is a whole one; what is beyond only weighs by the root of its logarithm, beside the largest.
    """
    same = np.array([name == metric for _, name in columns], bool)
    signed = np.where(same & (sign != 0.0), sign * deviations, deviations)
    inside, outside = np.where(is_troubled[:, None], signed, np.nan), np.where(is_troubled[:, None], np.nan, signed)
    level = np.where(same, _over(inside, np.fmax.reduce), _over(inside, lambda known: np.nanmean(known, axis=0)))
    usual = np.nan_to_num(_quantiles(outside, (0.5,))[0])
    oriented = same & (sign != 0.0)
    size = np.where(oriented, np.minimum(level, level - usual), np.minimum(np.abs(level), np.abs(level - usual)))
    size = np.nan_to_num(size)
    agreement = _agreement(signed, trouble)
    counted = np.where(oriented, np.maximum(agreement, 0.0), np.abs(agreement))
    effect = np.log1p(np.maximum(np.minimum(size, BEYOND) - LEAST, 0.0))
    strength = np.minimum(effect / math.log1p(LARGEST - LEAST), 1.0) * counted**3 * np.where(same | (metric is None), 1.0, OTHER_METRIC)
    most = effect[strength > 0.0].max(initial=0.0)
    return strength * np.sqrt(effect / most) if most > 0.0 else strength, agreement, size


def _over(values: Floats, reduce: object) -> Floats:
    """A reduction over the rows of every column that has any."""
    found = np.full(values.shape[1], np.nan)
    known = np.isfinite(values).any(0)
    if known.any():
        found[known] = reduce(values[:, known])  # type: ignore[operator]
    return found


def _agreement(deviations: Floats, trouble: Floats) -> Floats:
    """The correlation of every column with the trouble over the rows it is known in; .3 where those are fewer than three."""
    known = np.isfinite(deviations)
    count = known.sum(0)
    with np.errstate(all="ignore"):
        values = np.where(known, np.clip(deviations, -1e6, 1e6), 0.0)
        course = np.where(known, np.clip(trouble, -1e6, 1e6)[:, None], 0.0)
        values = np.where(known, values - values.sum(0) / count, 0.0)
        course = np.where(known, course - course.sum(0) / count, 0.0)
        found = (values * course).sum(0) / np.sqrt((values * values).sum(0) * (course * course).sum(0))
    return np.where(count < 3, 0.3, np.where(np.isfinite(found), np.clip(found, -1.0, 1.0), 0.0))


def _entities(found: Sequence[Suspected], edges: Sequence[tuple[str, str]], target: str | None) -> list[Suspected]:
    """Every entity by its strongest metric, weighed by its place: whether the target reaches it, what lies behind it, and what its callees explain."""
    best: dict[str, Suspected] = {}
    for one in found:
        if one.entity not in best or (one.score, one.deviation) > (best[one.entity].score, best[one.entity].deviation):
            best[one.entity] = one
    graph = CallGraph(best, edges)
    strength = {entity: one.score for entity, one in best.items()}
    total = math.fsum(strength.values()) or 1.0
    depths = graph.depths(target) if target is not None and edges else {}
    behind = graph.behind(strength) if edges else strength
    places = graph.places()
    ranked = []
    for entity, one in best.items():
        reach = 1.0 if not depths or entity in depths else UNREACHED
        callees = [strength.get(callee, 0.0) for callee in graph.callees[entity] if places[callee] != places[entity]]
        explained = min(max(callees, default=0.0) / one.score, 1.0) if one.score > 0.0 else 0.0
        score = one.score * reach * (behind[entity] / total if edges else 1.0) * (1.0 - EXPLAINED * explained)
        ranked.append((Suspected(entity, one.metric, score, one.deviation, one.agreement, one.observed, one.normal), depths.get(entity, -1)))
    ranked.sort(key=lambda pair: (-round(pair[0].score, DIGITS), -pair[1], -pair[0].deviation, pair[0].entity))
    return [one for one, _ in ranked]


__all__ = ["Column", "Measured", "Ranking", "Suspected", "deviations_of", "rank"]
