"""`pointsman diagnose`: the suspects of a trouble in any table of metrics."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.models.root_cause import FEWEST_NORMAL, Column, Measured, Ranking, Suspected, rank

from .recording import read_lines
from .series import time_of

BEFORE, AFTER = 24, 12
LATEST_NORMAL = 12
MOST_CELLS = 200_000_000


class TableError(ValueError):
    """A table or a question that cannot be answered; the message names the file, the line and what to mend."""


def diagnose(metrics: Path, graph: Path | None, at: str, target: Column | None = None, normal: tuple[str, str] | None = None) -> tuple[Ranking, list[str]]:
    """The ranking for a table in long form (`time,entity,metric,value`), and what to know about it. Raises `TableError`."""
    moment = _time(at, "--at")
    times, columns, values = _table(metrics)
    if target is not None and target not in columns:
        raise TableError(f"{metrics}: no metric {target[1]!r} of {target[0]!r}: --target is an entity and one of its metrics")
    trouble, usual = _rows(times, moment, tuple(_time(text, "--normal") for text in normal) if normal is not None else None)
    edges = list(_edges(graph)) if graph is not None else []
    said = _remarks({entity for entity, _ in columns}, edges)
    return rank(Measured(columns, times[trouble], values[trouble], values[usual]), moment, edges, target), said


def as_json(ranking: Ranking) -> dict[str, Any]:
    """The ranking for programs; numbers that are not known are null."""
    return {
        "entities": [{"entity": one.entity, "score": _number(one.score), "evidence": _evidence(one)} for one in ranking.entities],
        "metrics": [{"entity": one.entity, "metric": one.metric, "score": _number(one.score)} for one in ranking.metrics],
    }


def as_text(ranking: Ranking, most: int = 10) -> Iterator[str]:
    """The ranking for people: the most suspected entities, one a line."""
    for place, one in enumerate(ranking.entities[:most], 1):
        yield (
            f"{place}. {one.entity}  score {one.score:.3f}: {one.metric} is {one.observed:.4g}, normally {one.normal:.4g}"
            f" ({one.deviation:+.1f} robust standard deviations, agreement with the trouble {one.agreement:+.2f})"
        )


def _evidence(one: Suspected) -> dict[str, Any]:
    return {name: _number(value) for name, value in asdict(one).items() if name not in ("entity", "score")}


def _number(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.9g}") if math.isfinite(value) else None


def _time(text: str, name: str) -> float:
    try:
        found = time_of(text)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise TableError(f"{name}: {text!r} is no time: write epoch seconds or ISO 8601")
    return found


def _table(path: Path) -> tuple[Any, list[Column], Any]:
    """Times, columns, and rows × columns; of two values for one cell the mean, what is missing is nan."""
    cells: dict[tuple[float, Column], tuple[float, int]] = {}
    for line, row in _records(path, ("time", "entity", "metric", "value")):
        at, value = _time(row[0], f"{path}:{line}"), _value(path, line, row[3])
        if value is not None:
            total, count = cells.get((at, (row[1], row[2])), (0.0, 0))
            cells[at, (row[1], row[2])] = (total + value, count + 1)
    if not cells:
        raise TableError(f"{path}: no values: a line is time,entity,metric,value")
    times, columns = sorted({at for at, _ in cells}), list(dict.fromkeys(column for _, column in cells))
    if len(times) * len(columns) > MOST_CELLS:
        raise TableError(f"{path}: {len(times)} times x {len(columns)} metrics are too many: give fewer times")
    rows, places = {at: row for row, at in enumerate(times)}, {column: place for place, column in enumerate(columns)}
    values = np.full((len(times), len(columns)), np.nan)
    for (at, column), (total, count) in cells.items():
        values[rows[at], places[column]] = total / count
    return np.array(times), columns, values


def _value(path: Path, line: int, text: str) -> float | None:
    if text.lower() in ("", "nan", "null", "none"):
        return None
    try:
        value = float(text)
    except ValueError:
        raise TableError(f"{path}:{line}: {text!r} is no number: mend it, or leave it empty") from None
    return value if math.isfinite(value) else None


def _edges(path: Path) -> Iterator[tuple[str, str]]:
    for _, (source, target) in _records(path, ("source", "target")):
        yield source, target


def _records(path: Path, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The named columns of every line; a header says where they stand, without one they are the first."""
    places: list[int] | None = None
    for line, text in read_lines(path):
        try:
            found = [cell.strip() for cell in next(csv.reader([text.decode("utf-8-sig")], strict=True))]
        except (csv.Error, UnicodeDecodeError, StopIteration) as error:
            raise TableError(f"{path}:{line}: {error}: a line is {','.join(names)} in UTF-8") from None
        if places is None:
            lower = [cell.lower() for cell in found]
            places = [lower.index(name) for name in names] if set(names) <= set(lower) else list(range(len(names)))
            if set(names) <= set(lower):
                continue
        if len(found) <= max(places):
            raise TableError(f"{path}:{line}: {len(found)} columns: {','.join(names)} are needed")
        yield line, [found[place] for place in places]


def _rows(times: Any, at: float, normal: tuple[float, ...] | None) -> tuple[Any, Any]:
    """Which rows are the trouble's and which are normal."""
    if at < times[0]:
        raise TableError(f"--at is before the first row, {times[0]:.15g}: give the time at which the trouble was noticed")
    row = int(np.searchsorted(times, at, side="right")) - 1
    if normal is not None:
        usual = (times >= normal[0]) & (times <= normal[1])
        first = int(np.searchsorted(times, normal[1], side="right")) if normal[1] < times[row] else row
    else:
        first = max(row - LATEST_NORMAL, 0)
        usual = np.arange(len(times)) < first
    if int(usual.sum()) < FEWEST_NORMAL:
        raise TableError(f"{int(usual.sum())} rows are normal, at least {FEWEST_NORMAL} are needed: give --normal FROM TO, or more rows before the trouble")
    places = np.arange(len(times))
    return (places >= max(first, row - BEFORE)) & (places <= row + AFTER) & ~(usual & (places < row)), usual


def _remarks(entities: set[str], edges: Sequence[tuple[str, str]]) -> list[str]:
    named = {name for edge in edges for name in edge}
    missing = sorted(named - entities)
    return [f"{len(missing)} of the graph's entities have no metrics, for example {missing[0]!r}"] if missing else []


__all__ = ["TableError", "as_json", "as_text", "diagnose"]
