"""Hold: a capacity is raised at once and lowered late, as autoscalers do, so that it does not follow every breath of the demand.

Source: the scale-down stabilisation window of the Kubernetes HorizontalPodAutoscaler, with a dead band.
"""

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_SLOTS = 8

Row = NDArray[np.float64]


class Hold:
    """What runs, for several accounts at a time, given what each row advises.

    Raised to the advice at once. Lowered to the largest advice of the last `rows` rows, once this is below `1 - hysteresis` of what runs and the last change
    is `rows` rows ago. Beyond eight rows the window is kept in eighths, so it may be up to an eighth longer.

    >>> hold = Hold(1, rows=2, hysteresis=0.1)
    >>> [float(hold.observe(np.array([advice]))[0]) for advice in (100.0, 80.0, 95.0, 95.0, 70.0, 60.0, 60.0)]
    [100.0, 100.0, 100.0, 100.0, 100.0, 70.0, 70.0]
    """

    __slots__ = ("_filled", "_hysteresis", "_peaks", "_place", "_rows", "_slot_rows", "running", "since")

    def __init__(self, width: int, rows: int = 1, hysteresis: float = 0.1) -> None:
        self._rows = max(rows, 1)
        self._hysteresis = hysteresis
        self._slot_rows = math.ceil(self._rows / MOST_SLOTS)
        self._peaks = np.zeros((self._rows if self._slot_rows == 1 else MOST_SLOTS + 1, width))
        self._place = self._filled = 0
        self.running: Row = np.zeros(width)
        self.since = np.full(width, self._rows, np.int64)

    def observe(self, advice: Row) -> Row:
        """What runs from here on, shape (width,)."""
        self._remember(advice)
        peak = self._peaks.max(axis=0)
        self.since += 1
        is_lowered = (peak < (1.0 - self._hysteresis) * self.running) & (self.since >= self._rows)
        running = np.where(is_lowered, peak, np.maximum(self.running, advice))
        self.since[running != self.running] = 0
        self.running = running
        return running

    def rows_left(self, column: int = -1) -> int:
        """For how many rows more it can't be lowered, whatever is advised."""
        return max(self._rows - 1 - int(self.since[column]), 0)

    def _remember(self, advice: Row) -> None:
        """Into the newest slot; the oldest makes room for it."""
        if self._filled == self._slot_rows:
            self._place = (self._place + 1) % len(self._peaks)
            self._filled = 0
        self._peaks[self._place] = advice if self._filled == 0 else np.maximum(self._peaks[self._place], advice)
        self._filled += 1

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        numbers = np.concatenate([self._peaks.ravel(), self.running])
        return [self._place, self._filled, self.since.tolist(), base64.b64encode(numbers.astype("<f8").tobytes()).decode("ascii")]

    def restore(self, state: list[Any]) -> None:
        """Go on from what a hold of the same width and settings left."""
        self._place, self._filled = state[:2]
        self.since = np.array(state[2], np.int64)
        numbers = np.frombuffer(base64.b64decode(state[3]), "<f8").astype(np.float64)
        size = self._peaks.size
        self._peaks = numbers[:size].reshape(self._peaks.shape)
        self.running = numbers[size:]
