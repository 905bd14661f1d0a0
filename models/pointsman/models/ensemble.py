"""Shares of models that were measured side by side: exponential in their recent losses, with a prior for the simpler."""

import math
from collections.abc import Sequence

from .arrays import added

MEMORY = 50
SHARPNESS = 0.5
_TINY = 1e-12  # losses this small are ties


def weights(losses: Sequence[float], priors: Sequence[float], outcomes: Sequence[int]) -> list[float]:
    """The shares of models in the blend, adding up to 1: w ∝ exp(-½ · n · (l ÷ l₀ - 1 + prior)), l₀ the lowest loss, n the outcomes in memory, at most 50.

    That is the exponentially weighted forecaster (Vovk 1990; Cesa-Bianchi & Lugosi 2006) on discounted absolute errors, in units of the best one's,
    so that it is the same for a track of milliseconds and one of minutes.

    >>> [round(share, 3) for share in weights([0.30, 0.20, 0.21], [0.0, 0.02, 0.1], [50, 50, 50])]
    [0.0, 0.963, 0.037]
    """
    best = max(min(losses), _TINY)
    rows = zip(losses, priors, outcomes, strict=True)
    scores = [SHARPNESS * (count if count < MEMORY else MEMORY) * (loss / best - 1.0 + prior) for loss, prior, count in rows]
    lowest = min(scores)
    raw = [math.exp(lowest - score) for score in scores]
    total = added(raw)
    return [one / total for one in raw]
