"""From the false alarms that a user accepts to the surprise at which to raise one."""

import math

from .detector import SILENCE
from .surprise import BLOCKS, FEWEST, ROWS, TAIL_SHARE

MONTH_S = 30.0 * 86_400.0
LEVELS = (2.0, 2.4, 2.8, 3.2, 3.6, 4.0)
PER_1000_ROWS = (3.8, 2.0, 0.9, 0.3, 0.1, 0.033)
LEAST, MOST = 1.2, 6.0
YOUNG = 60.0


def level(per_month: float, step_s: float) -> float:
    """The surprise above which a series of such steps raises so many false alarms a month, told once per 100 rows.

    By the medians over made-up noise without a fault (`benchmarks.anomalies`), between them on a logarithmic scale, at least 1.2 and at most 6.

    >>> round(level(8.0, 300.0), 2), round(level(1.0, 300.0), 2)
    (2.79, 3.55)
    """
    wanted = math.log(per_month * step_s / MONTH_S * 1000.0)
    known = [math.log(rate) for rate in PER_1000_ROWS]
    place = next((place for place in range(1, len(known) - 1) if wanted >= known[place]), len(known) - 1)
    share = (wanted - known[place - 1]) / (known[place] - known[place - 1])
    return min(max(LEVELS[place - 1] + share * (LEVELS[place] - LEVELS[place - 1]), LEAST), MOST)


def sure(surprise: float, rows: int) -> float:
    """A surprise less what so many rows cannot know: the slope of its tail is an estimate from k values, and the tail is integrated over the slope's posterior.
    What is normal is young too, and each change of a young series is new: n rows count for n / (n + 60) of it.

    Beyond the k-th largest of n rows, an exponential tail of -log10 p = s becomes b + k log10(1 + (s - b) ln 10 / k), b = log10((n + 1) / (k + 1)).

    >>> round(sure(4.0, 300), 2), round(sure(4.0, 6000), 2), round(sure(1.0, 300), 2)
    (2.72, 3.85, 0.83)
    """
    known = min(rows, BLOCKS * ROWS)
    tail = max(int(TAIL_SHARE * known), FEWEST)
    body = math.log10((known + 1.0) / (tail + 1.0))
    found = surprise if surprise <= body else body + tail * math.log10(1.0 + (surprise - body) * math.log(10.0) / tail)
    return found * rows / (rows + YOUNG)


class Alarms:
    """Which rows to raise an alarm for, so many false ones a month: those above the level, each once per 100 rows.

    >>> alarms = Alarms(per_month=8.0)
    >>> [alarms.raises(surprise, 300.0) for surprise in (*[1.0] * 300, 12.0, 15.0)][-3:]
    [False, True, False]
    """

    def __init__(self, per_month: float) -> None:
        self._per_month = per_month
        self._since = SILENCE
        self._rows = 0

    def raises(self, surprise: float, step_s: float) -> bool:
        """Whether a row of this surprise is one, in a series whose rows are usually so far apart."""
        self._since += 1
        self._rows += 1
        if self._since <= SILENCE or step_s <= 0.0 or sure(surprise, self._rows) <= level(self._per_month, step_s):
            return False
        self._since = 0
        return True


__all__ = ["MONTH_S", "Alarms", "level", "sure"]
