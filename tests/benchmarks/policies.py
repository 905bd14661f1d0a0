"""What the routing benchmarks compare: policies that choose a track at a request's start and see only the chosen one's outcome."""

import os
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pointsman.schemas import OptimizationConfig
from pointsman.streams import Optimizer

ROOT = Path(__file__).parents[2]
EPOCH = 1_704_067_200.0  # 2024-01-01T00:00:00Z: simulated seconds count from here


def data_folder(given: str | None) -> Path:
    """The recorded data: by argument, POINTSMAN_BENCH_DATA, or beside the repository."""
    return Path(given or os.environ.get("POINTSMAN_BENCH_DATA") or ROOT.parent / "shared" / "data")


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a stream; `output_tokens` is known only once it is served."""

    number: int
    at: float
    input_tokens: int
    output_tokens: int
    max_output_tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt gave; `error` is empty for a success, whose answer is as long as the request said unless `output_tokens` says otherwise."""

    latency_s: float
    ttft_s: float | None = None
    cost_usd: float = 0.0
    error: str = ""
    output_tokens: int | None = None


class Policy(Protocol):
    """Chooses a track per request and sees the outcome when it is there."""

    def choose(self, request: Request) -> str:
        """The track to take, at the request's own time."""
        ...

    def ended(self, request: Request, track: str, outcome: Outcome, now: float) -> None:
        """An attempt ended `now`, in simulated seconds."""


class Chosen:
    """A rule that learns nothing.

    >>> Chosen(lambda request: "api").choose(Request(0, 0.0, 1, 1, 1))
    'api'
    """

    def __init__(self, rule: Callable[[Request], str]) -> None:
        self._rule = rule

    def choose(self, request: Request) -> str:
        """What the rule says."""
        return self._rule(request)

    def ended(self, request: Request, track: str, outcome: Outcome, now: float) -> None:
        """Nothing is learned."""


def fixed(track: str) -> Chosen:
    """Always the same track."""
    return Chosen(lambda request: track)


def round_robin(tracks: Sequence[str]) -> Chosen:
    """One after the other."""
    return Chosen(lambda request: tracks[request.number % len(tracks)])


def mixed(shares: dict[str, float], seed: int) -> Chosen:
    """Drawn with fixed shares, whatever the request."""
    dice = random.Random(seed)
    tracks, weights = list(shares), list(shares.values())
    return Chosen(lambda request: dice.choices(tracks, weights)[0])


class LeastBusy:
    """The track with the fewest requests in flight; the first of equals."""

    def __init__(self, tracks: Sequence[str]) -> None:
        self._running = dict.fromkeys(tracks, 0)

    def choose(self, request: Request) -> str:
        """The least busy one."""
        track = min(self._running, key=lambda name: self._running[name])
        self._running[track] += 1
        return track

    def ended(self, request: Request, track: str, outcome: Outcome, now: float) -> None:
        """One less in flight."""
        self._running[track] -= 1


class Embedded:
    """The real embedded optimizer on a clock of its own: `recommend`, then start and completion recorded as a router would."""

    SCOPE = "bench"

    def __init__(self, config: OptimizationConfig) -> None:
        self._now = EPOCH
        self.optimizer = Optimizer.open(":memory:", config, clock=lambda: self._now)

    def choose(self, request: Request) -> str:
        """The recommended track, recorded as taken."""
        self._now = EPOCH + request.at
        identity = f"r{request.number}"
        decision = self.optimizer.recommend(
            self.SCOPE, request_id=identity, input_tokens=request.input_tokens, max_output_tokens=request.max_output_tokens, occurred_at=self._now
        )
        self.optimizer.record_request_start(identity, scope=self.SCOPE, decision=decision)
        return decision.track

    def ended(self, request: Request, track: str, outcome: Outcome, now: float) -> None:
        """The completion is recorded."""
        self._now = EPOCH + now
        fields: dict[str, Any] = {"cost_usd": outcome.cost_usd, "ttft_ms": None if outcome.ttft_s is None else 1000.0 * outcome.ttft_s}
        if outcome.error:
            fields |= {"error_type": outcome.error, "failure_class": "provider"}
        else:
            fields |= {"output_tokens": outcome.output_tokens or request.output_tokens, "input_tokens": request.input_tokens}
        self.optimizer.record_request_completion(
            f"r{request.number}", scope=self.SCOPE, track=track, success=not outcome.error, latency_ms=1000.0 * outcome.latency_s, **fields
        )

    def sampled(self, now: float, gauges: dict[str, float]) -> None:
        """The local engine's gauges are recorded."""
        self._now = EPOCH + now
        self.optimizer.record_resources(scope=self.SCOPE, host="engine", gauges=gauges)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; NaN of nothing.

    >>> percentile([3.0, 1.0, 2.0], 0.5)
    2.0
    """
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else float("nan")


def average(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of every number over the rows of several seeds; names stay."""
    return {key: value if isinstance(value, str) else statistics.fmean(row[key] for row in rows) for key, value in rows[0].items()}


def table(title: str, rows: Sequence[dict[str, Any]], formats: dict[str, str]) -> str:
    """Rows as text; `formats` names the columns after the first, which is the row's name."""
    lines = [title, f"{'':<34}" + "".join(f"{name:>16}" for name in formats)]
    for row in rows:
        lines.append(f"{row['policy']:<34}" + "".join(f"{row[name]:>16{style}}" for name, style in formats.items()))
    return "\n".join(lines)
