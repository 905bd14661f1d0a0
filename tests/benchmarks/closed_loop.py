"""A local server that slows down under load beside a hosted endpoint that costs: what routing does to latency, cost and goodput.

The stream is shipped with the demo: lengths and bursts of the requests, the server's speed against the number running and its slots are
fitted to the vLLM recording when this runs; the endpoint's answers (latency, tokens, and with a stated price the cost) are drawn from the
llmperf recording, with `--scaled` at their recorded pace but the request's own length. The simulation closes the loop: what is sent to the
server makes it slower. Beside a row stand the best static mix that costs no more, and the best of two kinds of rules: one knows how many run on
the server, the other its true speed and the request's true length too. "local if Load expects" uses `models/load.py` alone, which learns both
from the outcomes of what it sent to the server, from a cold start.
Run: PYTHONPATH=tests python -m benchmarks.closed_loop [--requests N] [--loads 0.5,1,2] [--scaled] [--without-limit] [--json FILE]
"""

import argparse
import heapq
import itertools
import json
import random
import statistics
from pathlib import Path
from typing import Any

from pointsman.models.load import Load
from pointsman.schemas import AnyInput, Budget, Concurrency, Constraints, OptimizationConfig, RequestCompleted, Strategy, Track, decode
from pointsman.streams.demo import RECORDING
from pointsman.streams.recording import read_lines

from .engine import Engine, Fit, fit, recorded_runs
from .policies import Embedded, LeastBusy, Outcome, Policy, Request, average, fixed, mixed, percentile, round_robin, table

CEILING_S, SCALED_CEILING_S = 10.0, 30.0
USD_PER_1K = 0.001
SAMPLE_S = 2.0
WARM_UP = 0.1
SHARES = tuple(share / 20 for share in range(1, 20))
LIMITS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
BUDGETS = (0.75, 0.6)  # shares of what the endpoint alone would cost
EXPECTED_S = (4, 7, 10, 15)
LOCAL_TRIES = 0.01
FINISHES_S = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30)
AGAINST = ("p95 against mix %", "goodput against mix %", "p95 against rule %", "goodput against rule %")
COLUMNS = {"p50 s": ".1f", "p95 s": ".1f", "USD per 1,000": ".3f", "goodput /s": ".3f", "in time %": ".1f", "local %": ".1f"}


class World:
    """Everything that is read from the recording."""

    def __init__(
        self, recording: Path = RECORDING, *, is_scaled: bool = False, is_shuffled: bool = False, is_adaptive: bool = True, ceiling_s: float | None = None
    ) -> None:
        self.ceiling_s = ceiling_s or (SCALED_CEILING_S if is_scaled else CEILING_S)
        self.is_scaled, self.is_shuffled, self.is_adaptive = is_scaled, is_shuffled, is_adaptive
        events: list[AnyInput] = [decode(line) for _, line in read_lines(recording)]
        self.fit: Fit = fit(events, "local")
        self.runs = recorded_runs(events, "local")
        calm = next(iter(self.runs.values()))
        self.sizes = [(start.input_tokens or 1, end.output_tokens or 1, start.max_output_tokens or 1024) for start, end in calm]
        moments = [start.occurred_at for start, _ in calm]
        self.gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        self.endpoint = [event for event in events if isinstance(event, RequestCompleted) and event.track == "api" and event.success]
        self.capacity = self.fit.capacity(statistics.fmean(size[1] for size in self.sizes))

    def stream(self, count: int, load: float, seed: int) -> tuple[list[Request], list[Outcome]]:
        """Requests with recorded sizes and recorded bursts at `load` times the server's capacity, and what the endpoint would give for each."""
        dice = random.Random(seed)
        scale = 1.0 / (load * self.capacity * statistics.fmean(self.gaps))
        place = dice.randrange(len(self.gaps))
        now, requests, answers = 0.0, [], []
        for number in range(count):
            read, written, most = dice.choice(self.sizes)
            request = Request(number, now, dice.choice(self.sizes)[0] if self.is_shuffled else read, written, most)
            requests.append(request)
            answers.append(self._answer(request, dice.choice(self.endpoint)))
            now += scale * self.gaps[(place + number) % len(self.gaps)]
        return requests, answers

    def _answer(self, request: Request, recorded: RequestCompleted) -> Outcome:
        latency, first, tokens = (recorded.latency_ms or 0.0) / 1000.0, (recorded.ttft_ms or 0.0) / 1000.0, recorded.output_tokens or 1
        if not self.is_scaled:
            return Outcome(latency, first, recorded.cost_usd or 0.0, output_tokens=tokens)
        cost = (request.input_tokens + request.output_tokens) / 1000.0 * USD_PER_1K
        return Outcome(first + (latency - first) / tokens * request.output_tokens, first, cost)


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


class Foreseeing(Limited):
    """Local where a request of known length would finish in time, if the server stayed as busy as it would be then; else the endpoint."""

    def __init__(self, within_s: float, fitted: Fit) -> None:
        super().__init__(fitted.slots)
        self._within_s, self._fit = within_s, fitted

    def choose(self, request: Request) -> str:
        """By the expected finish."""
        if request.output_tokens * self._fit.pace(self._running + 1) > self._within_s:
            return "api"
        return super().choose(request)


class Expecting:
    """Local where `Load` expects the request to be done in time and has lived through such a load; learns from nothing but its own outcomes."""

    def __init__(self, within_s: float, seed: int) -> None:
        self._within_s, self._dice, self._load = within_s, random.Random(seed), Load()
        self._areas: dict[int, float] = {}

    def choose(self, request: Request) -> str:
        """By the expected latency; one in a hundred the other way."""
        expected = self._load.predict(request.input_tokens)
        is_local = request.number % 2 == 0 if expected is None else expected <= self._within_s
        if (self._dice.random() < LOCAL_TRIES) == is_local or not self._load.is_known():
            return "api"
        self._areas[request.number] = self._load.start(request.at)
        return "local"

    def ended(self, request: Request, track: str, outcome: Outcome, now: float) -> None:
        """Learn from what ran on the server."""
        if track == "local":
            self._load.learn(now, request.at, self._areas.pop(request.number), request.input_tokens, request.output_tokens)
            self._load.end(now)


def play(world: World, policy: Policy, requests: list[Request], answers: list[Outcome], name: str) -> dict[str, Any]:
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

    for request, answer in zip(requests, answers, strict=True):
        settle(request.at)
        if policy.choose(request) == "local":
            engine.submit(request.number, request.at, float(request.output_tokens))
        else:
            heapq.heappush(pending, (request.at + answer.latency_s, request.number, "api", answer))
    while len(outcomes) < len(requests):
        settle(min(engine.next_end(), pending[0][0] if pending else float("inf")))
    counted = [outcomes[request.number] for request in requests[int(WARM_UP * len(requests)) :]]
    span = requests[-1].at - requests[int(WARM_UP * len(requests))].at
    return _row(name, counted, span, world.ceiling_s)


def _row(name: str, counted: list[tuple[str, Outcome]], span_s: float, ceiling_s: float) -> dict[str, Any]:
    latencies = [outcome.latency_s for _, outcome in counted]
    good = sum(latency <= ceiling_s for latency in latencies)
    return {
        "policy": name,
        "p50 s": percentile(latencies, 0.5),
        "p95 s": percentile(latencies, 0.95),
        "USD per 1,000": 1000.0 * statistics.fmean(outcome.cost_usd for _, outcome in counted),
        "goodput /s": good / span_s,
        "in time %": 100.0 * good / len(counted),
        "local %": 100.0 * statistics.fmean(track == "local" for track, _ in counted),
    }


def settings(strategy: Strategy, world: World, usd_per_request: float | None) -> OptimizationConfig:
    """What a user would set."""
    endpoint = Track(name="api", cost_per_1k_input_tokens=USD_PER_1K, cost_per_1k_output_tokens=USD_PER_1K)
    slots = world.fit.slots
    limit = Concurrency() if world.is_adaptive else Concurrency(initial=slots, minimum=slots, maximum=slots)
    return OptimizationConfig(
        strategy=strategy,
        tracks=(Track(name="local", max_concurrency=slots, concurrency=limit), endpoint),
        constraints=Constraints(max_latency_ms=1000.0 * world.ceiling_s, max_cost_usd=0.001),
        budget=Budget(usd_per_request=usd_per_request),
    )


def measure(world: World, count: int, load: float, seeds: int) -> dict[str, Any]:
    """All policies at one load, means over the seeds; beside each of ours the best static mix and the best rule that cost no more."""
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "baselines": [], "learned": [], "mixes": [], "rules": []}
    for seed in range(seeds):
        requests, answers = world.stream(count, load, seed)
        dear = statistics.fmean(answer.cost_usd for answer in answers)
        strategies: tuple[Strategy, ...] = ("latency", "balanced", "throughput")
        groups: dict[str, list[tuple[str, Policy]]] = {
            "ours": [
                *((f"pointsman, {name}", Embedded(settings(name, world, None))) for name in strategies),
                *((f"pointsman, latency, budget {100 * share:.0f} %", Embedded(settings("latency", world, share * dear))) for share in BUDGETS),
            ],
            "baselines": [
                ("all local", fixed("local")),
                ("all API", fixed("api")),
                ("50/50", mixed({"local": 0.5, "api": 0.5}, seed)),
                ("round robin", round_robin(("local", "api"))),
                ("least busy", LeastBusy(("local", "api"))),
            ],
            "learned": [(f"local if Load expects {within} s", Expecting(within, seed)) for within in EXPECTED_S],
            "mixes": [(f"static, {100 * share:.0f} % local", mixed({"local": share, "api": 1.0 - share}, seed)) for share in SHARES],
            "rules": [
                *((f"local while fewer than {limit} run", Limited(limit)) for limit in LIMITS),
                *((f"local if done within {within} s", Foreseeing(within, world.fit)) for within in FINISHES_S),
            ],
        }
        for group, policies in groups.items():
            runs[group].append([play(world, policy, requests, answers, name) for name, policy in policies])  # type: ignore[arg-type]
    means = {group: [average(rows) for rows in zip(*per_seed, strict=True)] for group, per_seed in runs.items()}
    return {
        "load": load,
        "capacity /s": world.capacity,
        **means,
        "at equal cost": [_beside(row, means) for row in [*means["ours"], *means["learned"], *means["rules"]]],
    }


def _beside(row: dict[str, Any], means: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The best by 95th percentile and by goodput among what costs at most as much; differences in percent of theirs."""
    said: dict[str, Any] = {"policy": row["policy"]}
    for name, candidates in (("mix", [*means["mixes"], *means["baselines"][:2]]), ("rule", means["rules"])):
        rows = [other for other in candidates if other["USD per 1,000"] <= row["USD per 1,000"] * 1.001]
        if rows:
            fast, good = min(rows, key=lambda other: other["p95 s"]), max(rows, key=lambda other: other["goodput /s"])
            said |= {f"best {name} by p95": fast["policy"], f"p95 against {name} %": 100.0 * (row["p95 s"] / fast["p95 s"] - 1.0)}
            said |= {f"best {name} by goodput": good["policy"], f"goodput against {name} %": 100.0 * (row["goodput /s"] / good["goodput /s"] - 1.0)}
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
    parser.add_argument("--scaled", action="store_true", help="the endpoint writes answers of the request's own length")
    parser.add_argument("--shuffled", action="store_true", help="prompt lengths that say nothing of the answers' (the recording repeats 500 prompts)")
    parser.add_argument("--without-limit", action="store_true", help="the server's adaptive concurrency limit stays at its slots")
    parser.add_argument("--ceiling", type=float, help=f"latency ceiling in s (default {CEILING_S:.0f}, scaled {SCALED_CEILING_S:.0f})")
    options = parser.parse_args(arguments)
    world = World(is_scaled=options.scaled, is_shuffled=options.shuffled, is_adaptive=not options.without_limit, ceiling_s=options.ceiling)
    print(check(world))
    results = []
    for load in map(float, options.loads.split(",")):
        result = measure(world, options.requests, load, options.seeds)
        results.append(result)
        shown = [*result["ours"], *result["learned"], *result["baselines"], *result["mixes"][1::3], *result["rules"][2::3]]
        title = f"\nLoad {load} x {result['capacity /s']:.2f}/s, {options.requests} requests, {options.seeds} seeds, latency ceiling {world.ceiling_s:.0f} s"
        print(table(title, shown, COLUMNS))
        print("\nAgainst the best that costs no more, %" + "".join(f"{name:>20}" for name in AGAINST))
        first = len(result["ours"]) + len(result["learned"])
        for row in [*result["at equal cost"][:first], *result["at equal cost"][first + 2 :: 3]]:
            print(f"  {row['policy']:<36}" + "".join(f"{row[name]:>+20.1f}" if name in row else f"{'-':>20}" for name in AGAINST))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
