"""How a track slows down under its own load: expected latency from what runs there at the moment of a decision."""

import math
from bisect import bisect_left, insort
from collections import deque
from itertools import pairwise
from typing import Any

from pointsman.schemas import PolicyLoad

from .arrays import dot, short
from .quantiles import SlidingQuantiles

FORGETTING = 0.99
FADING = 0.02
RIDGE = 0.01
LENGTHS = 512
NEAREST = 8
YOUNG = 20
SLOW_START = 4
RENEWED = 32
RECENT = 100
_SCALES = (1.0, 20.0, 100.0, 2000.0)  # so that weights are of order one
_SIZE = len(_SCALES)


class Load:
    """latency = c + d · n̄ + L · (a + b · n̄): L output tokens, n̄ the mean number in flight on the track while the request ran (seconds throughout).

    That is a queue and processor sharing: more in flight, a longer wait and fewer tokens a second for each. c, d, a, b minimise the squares of relative
    errors (below the median latency of absolute ones, so that answers from a cache count no more than others), with a memory of 100 outcomes and a ridge, so
    that what no request varies cannot drift; n̄ comes from the area under the in-flight count, so that a burst that came during a request is in it. L of a
    new request is the median of the 8 recorded lengths nearest in log input tokens, or of all 512 where that was closer of late.

    >>> load, now = Load(), 0.0
    >>> for number in range(200):
    ...     ahead = number % 10
    ...     others = [load.start(now) for _ in range(ahead)]
    ...     area, tokens = load.start(now), 50 + 7 * number % 100
    ...     latency = 0.2 + tokens * (0.005 + 0.001 * (ahead + 1))
    ...     load.learn(now + latency, now, area, input_tokens=8 * tokens, output_tokens=tokens)
    ...     for _ in range(ahead + 1):
    ...         load.end(now + latency)
    ...     now += 60.0
    >>> [round(load.predict(800, in_flight), 2) for in_flight in (0, 9, 99)]
    [0.8, 1.69, 10.62]
    """

    __slots__ = ("_all", "_area", "_last", "_latencies", "_lengths", "_misses", "_moments", "_recent", "_weights", "count", "in_flight", "known")

    def __init__(self) -> None:
        self.in_flight = 0
        self.count = 0
        self.known = 0.0
        self._area = 0.0
        self._last = -math.inf
        self._weights = [0.0] * _SIZE
        self._moments = [0.0] * (_SIZE * (_SIZE + 3) // 2)  # Σ of x xᵀ (upper triangle by rows), then Σ of x y
        self._latencies = SlidingQuantiles(RECENT)
        self._recent: deque[tuple[float, float]] = deque()
        self._lengths: list[tuple[float, float]] = []
        self._all = SlidingQuantiles(LENGTHS)
        self._misses = [0.0, 0.0]  # mean |log error| of late: of the nearest, of all

    def start(self, now: float) -> float:
        """A request starts; what is returned belongs to it and goes into `learn`."""
        self._move(now)
        self.in_flight += 1
        return self._area

    def end(self, now: float) -> None:
        """A request ends, in whatever way: completed, failed, cancelled or given up."""
        self._move(now)
        self.in_flight = max(self.in_flight - 1, 0)

    def learn(self, now: float, started_at: float, area: float, input_tokens: int | None, output_tokens: int | None) -> None:
        """A success ended `now`; call before `end`."""
        self._move(now)
        latency = now - started_at
        if latency <= 0.0 or not output_tokens:
            return
        beside = self.beside(now, started_at, area)
        self.known = max(self.known, beside)
        usual = self._latencies.get(0.5) if self._latencies.ordered else latency
        self._regress(self._features(float(output_tokens), beside), latency, max(latency, usual))
        self._latencies.update(round(latency, 4))
        if self._lengths:
            for place, said in enumerate((self._nearest(input_tokens), self._all.get(0.5))):
                self._misses[place] += FADING * (abs(math.log(output_tokens / said)) - self._misses[place])
        self._all.update(float(output_tokens))
        if len(self._recent) >= LENGTHS:
            del self._lengths[bisect_left(self._lengths, self._recent.popleft())]
        pair = (round(math.log1p(input_tokens or 0), 3), float(output_tokens))
        self._recent.append(pair)
        insort(self._lengths, pair)
        self.count += 1

    def beside(self, now: float, started_at: float, area: float) -> float:
        """How many were in flight in the mean while a request ran that ends `now`, itself included; call before `end`."""
        self._move(now)
        return max((self._area - area) / (now - started_at), 1.0) if now > started_at else 1.0

    def length(self, input_tokens: int | None) -> float:
        """The output tokens to expect; 0 before the first success."""
        if not self._lengths:
            return 0.0
        return self._nearest(input_tokens) if self._misses[0] < self._misses[1] else self._all.get(0.5)

    def _nearest(self, input_tokens: int | None) -> float:
        lengths, at = self._lengths, math.log1p(input_tokens or 0)
        low = high = bisect_left(lengths, (at, 0.0))
        while high - low < min(NEAREST, len(lengths)):
            if high == len(lengths) or (low > 0 and at - lengths[low - 1][0] <= lengths[high][0] - at):
                low -= 1
            else:
                high += 1
        near = sorted(tokens for _, tokens in lengths[low:high])
        return near[len(near) // 2]

    def predict(self, input_tokens: int | None, in_flight: int | None = None) -> float | None:
        """Seconds that one more request would take if as many stayed in flight; None while young or not finite."""
        if self.count < YOUNG or not any(weight > 0.0 for weight in self._weights):
            return None
        running = self.in_flight if in_flight is None else in_flight
        return max(dot([max(weight, 0.0) for weight in self._weights], self._features(self.length(input_tokens), running + 1.0)), 0.001)

    def alone(self, output_tokens: float) -> float | None:
        """Seconds that an answer of this length takes with nothing beside it; None while young or not finite."""
        if self.count < YOUNG or not any(weight > 0.0 for weight in self._weights):
            return None
        return max(dot([max(weight, 0.0) for weight in self._weights], self._features(output_tokens, 1.0)), 0.001)

    def is_as_published(self, published: PolicyLoad, most: int | None = None) -> bool:
        """Whether what was published still holds: the number in flight within 10 % or one, the expected seconds within 5 %, the limit exactly."""
        if abs(published.running - self.in_flight) > max(1.0, 0.1 * published.running) or published.limit != self._limit(most):
            return False
        tokens = published.tokens[len(published.tokens) // 2]
        weights = [max(weight, 0.0) for weight in self._weights]
        now = dot(weights, self._features(tokens, self.in_flight + 1.0))
        then = seconds(published, tokens, self.in_flight)
        return abs(now - then) <= 0.05 * then

    def is_known(self) -> bool:
        """Whether one more is within twice the load that was lived through (slow start): beyond it, a burst may teach a lesson that lasts."""
        return self.in_flight < 2.0 * self.known + SLOW_START

    def _limit(self, most: int | None) -> float:
        """Beyond it nothing is known, or no more is allowed."""
        known = 2.0 * self.known + SLOW_START
        return short(known if most is None else min(known, float(most)))

    def published(self, last: PolicyLoad | None = None, most: int | None = None) -> PolicyLoad | None:
        """The same for routers: lengths as medians of eight neighbours each, renewed every 32 outcomes, at `most` so many in flight; None while young."""
        if self.count < YOUNG or not any(weight > 0.0 for weight in self._weights):
            return None
        constant, queueing, per_token, slowing = (max(weight, 0.0) / scale for weight, scale in zip(self._weights, _SCALES, strict=True))
        outcomes = self.count
        if last is not None and self.count < last.outcomes + RENEWED:
            edges, tokens, outcomes = last.edges, last.tokens, last.outcomes
        elif self._misses[0] < self._misses[1]:
            groups = [self._lengths[place : place + NEAREST] for place in range(0, len(self._lengths), NEAREST)]
            edges = tuple(round(0.5 * (one[-1][0] + other[0][0]), 4) for one, other in pairwise(groups))
            tokens = tuple(sorted(length for _, length in group)[len(group) // 2] for group in groups)
        else:
            edges, tokens = (), (round(self._all.get(0.5), 1),)
        return PolicyLoad.model_construct(
            constant_s=short(constant),
            per_token_s=short(per_token),
            per_token_running_s=short(slowing),
            per_running_s=short(queueing),
            running=self.in_flight,
            limit=self._limit(most),
            outcomes=outcomes,
            edges=edges,
            tokens=tokens,
        )

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "now": [self.in_flight, self.count, self.known, self._area, self._last if math.isfinite(self._last) else None],
            "moments": list(self._moments),
            "latencies": self._latencies.snapshot(),
            "misses": list(self._misses),
            "lengths": [list(pair) for pair in self._recent],
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "Load":
        """The load that left this snapshot."""
        load = cls()
        load.in_flight, load.count, load.known, load._area, last = state["now"]
        load._last = -math.inf if last is None else last
        load._moments = list(state["moments"])
        load._weights = load._solve()
        load._latencies.restore(state["latencies"])
        load._recent = deque((pair[0], pair[1]) for pair in state["lengths"])
        load._lengths = sorted(load._recent)
        load._all.restore([tokens for _, tokens in load._recent])
        load._misses = list(state["misses"])
        return load

    def _move(self, now: float) -> None:
        if now > self._last:
            self._area += self.in_flight * (now - self._last) if self.in_flight else 0.0
            self._last = now

    @staticmethod
    def _features(tokens: float, beside: float) -> list[float]:
        return [1.0 / _SCALES[0], beside / _SCALES[1], tokens / _SCALES[2], tokens * beside / _SCALES[3]]

    def _regress(self, features: list[float], latency: float, scale: float) -> None:
        """Regress y = latency ÷ scale on x = features ÷ scale."""
        x, y = [min(entry / scale, 1e6) for entry in features], latency / scale
        fresh = [*(x[row] * x[column] for row in range(_SIZE) for column in range(row, _SIZE)), *(y * entry for entry in x)]
        self._moments = [FORGETTING * old + new for old, new in zip(self._moments, fresh, strict=True)]
        self._weights = self._solve()

    def _solve(self) -> list[float]:
        """The weights of the moments, by Gaussian elimination; the ridge keeps the pivots positive."""
        moments = iter(self._moments)
        rows = [[0.0] * (_SIZE + 1) for _ in range(_SIZE)]
        for row in range(_SIZE):
            for column in range(row, _SIZE):
                rows[row][column] = rows[column][row] = next(moments) + (RIDGE if row == column else 0.0)
        for row in range(_SIZE):
            rows[row][_SIZE] = next(moments)
        for place in range(_SIZE):
            pivot = rows[place][place]
            if not pivot > 0.0 or not math.isfinite(pivot):
                return [0.0] * _SIZE
            for row in range(place + 1, _SIZE):
                factor = rows[row][place] / pivot
                rows[row] = [entry - factor * above for entry, above in zip(rows[row], rows[place], strict=True)]
        weights = [0.0] * _SIZE
        for place in reversed(range(_SIZE)):
            known = dot(rows[place][place + 1 : _SIZE], weights[place + 1 :])
            weights[place] = (rows[place][_SIZE] - known) / rows[place][place]
        return weights


def seconds(load: PolicyLoad, tokens: float, running: int) -> float:
    """What one more request would take by a published load."""
    beside = running + 1
    return load.constant_s + load.per_running_s * beside + tokens * (load.per_token_s + load.per_token_running_s * beside)
