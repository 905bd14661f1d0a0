"""Timeouts as conditional quantiles of TTFT and total latency, with the coverage they really had."""

import base64
import math
import struct
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from .quantiles import SlidingQuantiles


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """`level` is the share of requests that are to finish in time; bounds in ms."""

    level: float = 0.99
    default_ms: float = 60_000.0
    shortest_ms: float = 1_000.0
    longest_ms: float = 600_000.0
    young: int = 20
    residuals: int = 500
    outcomes: int = 500
    rate: float = 0.02
    correction: float = 2.0
    fading: float = 0.005


class Issued(NamedTuple):
    """A timeout with what is needed to judge it: all but `timeout_ms` are natural logarithms of ms; `learned` is false while it is the default."""

    timeout_ms: float
    prediction: float
    load: float
    by_prediction: float
    by_load: float
    learned: bool


class Timeout:
    """The `level` quantile of one duration of one track: q = anchor + quantile of the last 500 log residuals from it + c.

    The anchor is the given log prediction, or ½ ln(1 + in flight), whichever had the lower pinball loss of late: a square root of the load is right for
    an engine whose queue no prediction foresaw. c is adapted online, c += rate · (missed - (1 - level)) (Gibbs & Candès 2021, as a quantile
    tracker), so that the realised share holds however the residuals drift; it stands still while a bound decides, and goes no further than
    ±2 (7.4 times), and an outcome that was cut off at its timeout is a miss but enters the window at what the window had said: a provider that hangs
    forever must not teach patience.

    >>> timeout = Timeout(TimeoutSettings(level=0.95, default_ms=30_000.0))
    >>> timeout.issue(math.log(2_000.0), in_flight=3).timeout_ms
    30000.0
    >>> for number in range(400):
    ...     issued = timeout.issue(math.log(2_000.0), in_flight=3)
    ...     timeout.observe(issued, 2_000.0 + 100.0 * (7 * number % 100))
    >>> round(timeout.issue(math.log(2_000.0), in_flight=3).timeout_ms)
    11403
    >>> round(timeout.coverage() or 0.0, 3)
    0.95
    """

    __slots__ = ("_by_load", "_by_prediction", "_correction", "_held", "_losses", "_settings")

    def __init__(self, settings: TimeoutSettings | None = None) -> None:
        self._settings = settings or TimeoutSettings()
        self._by_prediction = SlidingQuantiles(self._settings.residuals)
        self._by_load = SlidingQuantiles(self._settings.residuals)
        self._correction = 0.0
        self._losses = [0.0, 0.0]
        self._held: deque[bool] = deque(maxlen=self._settings.outcomes)

    def issue(self, log_prediction: float, in_flight: int) -> Issued:
        """The timeout of a request of which `exp(log_prediction)` ms are expected, with so many running beside it."""
        settings = self._settings
        prediction = log_prediction if math.isfinite(log_prediction) else math.log(settings.default_ms)
        load = 0.5 * math.log1p(max(in_flight, 0))
        if len(self._by_load) < settings.young:
            default = self._bounded(math.log(settings.default_ms))
            return Issued(round(math.exp(default), 3), prediction, load, default, default, False)
        one = prediction + self._by_prediction.get(settings.level)
        other = load + self._by_load.get(settings.level)
        chosen = one if self._losses[0] <= self._losses[1] else other
        return Issued(round(math.exp(self._bounded(chosen + self._correction)), 3), prediction, load, self._bounded(one), self._bounded(other), True)

    def observe(self, issued: Issued, elapsed_ms: float, *, censored: bool = False) -> None:
        """What happened: the duration of a success, or, `censored`, how long it was waited for in vain.

        Leave out failures other than timeouts. One that was given up before its timeout says nothing and changes nothing.
        """
        if censored and elapsed_ms < issued.timeout_ms:
            return
        settings = self._settings
        actual = math.log(max(elapsed_ms, 0.01))
        missed = censored or elapsed_ms > issued.timeout_ms
        if issued.learned:
            self._held.append(not missed)
            if not (missed and issued.timeout_ms >= settings.longest_ms) and not (not missed and issued.timeout_ms <= settings.shortest_ms):
                step = settings.rate * (missed - (1.0 - settings.level))
                self._correction = round(max(-settings.correction, min(settings.correction, self._correction + step)), 9)
            for place, said in enumerate((issued.by_prediction, issued.by_load)):
                loss = (settings.level - (actual < said)) * (max(elapsed_ms, 0.0) - math.exp(said)) / 1000.0
                self._losses[place] = round(self._losses[place] + settings.fading * (loss - self._losses[place]), 9)
        one, other = (issued.by_prediction, issued.by_load) if censored else (actual, actual)
        self._by_prediction.update(_rounded(one - issued.prediction))
        self._by_load.update(_rounded(other - issued.load))

    def coverage(self) -> float | None:
        """The share of the last 500 learned timeouts within which the request finished; None before the first."""
        return sum(self._held) / len(self._held) if self._held else None

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values; residuals as little-endian int16 thousandths in base64, a quarter of their decimals."""
        return {
            "residuals": [_packed(self._by_prediction.snapshot()), _packed(self._by_load.snapshot())],
            "correction": self._correction,
            "losses": list(self._losses),
            "held": "".join("01"[held] for held in self._held),
        }

    @classmethod
    def restore(cls, state: dict[str, Any], settings: TimeoutSettings | None = None) -> "Timeout":
        """The timeout that left this snapshot."""
        timeout = cls(settings)
        timeout._by_prediction.restore(_unpacked(state["residuals"][0]))
        timeout._by_load.restore(_unpacked(state["residuals"][1]))
        timeout._correction = state["correction"]
        timeout._losses = list(state["losses"])
        timeout._held.extend(mark == "1" for mark in state["held"])
        return timeout

    def _bounded(self, logarithm: float) -> float:
        return max(math.log(self._settings.shortest_ms), min(math.log(self._settings.longest_ms), logarithm))


def _rounded(residual: float) -> float:
    return round(max(-32.0, min(32.0, residual)), 3)


def _packed(residuals: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(residuals)}h", *(round(1000.0 * one) for one in residuals))).decode()


def _unpacked(text: str) -> list[float]:
    data = base64.b64decode(text)
    return [one / 1000.0 for one in struct.unpack(f"<{len(data) // 2}h", data)]
