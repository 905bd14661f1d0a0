"""From the false alarms that a user accepts to the surprise at which to raise one."""

import math

from .detector import SILENCE

MONTH_S = 30.0 * 86_400.0
LEVELS = (2.0, 2.4, 2.8, 3.2, 3.6, 4.0)
PER_1000_ROWS = (3.8, 2.0, 0.9, 0.3, 0.1, 0.033)
LEAST, MOST = 1.2, 6.0


def level(per_month: float, step_s: float) -> float:
    """The surprise above which a series of such steps raises so many false alarms a month, told once per 100 rows.

    By the medians over made-up noise without a fault (`benchmarks.quiet`), between them on a logarithmic scale, at least 1.2 and at most 6.

    >>> round(level(8.0, 300.0), 2), round(level(1.0, 300.0), 2)
    (2.79, 3.55)
    """
    wanted = math.log(per_month * step_s / MONTH_S * 1000.0)
    known = [math.log(rate) for rate in PER_1000_ROWS]
    place = next((place for place in range(1, len(known) - 1) if wanted >= known[place]), len(known) - 1)
    share = (wanted - known[place - 1]) / (known[place] - known[place - 1])
    return min(max(LEVELS[place - 1] + share * (LEVELS[place] - LEVELS[place - 1]), LEAST), MOST)


class Alarms:
    """Which rows to raise an alarm for, so many false ones a month: those above the level, each once per 100 rows.

    >>> alarms = Alarms(per_month=8.0)
    >>> [alarms.raises(surprise, 300.0) for surprise in (1.0, 5.0, 9.0)]
    [False, True, False]
    """

    def __init__(self, per_month: float) -> None:
        self._per_month = per_month
        self._since = SILENCE

    def raises(self, surprise: float, step_s: float) -> bool:
        """Whether a row of this surprise is one, in a series whose rows are usually so far apart."""
        self._since += 1
        if self._since <= SILENCE or step_s <= 0.0 or surprise <= level(self._per_month, step_s):
            return False
        self._since = 0
        return True


__all__ = ["MONTH_S", "Alarms", "level"]
