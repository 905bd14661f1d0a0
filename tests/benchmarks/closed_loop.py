"""A local server that slows down under load beside a hosted endpoint that costs: what routing does to latency, cost and goodput.

The stream is shipped with the demo: lengths and bursts of the requests, the server's speed against the number running and its slots are
fitted to the vLLM recording when this runs, the endpoint's first token and pace are drawn from the llmperf recording. The simulation
closes the loop: what is sent to the server makes it slower. Two references bound what is possible at equal cost: static mixes, and a rule
that knows how many run on the server and was tuned on this very stream.
Run: PYTHONPATH=tests python -m benchmarks.closed_loop [--requests N] [--loads 0.5,1,2] [--json FILE]
"""

import argparse
import heapq
import itertools
import json
import random
import statistics
from pathlib import Path
from typing import Any

from pointsman.schemas import AnyInput, Constraints, OptimizationConfig, RequestCompleted, Strategy, Track, decode
from pointsman.streams.demo import RECORDING
from pointsman.streams.recording import read_lines

from .engine import Engine, Fit, fit, recorded_runs
from .policies import Embedded, LeastBusy, Outcome, Policy, Request, average, fixed, mixed, percentile, round_robin, table

CEILING_S = 30.0
USD_PER_1K = 0.001
SAMPLE_S = 2.0
WARM_UP = 0.1
SHARES = tuple(share / 20 for share in range(1, 20))
LIMITS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
COLUMNS = {"p50 s": ".1f", "p95 s": ".1f", "USD per 1,000": ".3f", "goodput /s": ".3f", "in time %": ".1f", "local %": ".1f"}


class World:
    """Everything that is read from the recording."""

    def __init__(self, recording: Path = RECORDING) -> None:
        events: list[AnyInput] = [decode(line) for _, line in read_lines(recording)]
        self.fit: Fit = fit(events, "local")
        self.runs = recorded_runs(events, "local")
        calm = next(iter(self.runs.values()))
        self.sizes = [(start.input_tokens or 1, end.output_tokens or 1, start.max_output_tokens or 1024) for start, end in calm]
        moments = [start.occurred_at for start, _ in calm]
        self.gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        self.endpoint = [
            (event.ttft_ms / 1000.0, (event.latency_ms - event.ttft_ms) / 1000.0 / event.output_tokens)
            for event in events
            if isinstance(event, RequestCompleted) and event.track == "api" and event.success
            if event.ttft_ms is not None and event.latency_ms is not None and event.output_tokens
        ]
        self.capacity = self.fit.capacity(statistics.fmean(size[1] for size in self.sizes))

    def stream(self, count: int, load: float, seed: int) -> tuple[list[Request], list[tuple[float, float]]]:
        """Requests with recorded sizes and recorded bursts at `load` times the server's capacity; and the endpoint's pace for each."""
        dice = random.Random(seed)
        scale = 1.0 / (load * self.capacity * statistics.fmean(self.gaps))
        place = dice.randrange(len(self.gaps))
        now, requests = 0.0, []
        for number in range(count):
            size = dice.choice(self.sizes)
            requests.append(Request(number, now, *size))
            now += scale * self.gaps[(place + number) % len(self.gaps)]
        return requests, [dice.choice(self.endpoint) for _ in requests]


class Limited:
    """Local while fewer than `most` run there, else the endpoint: knows the server's load at every decision."""

    def __init__(self, most: int) -> None:
        self._most, self._running = most, 0

    def choose(self, request: Request) -> str:
        """By the number in flight."""
        if self._running >= self._most:
            return "api"
        self._running += 1
        return "local"

    def ended(self, request: Request, track: str, outcome: Outcome, now: float) -> None:
        """One less in flight."""
        self._running -= track == "local"


def play(world: World, policy: Policy, requests: list[Request], paces: list[tuple[float, float]], name: str) -> dict[str, Any]:
    """One policy over one stream; the first tenth of the requests is not counted."""
    engine = Engine(world.fit)
    pending: list[tuple[float, int, str, Outcome]] = []
    outcomes: dict[int, tuple[str, Outcome]] = {}
    sample_at = 0.0

    def settle(to: float) -> None:
        nonlocal sample_at
        while True:
            moment = min(engine.next_end(), pending[0][0] if pending else to, sample_at, to)
            for end, number, admitted in engine.advance(moment):
                first = world.fit.first_token_s
                outcome = Outcome(end + first - requests[number].at, admitted + first - requests[number].at)
                heapq.heappush(pending, (end + first, number, "local", outcome))
            while pending and pending[0][0] <= moment:
                now, number, track, outcome = heapq.heappop(pending)
                outcomes[number] = (track, outcome)
                policy.ended(requests[number], track, outcome, now)
            if moment >= sample_at:
                sample_at = moment + SAMPLE_S
                if isinstance(policy, Embedded):
                    policy.sampled(moment, {"running": float(engine.running), "pending": float(engine.waiting)})
            if moment >= to:
                return

    for request, (first, pace) in zip(requests, paces, strict=True):
        settle(request.at)
        if policy.choose(request) == "local":
            engine.submit(request.number, request.at, float(request.output_tokens))
        else:
            cost = (request.input_tokens + request.output_tokens) / 1000.0 * USD_PER_1K
            outcome = Outcome(first + pace * request.output_tokens, first, cost)
            heapq.heappush(pending, (request.at + outcome.latency_s, request.number, "api", outcome))
    while len(outcomes) < len(requests):
        settle(min(engine.next_end(), pending[0][0] if pending else float("inf")))
    counted = [outcomes[request.number] for request in requests[int(WARM_UP * len(requests)) :]]
    span = requests[-1].at - requests[int(WARM_UP * len(requests))].at
    return _row(name, counted, span)


def _row(name: str, counted: list[tuple[str, Outcome]], span_s: float) -> dict[str, Any]:
    latencies = [outcome.latency_s for _, outcome in counted]
    good = sum(latency <= CEILING_S for latency in latencies)
    return {
        "policy": name,
        "p50 s": percentile(latencies, 0.5),
        "p95 s": percentile(latencies, 0.95),
        "USD per 1,000": 1000.0 * statistics.fmean(outcome.cost_usd for _, outcome in counted),
        "goodput /s": good / span_s,
        "in time %": 100.0 * good / len(counted),
        "local %": 100.0 * statistics.fmean(track == "local" for track, _ in counted),
    }


def settings(strategy: Strategy, slots: int) -> OptimizationConfig:
    """What a user would set."""
    price = {"cost_per_1k_input_tokens": USD_PER_1K, "cost_per_1k_output_tokens": USD_PER_1K}
    return OptimizationConfig(
        strategy=strategy,
        tracks=(Track(name="local", max_concurrency=slots), Track(name="api", **price)),
        constraints=Constraints(max_latency_ms=1000.0 * CEILING_S, max_cost_usd=0.01),
    )


def measure(world: World, count: int, load: float, seeds: int) -> dict[str, Any]:
    """All policies at one load, means over the seeds; beside each of ours the best static mix and the best limit that cost no more."""
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "baselines": [], "mixes": [], "limits": []}
    for seed in range(seeds):
        requests, paces = world.stream(count, load, seed)
        strategies: tuple[Strategy, ...] = ("latency", "balanced", "throughput")
        groups: dict[str, list[tuple[str, Policy]]] = {
            "ours": [(f"pointsman, strategy {name}", Embedded(settings(name, world.fit.slots))) for name in strategies],
            "baselines": [
                ("all local", fixed("local")),
                ("all API", fixed("api")),
                ("50/50", mixed({"local": 0.5, "api": 0.5}, seed)),
                ("round robin", round_robin(("local", "api"))),
                ("least busy", LeastBusy(("local", "api"))),
            ],
            "mixes": [(f"static, {100 * share:.0f} % local", mixed({"local": share, "api": 1.0 - share}, seed)) for share in SHARES],
            "limits": [(f"local while fewer than {limit} run", Limited(limit)) for limit in LIMITS],
        }
        for group, policies in groups.items():
            runs[group].append([play(world, policy, requests, paces, name) for name, policy in policies])  # type: ignore[arg-type]
    means = {group: [average(rows) for rows in zip(*per_seed, strict=True)] for group, per_seed in runs.items()}
    return {"load": load, "capacity /s": world.capacity, **means, "at equal cost": [_beside(row, means) for row in means["ours"]]}


def _beside(row: dict[str, Any], means: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    said: dict[str, Any] = {"policy": row["policy"]}
    affordable = [other for other in [*means["mixes"], *means["baselines"][:2]] if other["USD per 1,000"] <= row["USD per 1,000"] * 1.001]
    for name, rows in (("mix", affordable), ("limit", [other for other in means["limits"] if other["USD per 1,000"] <= row["USD per 1,000"] * 1.001])):
        if rows:
            fast, good = min(rows, key=lambda other: other["p95 s"]), max(rows, key=lambda other: other["goodput /s"])
            said[f"best {name}"] = fast["policy"]
            said[f"p95 against best {name} %"] = 100.0 * (row["p95 s"] / fast["p95 s"] - 1.0)
            said[f"goodput against best {name} %"] = 100.0 * (row["goodput /s"] / good["goodput /s"] - 1.0)
    return said


def check(world: World) -> str:
    """The recorded arrivals through the fitted engine: median and 95th percentile beside the recorded ones, per run."""
    lines = ["The fitted engine against the recording (latency s, p50 / p95)"]
    for name, rows in world.runs.items():
        begin = rows[0][0].occurred_at
        requests = [
            Request(number, start.occurred_at - begin, start.input_tokens or 1, end.output_tokens or 1, 1024) for number, (start, end) in enumerate(rows)
        ]
        engine = Engine(world.fit)
        ended: list[tuple[float, int, float]] = []
        for request in requests:
            ended += engine.advance(request.at)
            engine.submit(request.number, request.at, float(request.output_tokens))
        ended += engine.advance(1e9)
        simulated = [end + world.fit.first_token_s - requests[number].at for end, number, _ in ended]
        recorded = [(end.latency_ms or 0.0) / 1000.0 for _, end in rows]
        pairs = " / ".join(f"{percentile(values, share):.1f}" for values in (simulated, recorded) for share in (0.5, 0.95))
        lines.append(f"{name:<34}{pairs}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--loads", default="0.5,1,2", help="times the local server's capacity")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    options = parser.parse_args(arguments)
    world = World()
    print(check(world))
    results = []
    for load in map(float, options.loads.split(",")):
        result = measure(world, options.requests, load, options.seeds)
        results.append(result)
        shown = [*result["ours"], *result["baselines"], *result["mixes"][1::4], *result["limits"][3::3]]
        title = f"\nLoad {load} x {result['capacity /s']:.2f}/s, {options.requests} requests, {options.seeds} seeds, latency ceiling {CEILING_S:.0f} s"
        print(table(title, shown, COLUMNS))
        for row in result["at equal cost"]:
            print("  " + "; ".join(f"{key}: {value if isinstance(value, str) else format(value, '+.1f')}" for key, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
