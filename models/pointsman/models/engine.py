"""Time to first token and latency of a request to an engine with a queue, from its physics and what a forest learns of the rest."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engine_clock import IterationTimes, VirtualClock
from .engine_experts import Experts
from .engine_gauges import Gauges, Hosts
from .engine_lengths import YOUNG, Lengths, quantile
from .engine_queue import DRAINS, FULL, Queue, Underway
from .forest import RotatingForest
from .quantiles import SlidingQuantiles
from .situation import Situation

STALE_S = 10.0
CONTINUOUS_S = 30.0
PREFILL_STEP = 0.1
SHORTEST_S = 1e-4
LONGEST_GAP_S = 1e3
PACES = (4, 16, 64)
INPUTS = 20
_RATIO = 3.0


@dataclass(frozen=True, slots=True)
class EngineForecast:
    """ln of the median TTFT and latency in ms; `near` says what alike requests are alike in: ln wait s, load (in flight ÷ slots), ln gap s, ln length."""

    ttft: float
    latency: float
    near: tuple[float, ...]


def _log(value: float) -> float:
    return math.log(max(value, 1e-3))


class Engine:
    """One track that is an engine with a queue."""

    def __init__(self, seed: int = 1) -> None:
        self.hosts = Hosts()
        self.clock = VirtualClock()
        self.times = IterationTimes()
        self.lengths = Lengths()
        self.queue = Queue()
        self.experts = Experts(4)
        self.forest = RotatingForest(INPUTS, 2, trees=12, every=96, seed=seed)
        self.idle = SlidingQuantiles(64)
        self.prefill = 0.0
        self.gauges: Gauges | None = None
        self.sampled_at = -math.inf
        self.area = 0.0
        self.starts: deque[float] = deque(maxlen=PACES[-1])
        self.ends: deque[float] = deque(maxlen=PACES[-1])

    def sampled(self, now: float, gauges: Mapping[str, float], host: str = "") -> None:
        whole = self.hosts.sampled(host, now, gauges)
        if whole is None:
            return
        running = whole.running
        speed = whole.generation / running if running > 0.0 and whole.generation is not None else 0.0
        self.clock.advance(now, speed, self.clock.last is not None and now - self.clock.last < CONTINUOUS_S)
        if whole.waiting is not None:
            self.queue.admit(int(whole.waiting), self.clock.value)
        self.queue.observe(running, whole.waiting)
        if speed > 0.0:
            self.times.learn(running, speed)
        if whole.waiting and running < FULL * self.queue.most_running and whole.prompt:
            self.prefill = self.prefill + PREFILL_STEP * (whole.prompt - self.prefill) if self.prefill > 0.0 else whole.prompt
        self.gauges, self.sampled_at = whole, now

    def start(self, request_id: str, situation: Situation) -> EngineForecast | None:
        now, log_input = situation.now, math.log1p(situation.input_tokens or 0)
        if len(self.lengths) < YOUNG or not self.times.is_known:
            self.queue.enter(request_id, now, log_input)
            self.starts.append(now)
            return None
        if not self.queue.drains:
            self.queue.build(self.lengths, self.clock.now(now), self.times)
        nw, nr = len(self.queue.waiting), len(self.queue.running)
        entry = self.queue.enter(request_id, now, log_input)
        row = self.lengths.near([log_input])[0]
        waits = self.queue.join(entry, row, self.times)
        slot = sum(waits) / DRAINS
        since = min(max(now - self.sampled_at, 0.0), 2.0 * self.clock.usual_gap)
        pre = max(0.0, self.queue.waiting_tokens / self.prefill - since) if self.prefill > 0.0 else 0.0
        length = quantile(row, 0.5)
        decode = self.queue.decode_s(length, self.times)
        n = nw + nr
        S = self.queue.most_running or 1.0
        base = max(slot, pre, self.idle.get(0.5) if len(self.idle) >= 5 else 0.0, SHORTEST_S)
        gaps = [now - self.starts[-k] if len(self.starts) >= k else LONGEST_GAP_S for k in PACES]
        dgaps = [now - self.ends[-k] if len(self.ends) >= k else LONGEST_GAP_S for k in PACES[1:]]
        tau = self.times.at
        lam = 16 / max(gaps[1], 1e-2)
        g = self.gauges or Gauges(0.0)
        x = [
            _log(decode / length * 1.0),
            _log(length),
            _log(base),
            n / S,
            nr,
            nw,
            g.cache,
            now - self.queue.mean_start if nr else 0.0,
            *map(_log, gaps),
            *map(_log, dgaps),
            math.log(tau(min(S, 2 * max(n, 1)))),
            math.log(tau(min(S, n + lam * decode))),
            _log(slot),
            _log(pre),
            max(waits) - min(waits),
            g.running,
            g.waiting or 0.0,
        ]
        x = np.asarray(x, np.float16)
        entry.inputs = x.tobytes()
        entry.slot, entry.base, entry.length = slot, base, length
        entry.pre = pre
        entry.decode = decode
        xl = x.tolist()
        logs = self._logs(entry, xl)
        entry.logs = logs
        mix = self.experts.predict(logs, n / S)
        ttft = 0.5 * base + 0.5 * math.exp(mix)
        f = math.exp(self.forest.predict(xl, 1)) if self.forest.is_ready else decode / length
        lat = max(slot, pre) + length * f
        self.starts.append(now)
        entry.parts = (slot, pre, base, decode, length, xl)
        return EngineForecast(math.log(1000 * ttft), math.log(1000 * max(lat, ttft)), (_log(base), n / S, _log(gaps[1]), _log(length)))

    def _logs(self, e, xl):
        hi, lo = max(e.slot, e.pre), min(e.slot, e.pre)
        return [math.log(e.base), math.log(max(e.base, hi + 0.5 * lo)), math.log(max(e.base, e.slot + e.pre)), math.log(e.base) + self.forest.predict(xl, 0)]

    def complete(self, request_id, now, latency_ms, ttft_ms, *, success):
        e = self.queue.leave(request_id)
        if e is None or not success or latency_ms is None:
            return
        self.ends.append(now)
        ttft = (ttft_ms or 0.0) / 1000.0
        first = now - latency_ms / 1000 + ttft
        length = max(self.clock.now(now) - self.clock.at(first), 0.5)
        self.lengths.add(e.log_input, length)
        if not e.inputs:
            if ttft > 0: self.idle.update(ttft)
            return
        if e.slot == 0 and e.pre == 0: self.idle.update(ttft)
        y0 = math.log(max(ttft, SHORTEST_S)) - math.log(e.base)
        d = max(latency_ms / 1000 - ttft, 1e-3)
        y1 = math.log(d / length)
        x = np.frombuffer(e.inputs, np.float16)
        load = float(x[3])
        self.experts.learn(e.logs, math.log(max(ttft, SHORTEST_S)), load)
        self.forest.learn(x, [y0, y1], [W0(e, ttft), W1(e, d, length)])

def W0(e, ttft): return max(e.base, 1e-3)
def W1(e, d, length): return d if length > 3 else 0.0
