"""From utilities to probabilities: mostly the best track, others in proportion to the chance that they are better, and a floor that costs next to nothing.

p_a = max(1 / (1 + exp(1.702 gap_a / (SHARPNESS sqrt(s_a^2 + s_b^2)))), LOSS / (gap_a + LOSS / FLOOR), probe_a), b the best, gap_a = u_b - u_a; the best has
the rest, at least a tenth. The first is an approximate, sharpened Thompson draw; the second bounds what exploring a track may lose per request by LOSS.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .arrays import short

SHARPNESS = 0.1
LOSS = 5e-5
FLOOR = 0.02
MOST_EXPLORED = 0.9
OPTIMISM = 0.5
NEGLIGIBLE = 40.0  # beyond it the chance, 4e-18, is below any floor
LOGISTIC = 1.702

Table = NDArray[np.float64]


def probabilities(utilities: Sequence[float], spreads: Sequence[float], probes: Sequence[float]) -> list[float]:
    """The probability of each track, to six significant digits but for the best, which has the rest.

    >>> probabilities([0.9, 0.8, 0.5], [0.02, 0.02, 0.02], [0.0, 0.0, 0.0])
    [0.999387971, 0.000487805, 0.000124224]
    """
    best = max(range(len(utilities)), key=utilities.__getitem__)
    top, sure = utilities[best], spreads[best] ** 2
    shares = []
    for place, utility in enumerate(utilities):
        if place == best:
            shares.append(0.0)
            continue
        gap = top - utility
        width = SHARPNESS * math.sqrt(spreads[place] ** 2 + sure)
        share = LOSS / (gap + LOSS / FLOOR)
        if LOGISTIC * gap < NEGLIGIBLE * width:
            share = max(share, 1.0 / (1.0 + math.exp(LOGISTIC * gap / width)))
        shares.append(max(share, probes[place]))
    explored = 0.0
    for share in shares:
        explored += share
    shrink = MOST_EXPLORED / explored if explored > MOST_EXPLORED else 1.0
    shares = [short(share * shrink) for share in shares]
    rest = 1.0
    for share in shares:
        rest -= share
    shares[best] = round(rest, 9)
    return shares


def expected_cost(values: Table, spreads: Table, costs: Table, probes: Table, price: float) -> float:
    """The mean cost in USD over requests (rows) of choosing among tracks (columns) at this shadow price."""
    utilities = values - price * costs
    rows = np.arange(len(utilities))
    best = utilities.argmax(axis=1)
    gaps = utilities[rows, best][:, None] - utilities
    sure = spreads[rows, best][:, None]
    widths = SHARPNESS * np.sqrt(spreads * spreads + sure * sure) + 1e-12
    shares = 1.0 / (1.0 + np.exp(np.minimum(LOGISTIC * gaps / widths, 60.0)))
    shares = np.maximum(np.maximum(shares, LOSS / (gaps + LOSS / FLOOR)), probes)
    shares[rows, best] = 0.0
    explored = np.add.reduce(shares, axis=1)
    shares *= np.minimum(1.0, MOST_EXPLORED / np.maximum(explored, MOST_EXPLORED))[:, None]
    rest = 1.0 - np.add.reduce(shares, axis=1)
    return float(np.add.reduce(np.add.reduce(shares * costs, axis=1) + rest * costs[rows, best]) / len(utilities))
