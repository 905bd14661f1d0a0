"""Where the time of slow requests goes, and what that is worth: simulated requests of four stages, one of which was made the bottleneck, under other names.

A request searches, waits for one of c servers, is served by a model (as long as its answer is), and calls a tool. In each run one is drawn: the queue
is nearly full, or of one stage one request in six takes two to eight times as long. Only runs are kept in which that costs most: slow requests (95th
percentile) are at least a tenth faster without what the stage itself takes beyond its median (the queue: simulated again with four times the servers), and more
so than without that of any other. Times, loads and the stages' names are drawn anew in each run. Then every advice is done in the same simulation.
Run: PYTHONPATH=tests python -m benchmarks.bottlenecks [--runs N] [--json FILE] [--quick]
"""

import argparse
import heapq
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.models.bottleneck import Bottlenecks
from pointsman.models.bottleneck_advice import Advised, advise, slow_level
from pointsman.models.bottleneck_stages import Seen, parts, quantile, seen
from pointsman.models.context import Context
from pointsman.models.join import Attempt
from pointsman.schemas import OptimizationConfig, RequestCompleted, Track

from .policies import table

Floats = NDArray[np.float64]
REQUESTS = 1200
STAGES = ("search", "queue", "model", "tool")
TROUBLES = ("search", "queue", "model", "tool")


@dataclass(frozen=True, slots=True)
class World:
    """What is simulated: ms of the stages, requests a second, servers; `trouble` is the bottleneck, and the rest what is done about it."""

    seed: int
    search_ms: float
    tool_ms: float
    tokens: float
    token_ms: float
    servers: int
    load: float
    trouble: str | None
    factor: float
    most: int | None = None
    cap: float = math.inf
    bounds: dict[str, float] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    replicas: int = 1

    @property
    def rate(self) -> float:
        """Requests a second that load the servers as wanted, the answers of usual length."""
        return self.load * self.servers / (self.tokens * self.token_ms / 1000.0)


@dataclass(frozen=True, slots=True)
class Request:
    """One simulated request."""

    start: float
    in_flight: int
    tokens: int
    stages: dict[str, float]

    @property
    def latency_ms(self) -> float:
        """All of it."""
        return sum(self.stages.values())


def simulate(world: World) -> list[Request]:
    """The requests of a world in the order of their starts; the same seed has the same arrivals and needs."""
    dice = np.random.default_rng(world.seed)
    starts = np.cumsum(dice.exponential(1.0 / world.rate, REQUESTS))
    search, tool = (ms * np.exp(dice.normal(0.0, dice.uniform(0.03, 0.4), REQUESTS)) for ms in (world.search_ms, world.tool_ms))
    tokens = world.tokens * dice.exponential(1.0, REQUESTS) if world.trouble == "queue" else world.tokens * np.exp(dice.normal(0.0, 0.3, REQUESTS))
    is_hit = dice.random(REQUESTS) < 1 / 6
    for name, values in (("search", search), ("model", tokens), ("tool", tool)):
        if world.trouble == name:
            values[is_hit] *= world.factor
    needs = {"search": search, "tool": tool, "model": np.minimum(np.ceil(tokens), world.cap) * world.token_ms}
    for name in needs:
        needs[name] = np.minimum(needs[name], world.bounds.get(name, math.inf)) * (name not in world.kept)
    return _served(world, starts, tokens, needs)


def _served(world: World, starts: Floats, tokens: Floats, needs: dict[str, Floats]) -> list[Request]:
    """First come, first served at the servers; who finds `most` in flight is refused. Event by event: arrivals, searches that end, requests that are over."""
    free = [0.0] * (world.servers * world.replicas)
    events: list[tuple[float, int, int]] = [(float(at), 1, number) for number, at in enumerate(starts)]
    heapq.heapify(events)
    flying, seen_in_flight, found = 0, [0] * len(starts), []
    while events:
        at, what, one = heapq.heappop(events)
        if what == 0:
            flying -= 1
        elif what == 1 and (world.most is None or flying < world.most):
            seen_in_flight[one], flying = flying, flying + 1
            heapq.heappush(events, (at + float(needs["search"][one]) / 1000.0, 2, one))
        elif what == 2:
            begun = max(heapq.heappop(free), at)
            over = begun + float(needs["model"][one]) / 1000.0
            heapq.heappush(free, over)
            heapq.heappush(events, (over + float(needs["tool"][one]) / 1000.0, 0, one))
            stages = {name: float(needs[name][one]) for name in needs} | {"queue": 1000.0 * (begun - at)}
            found.append(Request(float(starts[one]), seen_in_flight[one], int(min(math.ceil(tokens[one]), world.cap)), {name: stages[name] for name in STAGES}))
    return found


def drawn(seed: int) -> World:
    """A world in which its trouble is what costs most."""
    dice = np.random.default_rng(seed)
    while True:
        trouble = TROUBLES[int(dice.integers(len(TROUBLES)))]
        tokens = float(np.exp(dice.uniform(4.0, 6.0)))
        model_ms, search_ms, tool_ms = (float(ms) for ms in np.exp(dice.uniform(5.0, 8.0, 3)))
        load = float(dice.uniform(0.85, 0.95) if trouble == "queue" else dice.uniform(0.1, 0.4))
        world = World(
            seed=int(dice.integers(2**31)),
            search_ms=search_ms,
            tool_ms=tool_ms,
            tokens=tokens,
            token_ms=model_ms / tokens,
            servers=int(dice.integers(1, 9)),
            load=load,
            trouble=trouble,
            factor=float(dice.uniform(2.0, 8.0)),
        )
        if costliest(world) == trouble:
            return world


def costliest(world: World) -> str | None:
    """The stage without whose own time beyond its median (the queue: with four times the servers) slow requests are fastest; None if that is under a tenth."""
    requests = simulate(world)
    after = {name: _without(requests, name) for name in STAGES if name != "queue"} | {"queue": level(simulate(replace(world, replicas=4)))}
    best = min(after, key=lambda name: after[name])
    return best if after[best] <= 0.9 * level(requests) else None


def _without(requests: list[Request], name: str) -> float:
    middle = quantile([(request.stages[name], 1.0) for request in requests], 0.5)
    return quantile([(request.latency_ms - max(request.stages[name] - middle, 0.0), 1.0) for request in requests], 0.95)


def level(requests: list[Request]) -> float:
    """The 95th percentile of the latency."""
    return quantile([(request.latency_ms, 1.0) for request in requests], 0.95)


def watched(requests: list[Request], names: dict[str, str]) -> Seen:
    """What the room keeps of them, the stages under other names."""
    room = Bottlenecks(OptimizationConfig(tracks=(Track(name="t"),)))
    for event, attempt in _ended(requests, names):
        room.completed(event, attempt, event.occurred_at)
    return seen(room.groups["t", None])


def _ended(requests: list[Request], names: dict[str, str]) -> Iterator[tuple[RequestCompleted, Attempt]]:
    """The completions, and what is known of their starts."""
    for number, request in enumerate(sorted(requests, key=lambda one: one.start + one.latency_ms / 1000.0)):
        event = RequestCompleted(
            event_id=f"e{number}",
            scope="s",
            occurred_at=1.7e9 + request.start + request.latency_ms / 1000.0,
            request_id=f"r{number}",
            track="t",
            success=True,
            latency_ms=request.latency_ms,
            output_tokens=request.tokens,
            stages={names[name]: ms for name, ms in request.stages.items()},
        )
        yield event, Attempt("t", 1.7e9 + request.start, Context(), {}, in_flight=request.in_flight)


def largest_mean(requests: list[Request]) -> str:
    """The stage that takes longest."""
    return max(STAGES, key=lambda name: sum(request.stages[name] for request in requests))


def largest_p95(requests: list[Request]) -> str:
    """The stage with the largest 95th percentile."""
    return max(STAGES, key=lambda name: quantile([(request.stages[name], 1.0) for request in requests], 0.95))


def done(world: World, advice: Advised, true_names: dict[str, str]) -> World | None:
    """The world with an advice done."""
    words = advice.action.replace(",", "").replace(":", "").split()
    if words[0] == "limit":
        return replace(world, most=int(words[3]))
    if words[0] == "cap":
        return replace(world, cap=float(words[3]))
    if words[0] == "shorten":
        return replace(world, kept=frozenset({true_names[words[1]]}))
    if words[0] == "bound":
        return replace(world, bounds={true_names[words[1]]: float(words[3])})
    return replace(world, replicas=2) if words[0] == "twice" else None


def run(seed: int) -> dict[str, Any]:
    """One world: which stage is named, what is told to be waiting, and what every advice gains."""
    world = drawn(seed)
    requests = simulate(world)
    dice = np.random.default_rng(seed)
    names: dict[str, str] = dict(zip(STAGES, (f"s{number}" for number in dice.permutation(len(STAGES))), strict=True))
    true_names = {given: name for name, given in names.items()}
    found = watched(requests, names)
    told = parts(found)
    before = level(requests)
    advised = []
    for advice in advise(found, here="t"):
        after = done(world, advice, true_names)
        if after is not None:
            kind = advice.action.split()[0]
            advised.append({"kind": kind, "expected": advice.gain_ms / slow_level(found), "true": (before - level(simulate(after))) / before})
    return {
        "trouble": world.trouble,
        "ours": true_names.get(told[0].name, told[0].name),
        "largest mean": largest_mean(requests),
        "largest p95": largest_p95(requests),
        "queueing": {true_names.get(part.name, part.name): part.is_queueing for part in told},
        "advice": advised,
    }


METHODS: dict[str, str] = {"ours": "ours", "largest p95": "largest p95", "largest mean": "largest mean"}


def named(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Share of the runs in which the true stage is named, all and by the true one."""
    rows = []
    for name in METHODS:
        right = [(one["trouble"], one[name] == one["trouble"]) for one in runs]
        row: dict[str, Any] = {"policy": name, "all": _share([is_right for _, is_right in right])}
        for trouble in TROUBLES:
            row[trouble] = _share([is_right for true, is_right in right if true == trouble])
        rows.append(row)
    return rows


def told_apart(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How often the queue is told to be waiting, where it is the bottleneck, and how often a stage that is none."""
    full = [one for one in runs if one["trouble"] == "queue"]
    others = [one["queueing"].get(name, False) for one in runs for name in ("search", "model", "tool")]
    return [
        {
            "policy": "by growth with the requests in flight",
            "found": _share([one["queueing"].get("queue", False) for one in full]),
            "wrong": float(np.mean(others)),
        },
        {"policy": "by name (the names are permuted)", "found": 0.0, "wrong": 0.0},
    ]


def gains(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per kind of advice what was expected and what came of it, as shares of the latency of slow requests."""
    every = [advice for one in runs for advice in one["advice"]]
    rows = []
    for kind in ("limit", "cap", "shorten", "bound", "twice"):
        these = [advice for advice in every if advice["kind"] == kind]
        if these:
            expected, true = (np.array([advice[name] for advice in these]) for name in ("expected", "true"))
            rows.append(
                {
                    "policy": kind,
                    "given": float(len(these)),
                    "expected": float(np.median(expected)),
                    "came": float(np.median(true)),
                    "error": float(np.median(np.abs(true - expected))),
                    "kept": float(np.mean(true >= 0.5 * expected)),
                }
            )
    return rows


def costs(runs: int) -> list[dict[str, Any]]:
    """What a request costs in the room, with its stages, and what is kept of a track."""
    microseconds, kilobytes = [], []
    for seed in range(runs):
        events = list(_ended(simulate(drawn(seed)), {name: name for name in STAGES}))
        room = Bottlenecks(OptimizationConfig(tracks=(Track(name="t"),)))
        begun = time.perf_counter()
        for event, attempt in events:
            room.completed(event, attempt, event.occurred_at)
        microseconds.append(1e6 * (time.perf_counter() - begun) / len(events))
        kilobytes.append(len(json.dumps(room.snapshot())) / 1000.0)
    return [{"policy": "a track of four stages", "us a request": float(np.median(microseconds)), "KB": float(np.median(kilobytes))}]


def _share(holds: list[bool]) -> float:
    return float(np.mean(holds)) if holds else math.nan


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="Few runs.")
    given = parser.parse_args()
    runs = [run(seed) for seed in range(20 if given.quick else given.runs)]
    found = {
        "the true stage is named": (named(runs), dict.fromkeys(("all", *TROUBLES), ".3f")),
        "waiting told from service": (told_apart(runs), {"found": ".3f", "wrong": ".3f"}),
        "what an advice gains": (gains(runs), {"given": ".0f", "expected": ".3f", "came": ".3f", "error": ".3f", "kept": ".3f"}),
        "cost": (costs(3 if given.quick else 10), {"us a request": ".1f", "KB": ".1f"}),
    }
    for title, (rows, columns) in found.items():
        print(table(title, rows, columns), end="\n\n")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({title: rows for title, (rows, _) in found.items()}, indent=2))


if __name__ == "__main__":
    main()
