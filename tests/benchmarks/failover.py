"""Hosted endpoints whose error rates change mid-stream: error share and latency beside fixed endpoints, rotation and an oracle.

Latencies, errors and how long an error takes are recorded (llmperf 2023); when which endpoint fails is a script by rank of speed. Every
policy meets the same requests, and of each request the same fate at each endpoint; it sees only the fate at the endpoint it chose.
Run: PYTHONPATH=tests python -m benchmarks.failover [--data FOLDER] [--requests N] [--json FILE]
"""

import argparse
import gzip
import heapq
import json
import random
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.models.health import Health
from pointsman.schemas import Constraints, OptimizationConfig, Track

from .policies import Chosen, Embedded, Outcome, Policy, Request, average, data_folder, fixed, mixed, percentile, round_robin, table

PER_S = 2.0
FEWEST = 100
# per sixth of the stream: rank of speed → (share of errors on top of the recorded ones, error); rank 0 is the fastest
SCRIPT: tuple[dict[int, tuple[float, str]], ...] = (
    {},
    {0: (0.6, "503")},
    {0: (1.0, "503"), 1: (0.3, "500")},
    {1: (1.0, "503")},
    {0: (0.9, "429"), 2: (0.5, "500")},
    {},
)
COLUMNS = {"errors %": ".2f", "p50 s": ".2f", "p95 s": ".2f"} | {f"errors % in {phase + 1}": ".1f" for phase in range(len(SCRIPT))}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The recorded requests of one endpoint."""

    name: str
    successes: tuple[Outcome, ...]
    failures: tuple[Outcome, ...]

    @property
    def error_share(self) -> float:
        """The recorded share of errors."""
        return len(self.failures) / (len(self.successes) + len(self.failures))


def load(folder: Path) -> list[Endpoint]:
    """The endpoints with enough recorded successes, the fastest first."""
    endpoints = []
    for path in sorted(folder.glob("*.json.gz")):
        with gzip.open(path, "rt") as file:
            rows = json.load(file)
        good = tuple(Outcome(row["end_to_end_latency_s"], row["ttft_s"]) for row in rows if row["error_code"] is None)
        bad = tuple(Outcome(row["end_to_end_latency_s"], None, 0.0, str(row["error_code"])) for row in rows if row["error_code"] is not None)
        if len(good) >= FEWEST:
            endpoints.append(Endpoint(path.name.split("_")[0], good, bad))
    return ranked(endpoints)


def ranked(endpoints: list[Endpoint]) -> list[Endpoint]:
    """The fastest first, by the median of the successes."""
    return sorted(endpoints, key=lambda endpoint: statistics.median(one.latency_s for one in endpoint.successes))


def phase_of(number: int, count: int) -> int:
    """The phase of the script in which a request lies."""
    return min(number * len(SCRIPT) // count, len(SCRIPT) - 1)


def error_share(endpoints: list[Endpoint], rank: int, phase: int) -> float:
    """The true chance of an error."""
    return 1.0 - (1.0 - endpoints[rank].error_share) * (1.0 - SCRIPT[phase].get(rank, (0.0, ""))[0])


def fates(endpoints: list[Endpoint], count: int, seed: int) -> list[tuple[Request, dict[str, Outcome]]]:
    """Poisson arrivals, and what would become of each request at each endpoint."""
    dice = random.Random(seed)
    slow_errors = [one for endpoint in endpoints for one in endpoint.failures if one.latency_s > 0.0] or [Outcome(1.0)]
    now, rows = 0.0, []
    for number in range(count):
        now += dice.expovariate(PER_S)
        outcomes = {}
        for rank, endpoint in enumerate(endpoints):
            share, error = SCRIPT[phase_of(number, count)].get(rank, (0.0, ""))
            recorded = dice.choice(endpoint.successes + endpoint.failures)
            wait = 0.05 if error == "429" else dice.choice(slow_errors).latency_s
            outcomes[endpoint.name] = Outcome(wait, None, 0.0, error) if dice.random() < share else recorded
        rows.append((Request(number, now, 550, 150, 200), outcomes))
    return rows


class FastestHealthy:
    """The lowest mean latency of those that `Health` admits: what health alone gives, without a learned policy."""

    def __init__(self, tracks: list[str], seed: int) -> None:
        self._health, self._dice = Health(tracks), random.Random(seed)
        self._sums = {name: [0.0, 0.0] for name in tracks}
        self._started: dict[int, float] = {}

    def choose(self, request: Request) -> str:
        """Untried ones first, then the fastest, each as often as health admits it."""
        self._started[request.number] = request.at
        by_speed = sorted(self._sums, key=lambda name: self._sums[name][0] / max(self._sums[name][1], 1.0))
        shares = self._health.shares(request.at)
        return next((name for name in by_speed if self._dice.random() < shares[name]), by_speed[0])

    def ended(self, request: Request, track: str, outcome: Outcome, now: float) -> None:
        """Health and speed learn."""
        started = self._started.pop(request.number)
        self._health.observe(track, now, not outcome.error, "provider" if outcome.error else None, outcome.error or None, started_at=started)
        if not outcome.error:
            self._sums[track][0] += outcome.latency_s
            self._sums[track][1] += 1.0


def play(policy: Policy, rows: list[tuple[Request, dict[str, Outcome]]], name: str) -> dict[str, Any]:
    """A policy over the stream: its error share, overall and by phase, and the latency of its successes."""
    running: list[tuple[float, int, str]] = []
    errors = [[0, 0] for _ in SCRIPT]
    latencies = []
    for request, outcomes in rows:
        while running and running[0][0] <= request.at:
            end, number, track = heapq.heappop(running)
            policy.ended(rows[number][0], track, rows[number][1][track], end)
        track = policy.choose(request)
        outcome = outcomes[track]
        heapq.heappush(running, (request.at + outcome.latency_s, request.number, track))
        phase = errors[phase_of(request.number, len(rows))]
        phase[0] += bool(outcome.error)
        phase[1] += 1
        if not outcome.error:
            latencies.append(outcome.latency_s)
    row: dict[str, Any] = {"policy": name, "errors %": 100.0 * sum(phase[0] for phase in errors) / len(rows)}
    row |= {"p50 s": percentile(latencies, 0.5), "p95 s": percentile(latencies, 0.95)}
    return row | {f"errors % in {place + 1}": 100.0 * phase[0] / max(phase[1], 1) for place, phase in enumerate(errors)}


def oracle(endpoints: list[Endpoint], count: int) -> Chosen:
    """Knows every phase's error rates: the fastest among the endpoints with the lowest."""
    best = [min(range(len(endpoints)), key=lambda rank: (error_share(endpoints, rank, phase), rank)) for phase in range(len(SCRIPT))]
    return Chosen(lambda request: endpoints[best[phase_of(request.number, count)]].name)


def measure(endpoints: list[Endpoint], count: int, seeds: int) -> list[dict[str, Any]]:
    """Every policy, averaged over the seeds; of the fixed endpoints the one with the fewest errors and the fastest."""
    names = [endpoint.name for endpoint in endpoints]
    config = OptimizationConfig(strategy="latency", tracks=tuple(Track(name=name) for name in names), constraints=Constraints(max_latency_ms=10_000))
    runs: list[list[dict[str, Any]]] = []
    for seed in range(seeds):
        rows = fates(endpoints, count, seed)
        policies: list[tuple[str, Policy]] = [
            ("pointsman, strategy latency", Embedded(config)),
            ("fastest admitted by health", FastestHealthy(names, seed)),
            *((f"always {name}", fixed(name)) for name in names),
            ("random", mixed(dict.fromkeys(names, 1.0), seed)),
            ("round robin", round_robin(names)),
            ("oracle of the phases", oracle(endpoints, count)),
        ]
        runs.append([play(policy, rows, name) for name, policy in policies])
    means = [average(rows) for rows in zip(*runs, strict=True)]
    fixed_ones = [row for row in means if row["policy"].startswith("always")]
    kept = {min(fixed_ones, key=lambda row: (row["errors %"], row["p50 s"]))["policy"], fixed_ones[0]["policy"]}
    return [row for row in means if not row["policy"].startswith("always") or row["policy"] in kept]


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder that holds llmperf_2023 (default: POINTSMAN_BENCH_DATA, else ../shared/data)")
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    options = parser.parse_args(arguments)
    folder = data_folder(options.data) / "llmperf_2023"
    endpoints = load(folder)
    if len(endpoints) < 3:
        sys.exit(
            f"{folder}: three endpoints are needed, found {len(endpoints)}: get llmperf_2023 (ray-project/llmperf-leaderboard) and name its parent by --data"
        )
    rows = measure(endpoints, options.requests, options.seeds)
    said = ", ".join(f"{endpoint.name} {100 * endpoint.error_share:.0f} %" for endpoint in endpoints)
    print(table(f"Failover: {options.requests} requests, {options.seeds} seeds; recorded errors, fastest first: {said}", rows, COLUMNS))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
