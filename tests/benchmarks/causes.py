"""The cause of a trouble: recorded issues of a microservice system, names permuted and series scaled, and made-up faults at random nodes of call graphs.

Beside ours the same without the graph, the Kolmogorov-Smirnov distance, the robust z-score of the largest deviation, and correlation with the target, each by
the entity's strongest metric. A made-up fault raises the latency, or the failures, of a node of which others' are made up; a mirror leaf beside it shows what a
caller sees of it, some nodes drift by themselves, and some values are missing. Faults are not chosen by what shows: of half of them the target, where trouble
is said to have been noticed, shows less than three standard deviations. Share of the troubles whose cause is first, and among the first three.
Run: PYTHONPATH=tests python -m benchmarks.causes [--data FOLDER] [--faults N] [--json FILE] [--quick]
"""

import argparse
import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.models.root_cause import Column, Measured, deviations_of, rank

from .policies import data_folder, table

Floats = NDArray[np.float64]
STATISTIC = "Average"
ROWS, TROUBLED = 400, 5


@dataclass(frozen=True, slots=True)
class Case:
    """One trouble and its true cause."""

    name: str
    measured: Measured
    edges: tuple[tuple[str, str], ...]
    at: float
    target: Column
    cause: str


def ours(case: Case) -> list[str]:
    """By effect, agreement and place."""
    return [one.entity for one in rank(case.measured, case.at, case.edges, case.target).entities]


def without_graph(case: Case) -> list[str]:
    """By effect and agreement."""
    return ours(replace(case, edges=()))


def by_column(score: Callable[[Case, int], float]) -> Callable[[Case], list[str]]:
    """Entities by the highest score among their columns of the target's metric."""

    def ranked(case: Case) -> list[str]:
        best: dict[str, float] = {}
        for place, (entity, metric) in enumerate(case.measured.columns):
            if metric == case.target[1]:
                value = score(case, place)
                best[entity] = max(best.get(entity, -1.0), value if math.isfinite(value) else 0.0)
        return sorted(best, key=lambda entity: (-best[entity], entity))

    return ranked


def ks_distance(case: Case, place: int) -> float:
    """The largest distance between the distributions."""
    normal, values = (_known(part[:, place]) for part in (case.measured.normal, case.measured.values))
    if not len(normal) or not len(values):
        return 0.0
    every = np.sort(np.concatenate([normal, values]))
    first, second = (np.searchsorted(np.sort(part), every, side="right") / len(part) for part in (normal, values))
    return float(np.abs(first - second).max())


def robust_z(case: Case, place: int) -> float:
    """The largest deviation in robust standard deviations."""
    found = _known(deviations_of(case.measured)[0][:, place])
    return float(np.abs(found).max()) if len(found) else 0.0


def correlation(case: Case, place: int) -> float:
    """With the target, over the trouble's rows."""
    target, values = case.measured.values[:, list(case.measured.columns).index(case.target)], case.measured.values[:, place]
    known = np.isfinite(target) & np.isfinite(values)
    if known.sum() < 3 or not values[known].std() or not target[known].std():
        return 0.0
    return float(abs(np.corrcoef(target[known], values[known])[0, 1]))


def _known(values: Floats) -> Floats:
    return values[np.isfinite(values)]


METHODS: dict[str, Callable[[Case], list[str]]] = {
    "ours": ours,
    "ours without the graph": without_graph,
    "Kolmogorov-Smirnov distance": by_column(ks_distance),
    "robust z": by_column(robust_z),
    "correlation with the target": by_column(correlation),
}


def recorded(folder: Path, seed: int = 1) -> Iterator[Case]:
    """The recorded issues, names permuted and every column scaled."""
    dice = np.random.default_rng(seed)
    for system in sorted(path.parent for path in folder.glob("*/graph.csv.gz")):
        edges = _edges(system / "graph.csv.gz")
        usual = _wide(system / "noissue" / "metrics.csv.gz")
        for issue in sorted((system / "train").iterdir()):
            told = json.loads(gzip.decompress((issue / "target.json.gz").read_bytes()))
            times, values = _series(issue / "metrics.csv.gz")
            columns = [column for column in values if column[1].endswith(STATISTIC)]
            normal = np.column_stack([usual.get(column, np.full(len(next(iter(usual.values()))), np.nan)) for column in columns])
            measured = Measured(columns, times, np.column_stack([values[column] for column in columns]), normal)
            target = (told["target"]["node"], f"{told['target']['metric']}/{told['target']['agg']}")
            case = Case(f"{system.name}/{issue.name}", measured, edges, told["target"]["timestamp"], target, told["root_cause"]["node"])
            yield disguised(case, dice)


def disguised(case: Case, dice: np.random.Generator) -> Case:
    """The same with other names in another order, and every column in another unit."""
    names = sorted({entity for entity, _ in case.measured.columns} | {end for edge in case.edges for end in edge})
    other = dict(zip(names, [f"e{number}" for number in dice.permutation(len(names))], strict=True))
    order = dice.permutation(len(case.measured.columns))
    scale = np.exp(dice.uniform(-5.0, 5.0, len(order)))
    columns = [(other[entity], metric) for entity, metric in (case.measured.columns[place] for place in order)]
    measured = Measured(columns, case.measured.times, case.measured.values[:, order] * scale, case.measured.normal[:, order] * scale)
    edges = tuple((other[caller], other[callee]) for caller, callee in case.edges)
    return replace(case, measured=measured, edges=edges, target=(other[case.target[0]], case.target[1]), cause=other[case.cause])


def _edges(path: Path) -> tuple[tuple[str, str], ...]:
    with gzip.open(path, "rt") as file:
        head, *rows = csv.reader(file)
    return tuple((row[0], callee) for row in rows for callee, cell in zip(head[1:], row[1:], strict=True) if cell and float(cell))


def _wide(path: Path) -> dict[Column, Floats]:
    return _series(path)[1]


def _series(path: Path) -> tuple[Floats, dict[Column, Floats]]:
    with gzip.open(path, "rt") as file:
        entities, metrics, statistics, _, *rows = csv.reader(file)
    times = np.array([float(row[0]) for row in rows])
    columns = [(entity, f"{metric}/{statistic}") for entity, metric, statistic in zip(entities[1:], metrics[1:], statistics[1:], strict=True)]
    values = np.array([[float(cell) if cell else np.nan for cell in row[1:]] for row in rows])
    return times, {column: values[:, place] for place, column in enumerate(columns)}


def made_up(count: int, seed: int = 0) -> Iterator[Case]:
    """Faults at random nodes of random call graphs."""
    dice = np.random.default_rng(seed)
    for number in range(count):
        yield _made(f"fault {number}", dice)


def _made(name: str, dice: np.random.Generator) -> Case:
    nodes = int(dice.integers(10, 40))
    edges = [(f"n{caller}", f"n{node}") for node in range(1, nodes) for caller in sorted(set(dice.integers(0, node, size=dice.integers(1, 3)).tolist()))]
    cause, is_failure = f"n{int(dice.integers(1, nodes))}", bool(dice.random() < 0.5)
    rows = ROWS + TROUBLED
    course = np.concatenate(
        [np.zeros(ROWS), np.array([0.0, 0.0, 1.0, 0.8 + 0.2 * dice.random(), 0.1 * dice.random()]) * np.exp(dice.normal(0.0, 0.2, TROUBLED))]
    )
    found: dict[str, Floats] = {}
    for node in range(nodes - 1, -1, -1):
        entity = f"n{node}"
        callees = [callee for caller, callee in edges if caller == entity]
        if is_failure:
            own = np.exp(dice.normal(-7.0, 1.0)) * dice.gamma(1.0, 1.0, rows)
            own = own + (0.03 * np.exp(dice.normal(0.0, 1.0)) * course if entity == cause else 0.0)
            found[entity] = own + sum((min(1.0, math.exp(dice.normal(-0.3, 0.5))) * found[callee] for callee in callees), np.zeros(rows))
        else:
            usual = math.exp(dice.normal(0.0, 1.0))
            own = usual * np.exp(dice.normal(0.0, 0.1, rows)) + (usual * math.exp(dice.uniform(1.0, 3.0)) * course if entity == cause else 0.0)
            found[entity] = own + sum((math.exp(dice.normal(-0.3, 0.5)) * found[callee] for callee in callees), np.zeros(rows))
    callers = [caller for caller, callee in edges if callee == cause]
    edges.append((callers[int(dice.integers(len(callers)))], "mirror"))
    found["mirror"] = found[cause] * np.exp(dice.normal(0.0, 0.25, rows)) * dice.uniform(0.8, 2.0)
    for entity, values in found.items():
        if is_failure:
            requests = int(math.exp(dice.uniform(3.0, 7.0)))
            values = found[entity] = 100.0 * (1.0 - dice.binomial(requests, np.clip(values, 0.0, 1.0)) / requests)
        if entity not in (cause, "n0") and dice.random() < 0.15:
            values[ROWS:] += 5.0 * dice.normal() * values[:ROWS].std()
        if entity != "n0" and dice.random() < 0.15:
            values[dice.random(rows) < 0.3] = np.nan
    every, times = np.column_stack(list(found.values())), np.asarray(300.0 * np.arange(rows), np.float64)
    measured = Measured([(entity, "m") for entity in found], times[ROWS:], every[ROWS:], every[:ROWS])
    return disguised(Case(name, measured, tuple(edges), float(times[ROWS + 2]) - 100.0, ("n0", "m"), cause), dice)


def shares(cases: list[Case]) -> list[dict[str, Any]]:
    """One row per method."""
    rows = []
    for name, method in METHODS.items():
        places = [found.index(case.cause) if case.cause in found else len(found) for case in cases for found in (method(case),)]
        rows.append({"policy": name, "first": float(np.mean(np.array(places) == 0)), "first three": float(np.mean(np.array(places) < 3))})
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="Few faults.")
    given = parser.parse_args()
    columns = {"first": ".3f", "first three": ".3f"}
    found = {
        "recorded issues": shares(list(recorded(data_folder(given.data) / "petshop"))),
        "made-up faults": shares(list(made_up(30 if given.quick else given.faults))),
    }
    for title, rows in found.items():
        print(table(title, rows, columns), end="\n\n")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
