"""The scoring of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015), from its definition: what an alarm at each row is worth, and its protocol.

A window's worth is that of the first alarm in it, from 1 at its start towards 0 at its end; an alarm outside costs up to `fp`, less shortly after a window;
a window without an alarm costs `fn`. Rows of the first 15 % (of 5,000 at most) count for nothing. 0 is what silence gets, 100 what the first row of every
window gets.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from csv import DictReader
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PROBATION, LONGEST_PROBATION = 0.15, 5000
THRESHOLDS = 400


@dataclass(frozen=True, slots=True)
class Profile:
    """What a hit is worth, and what a false alarm and a miss cost."""

    name: str
    tp: float
    fp: float
    fn: float


@dataclass(frozen=True, slots=True)
class Labelled:
    """A series with the windows (first and last row) in which something was wrong."""

    name: str
    times: Floats
    values: Floats
    windows: tuple[tuple[int, int], ...]

    @property
    def stratum(self) -> str:
        """The kind of series it is."""
        return self.name.partition("/")[0]

    @property
    def probation(self) -> int:
        """Rows at the start that are not scored."""
        return int(PROBATION * min(len(self.values), LONGEST_PROBATION))


def read(folder: Path) -> list[Labelled]:
    """Every series of the folder with its windows."""
    windows = json.loads((folder / "windows.json").read_text())
    return [_labelled(path, path.relative_to(folder).as_posix().removesuffix(".gz"), windows) for path in sorted(folder.glob("*/*.csv.gz"))]


def profiles(folder: Path) -> list[Profile]:
    """The costs of the folder's profiles: standard, few false alarms, few misses."""
    found = json.loads((folder / "profiles.json").read_text())
    return [Profile(name, *(one["CostMatrix"][f"{kind}Weight"] for kind in ("tp", "fp", "fn"))) for name, one in found.items()]


def _labelled(path: Path, name: str, windows: dict[str, list[list[str]]]) -> Labelled:
    with gzip.open(path, "rt") as file:
        rows = [(_seconds(row["timestamp"]), float(row["value"])) for row in DictReader(file)]
    times, values = (np.array(column) for column in zip(*rows, strict=True))
    places = tuple((int(np.searchsorted(times, _seconds(first))), int(np.searchsorted(times, _seconds(last)))) for first, last in windows[name])
    return Labelled(name, times, values, places)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def sigmoid(position: Floats) -> Floats:
    """The worth of a place relative to a window: 1 far before its end, 0 at its end, -1 well after it."""
    found: Floats = np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(np.minimum(5.0 * position, 50.0))) - 1.0)
    return found


def worth(series: Labelled) -> tuple[Floats, NDArray[np.int64]]:
    """Per row what an alarm there is worth, and the window it is in; -1 outside."""
    rows = len(series.values)
    found, inside = np.full(rows, -1.0), np.full(rows, -1)
    ends = [*(first for first, _ in series.windows[1:]), rows][: len(series.windows)]
    for place, ((first, last), end) in enumerate(zip(series.windows, ends, strict=True)):
        width = last - first + 1
        found[first : last + 1] = sigmoid((np.arange(first, last + 1) - last - 1) / width) / sigmoid(np.array(-1.0))
        inside[first : last + 1] = place
        found[last + 1 : end] = sigmoid((np.arange(last + 1, end) - last) / max(width - 1, 1))
    return found, inside


class Judge:
    """Scores of many series against many thresholds."""

    def __init__(self, series: Sequence[Labelled]) -> None:
        self.series = list(series)
        self._worth = [worth(one) for one in series]
        self._windows = np.array([len(one.windows) for one in series])

    def curves(self, scores: Sequence[Floats], profile: Profile) -> tuple[Floats, Floats]:
        """Thresholds, and series × thresholds: what alarms at that score or above are worth."""
        every = np.concatenate([found[one.probation :] for found, one in zip(scores, self.series, strict=True)])
        thresholds = np.unique(every)
        if len(thresholds) > THRESHOLDS:
            thresholds = np.unique(np.append(np.quantile(every, 1.0 - np.geomspace(1e-5, 0.2, THRESHOLDS)), thresholds[-1]))
        thresholds = np.append(thresholds, thresholds[-1] + 1.0)
        return thresholds, np.array([self._curve(place, found, thresholds, profile) for place, found in enumerate(scores)])

    def _curve(self, place: int, scores: Floats, thresholds: Floats, profile: Profile) -> Floats:
        counts = np.arange(len(scores)) >= self.series[place].probation
        weights, inside = self._worth[place]
        total = profile.fp * _reached(scores, weights, counts & (inside < 0), thresholds, np.add.accumulate, 0.0)
        for window in range(len(self.series[place].windows)):
            total += _reached(scores, profile.tp * weights, counts & (inside == window), thresholds, np.maximum.accumulate, -profile.fn)
        return total

    def normalised(self, curve: Floats, chosen: Sequence[int], profile: Profile) -> Floats:
        """The sum over the chosen series on the scale where silence is 0 and perfection 100."""
        windows = self._windows[list(chosen)].sum()
        found: Floats = 100.0 * (curve[list(chosen)].sum(0) + profile.fn * windows) / ((profile.tp + profile.fn) * windows)
        return found


def _reached(scores: Floats, weights: Floats, rows: NDArray[np.bool_], thresholds: Floats, accumulate: Callable[[Floats], Floats], none: float) -> Floats:
    """Per threshold the accumulated weights of the rows that reach it."""
    order = np.argsort(-scores[rows], kind="stable")
    found = np.append(none, accumulate(weights[rows][order])) if order.size else np.array([none])
    reached: Floats = found[np.searchsorted(-scores[rows][order], -thresholds, side="right")]
    return reached


def halves(series: Sequence[Labelled], splits: int, seed: int = 0) -> list[tuple[list[int], list[int]]]:
    """Training and test half of the series, each stratum divided evenly, `splits` times both ways."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(splits):
        first: list[int] = []
        for stratum in sorted({one.stratum for one in series}):
            places = rng.permutation([place for place, one in enumerate(series) if one.stratum == stratum])
            first += places[: len(places) // 2 + int(len(places) % 2 and rng.integers(0, 2))].tolist()
        second = sorted(set(range(len(series))) - set(first))
        found += [(sorted(first), second), (second, sorted(first))]
    return found


__all__ = ["Judge", "Labelled", "Profile", "halves", "profiles", "read", "sigmoid", "worth"]
