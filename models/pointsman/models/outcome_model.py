"""The outcome model of doubly robust estimates: one ridge regression per arm, cross-fitted."""

import numpy as np

from .off_policy import Floats, Places

FOLDS = 5
RIDGE = 1.0


def folds(count: int) -> Places:
    """The fold of each row: interleaved, so that every fold spans the whole time."""
    return np.arange(count, dtype=np.int64) % FOLDS


def cross_fit(features: Floats, chosen: Places, outcome: Floats, arms: int) -> Floats:
    """What is expected of every arm for every row, each by a model that has not seen the row's fold; shape (rows, arms).

    An arm's mean is drawn to the mean of all arms by the weight of one row, its slopes to zero by `RIDGE`, and what it says is kept
    within the outcomes seen. An arm without rows is given the mean of all.

    >>> x, chosen = np.ones((6, 1)), np.array([0, 1, 0, 1, 0, 1])
    >>> cross_fit(x, chosen, np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0]), 2)[1].round(2).tolist()
    [0.9, 0.2]
    """
    expected = np.zeros((len(outcome), arms))
    fold = folds(len(outcome))
    for number in range(min(FOLDS, len(outcome))):
        train, test = fold != number, fold == number
        if not train.any():
            continue
        overall = float(outcome[train].mean())
        lowest, highest = float(outcome[train].min()), float(outcome[train].max())
        for arm in range(arms):
            own = train & (chosen == arm)
            expected[test, arm] = overall
            if own.any():
                level, centre, slopes = _ridge(features[own], outcome[own], overall)
                expected[test, arm] = np.clip(level + (features[test] - centre) @ slopes, lowest, highest)
    return expected


def _ridge(x: Floats, y: Floats, overall: float) -> tuple[float, Floats, Floats]:
    """The level at the centre of x, that centre, and the slopes."""
    centre = x.mean(axis=0)
    away = x - centre
    level = (float(y.sum()) + overall) / (len(y) + 1.0)
    slopes: Floats = np.linalg.solve(away.T @ away + RIDGE * np.eye(x.shape[1]), away.T @ (y - y.mean()))
    return level, centre, slopes


__all__ = ["FOLDS", "cross_fit", "folds"]
