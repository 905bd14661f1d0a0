"""How often the intervals of off-policy estimates hold the truth, and how wide they are, over random logging policies.

Every model answered every prompt of the data, so the truth of any policy is known. A log is made by drawing one model per prompt from a
random policy (softmax of a random linear function of the context, each model with a floor of 0.01 to 0.2), and the estimators are given that log.

    python tests/benchmarks/evaluation.py [--data FOLDER] [--routellm FILE] [--policies 200] [--intervals]

FOLDER holds `val.jsonl.gz` and `val_k4.jsonl.gz` of ParetoBandit; without it (or POINTSMAN_PARETOBANDIT) the excerpt of the tests is used. FILE is
RouteLLM's `weak_strong_dev.csv.gz`, for data on which no choice here was made.
"""

import argparse
import csv
import gzip
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from pointsman.models.context import Context
from pointsman.models.off_policy import Estimate, Floats, Log, doubly_robust, effective_size, interval, ips, scores, snips
from pointsman.models.outcome_model import cross_fit

EXCERPT = Path(__file__).parent.parent / "data" / "paretobandit.jsonl.gz"
TARGET = 0.93
SEED = 20260101


@dataclass(frozen=True)
class Data:
    """Prompts with the outcome of every arm: `outcomes` by metric has the shape (prompts, arms)."""

    name: str
    features: Floats
    outcomes: dict[str, Floats]


def read(path: Path) -> Data:
    """A file of one JSON object per prompt, `arms` with `reward` and `cost`."""
    with gzip.open(path) as file:
        rows = [json.loads(line) for line in file]
    arms = sorted(rows[0]["arms"])
    contexts = [Context(row["input_tokens"] if "input_tokens" in row else len(row["prompt"]) // 4, None, row["source"]) for row in rows]
    found = {name: np.array([[row["arms"][arm][key] for arm in arms] for row in rows]) for name, key in (("quality", "reward"), ("cost_usd", "cost"))}
    return Data(f"{path.name.split('.')[0]}: {len(rows)} prompts, {len(arms)} models", np.array([context.vector() for context in contexts]), found)


def read_routellm(path: Path) -> Data:
    """Every fourth prompt of a table with `weak_correct`, `strong_correct` and the lengths of both answers."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::4]
    contexts = [Context(len(row["prompt"]) // 4, None, row["subject"]) for row in rows]
    found = {
        name: np.array([[float(row[f"{arm}_{key}"] or 0.0) for arm in ("weak", "strong")] for row in rows])
        for name, key in (("correct", "correct"), ("characters", "resp_chars"))
    }
    return Data(f"{path.name.split('.')[0]}: {len(rows)} prompts, 2 models", np.array([context.vector() for context in contexts]), found)


def softmax(values: Floats) -> Floats:
    """Row by row."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def naive(log: Log) -> Estimate | None:
    """The mean outcome where the target agrees with the log, as if the log had been drawn evenly, with a normal interval."""
    share = log.target[np.arange(len(log.chosen)), log.chosen]
    if not share.any():
        return None
    value = float((share * log.outcome).sum() / share.sum())
    error = 1.96 * float(np.sqrt(np.square(share * (log.outcome - value)).sum())) / float(share.sum())
    return Estimate(value, value - error, value + error)


ESTIMATORS: dict[str, Callable[[Log], Estimate | None]] = {"naive mean": naive, "IPS": ips, "SNIPS": snips, "DR": doubly_robust}


def normal(found: Floats, weight: Floats, draw: np.random.Generator) -> Estimate:
    """Mean and 1.96 standard errors."""
    mean, error = float(found.mean()), 1.96 * float(found.std(ddof=1)) / math.sqrt(len(found))
    return Estimate(mean, mean - error, mean + error)


def bootstrap_t(found: Floats, weight: Floats, draw: np.random.Generator) -> Estimate:
    """Studentised bootstrap of 399 resamples."""
    count, mean, error = len(found), float(found.mean()), float(found.std(ddof=1)) / math.sqrt(len(found))
    resampled = found[draw.integers(0, count, (399, count))]
    errors = resampled.std(axis=1, ddof=1) / math.sqrt(count)
    ratios = (resampled.mean(axis=1) - mean) / np.where(errors > 0.0, errors, np.inf)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Estimate(mean, mean - float(high) * error, mean - float(low) * error)


def bernstein(found: Floats, weight: Floats, draw: np.random.Generator) -> Estimate:
    """Empirical Bernstein (Maurer and Pontil 2009) with the range of the scores seen."""
    count, mean, log_term = len(found), float(found.mean()), math.log(2.0 / 0.025)
    half = math.sqrt(2.0 * float(found.var(ddof=1)) * log_term / count) + 7.0 * float(np.ptp(found)) * log_term / (3.0 * (count - 1))
    return Estimate(mean, mean - half, mean + half)


def ours(found: Floats, weight: Floats, draw: np.random.Generator) -> Estimate:
    """The interval of `pointsman evaluate`, before it is widened by what the log has nothing of."""
    return interval(found, effective_size(weight))


INTERVALS = {"normal": normal, "bootstrap-t": bootstrap_t, "emp. Bernstein": bernstein, "t and Hall": ours}


def logs(data: Data, metric: str, policies: int, size: int | None) -> "list[tuple[str, Log, float, np.random.Generator]]":
    """Per logging policy and candidate: a log of the whole data, or of `size` prompts drawn from it, and the truth over the whole data."""
    outcomes, (count, arms) = data.outcomes[metric], data.outcomes[metric].shape
    found = []
    for number in range(policies):
        draw = np.random.default_rng([SEED, number])
        rows = np.arange(count) if size is None else draw.integers(0, count, size)
        floor = min(float(draw.uniform(0.01, 0.2)), 0.9 / arms)
        drawn = softmax(data.features[rows] @ draw.normal(0.0, draw.uniform(0.5, 4.0), (data.features.shape[1], arms)))
        shares = floor + (1.0 - arms * floor) * drawn
        chosen = np.minimum((shares.cumsum(axis=1) < draw.random((len(rows), 1))).sum(axis=1), arms - 1)
        places = np.arange(len(rows))
        outcome = outcomes[rows, chosen]
        expected = cross_fit(data.features[rows], chosen, outcome, arms)
        targets = {f"fixed {arm}": np.tile(np.eye(arms)[arm], (count, 1)) for arm in range(arms)}
        targets["random"] = np.full((count, arms), 1.0 / arms)
        targets["learned"] = softmax(data.features @ draw.normal(0.0, 3.0, (data.features.shape[1], arms)))
        for name, target in targets.items():
            log = Log.of(outcome=outcome, propensity=shares[places, chosen], chosen=chosen, target=target[rows], predicted=expected)
            found.append((name, log, float((target * outcomes).sum(axis=1).mean()), draw))
    return found


def report(title: str, rows: Mapping[str, Sequence[tuple[str, Estimate | None, float]]], unit: float) -> dict[str, float]:
    """One table: coverage, the lowest coverage of one candidate, median width and median distance from the truth, both over `unit`."""
    print(f"\n{title}\n{'':16}{'coverage':>10}{'worst':>8}{'width':>9}{'error':>9}{'without':>9}")
    coverage = {}
    for name, estimates in rows.items():
        known = [(who, estimate, truth) for who, estimate, truth in estimates if estimate is not None]
        held: dict[str, list[bool]] = {}
        for who, estimate, truth in known:
            held.setdefault(who, []).append(estimate.lower <= truth <= estimate.upper)
        coverage[name] = sum(map(sum, held.values())) / len(known)
        lowest = min(sum(one) / len(one) for one in held.values())
        width, error = median(e.width for _, e, _ in known) / unit, median(abs(e.value - truth) for _, e, truth in known) / unit
        print(f"{name:16}{coverage[name]:10.3f}{lowest:8.3f}{width:9.4f}{error:9.4f}{len(estimates) - len(known):9}")
    return coverage


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 where the doubly robust interval holds the truth of the whole data in fewer than 93 % of the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("POINTSMAN_PARETOBANDIT"))
    parser.add_argument("--routellm", type=Path)
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--intervals", action="store_true", help="compare intervals around the same doubly robust scores as well")
    given = parser.parse_args(arguments)
    files = [EXCERPT] if given.data is None else [Path(given.data) / "val.jsonl.gz", Path(given.data) / "val_k4.jsonl.gz"]
    print(f"{given.policies} random logging policies; coverage of 95 % intervals, widths and errors over the mean outcome")
    is_held = True
    for data in [*map(read, files), *([read_routellm(given.routellm)] if given.routellm else [])]:
        for metric, outcomes in data.outcomes.items():
            for size in (None, 300, 100):
                made = logs(data, metric, given.policies, size)
                title = f"{data.name}, {metric}, " + (
                    "a log of all, the truth of these prompts" if size is None else f"a log of {size} drawn, the truth of all"
                )
                rows = {name: [(who, estimator(log), truth) for who, log, truth, _ in made] for name, estimator in ESTIMATORS.items()}
                coverage = report(title, rows, float(outcomes.mean()))
                is_held &= size is not None or coverage["DR"] >= TARGET
                if given.intervals:
                    seen = [(who, log.weight, scores(log), truth, draw) for who, log, truth, draw in made if log.weight.any()]
                    compared = {name: [(who, around(found, w, draw), truth) for who, w, found, truth, draw in seen] for name, around in INTERVALS.items()}
                    report(f"{title}: intervals around the same DR scores", compared, float(outcomes.mean()))
    return 0 if is_held else 1


if __name__ == "__main__":
    raise SystemExit(main())
