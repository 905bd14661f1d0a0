"""Where Gradient2 comes to rest, beside every fixed limit: four servers that are offered twice what they can do and send away what is beyond the limit.

The first is the server of the closed loop, fitted to the vLLM recording that is shipped with the demo; the others are stated here: a laptop (four slots
that share one processor), a batch of eight slots of full speed with a queue, and an endpoint with 40 slots and a second of overhead. Lengths and bursts are
recorded ones. *Good*: answers that took at most three times what they take alone, in percent of the server's capacity; beside it what was served at all, the
slowdown (latency over what the answer takes alone), and the mean limit in the two halves of the run. The rows differ in what Gradient2 is shown of a success:
its latency; its TTFT; its latency given its length; and its latency beside what `models/load.py` expects of such an answer alone, which is what the core uses
where it can. *As published* has the queue of 4 and the minimum of 20, too.
Run: PYTHONPATH=tests python -m benchmarks.concurrency [--requests N] [--seeds N] [--json FILE] [--quick]
"""

import argparse
import heapq
import json
import statistics
from pathlib import Path
from typing import Any, Literal

from pointsman.models.concurrency import Gradient2, Gradient2Settings
from pointsman.models.load import Load

from .closed_loop import World
from .engine import Engine, Fit
from .policies import Request, average, percentile, table

OFFERED = 2.0
GOOD = 3.0
WARM_UP = 0.1
Shown = Literal["latency", "latency by length", "TTFT", "latency by length and load"]
SHOWN: tuple[Shown, ...] = ("latency", "TTFT", "latency by length", "latency by length and load")
COLUMNS = {"good %": ".1f", "served %": ".1f", "slowdown p50": ".2f", "slowdown p95": ".2f", "limit, 1st half": ".1f", "limit, 2nd half": ".1f"}
FIXED = (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64, 80, 96, 128)


def servers(fitted: Fit) -> dict[str, tuple[Fit, float]]:
    """What is measured on, and the limit that Gradient2 starts at."""
    return {
        "vLLM, fitted": (fitted, 20.0),
        "laptop, 4 slots": (Fit(4, (1.0, 2.0, 4.0), (0.02, 0.032, 0.06), 0.3), 4.0),
        "batch, 8 slots": (Fit(8, (1.0, 8.0), (0.02, 0.022), 0.2), 4.0),
        "endpoint, 40 slots": (Fit(40, (1.0, 40.0), (0.01, 0.011), 1.0), 20.0),
    }


class Server:
    """An engine behind a limit; what is beyond it is sent away."""

    def __init__(self, fitted: Fit, gradient2: Gradient2 | None, shown: Shown, fixed: int) -> None:
        self.fit, self.engine, self.load = fitted, Engine(fitted), Load()
        self.gradient2, self.shown, self.fixed = gradient2, shown, fixed
        self.pending: list[tuple[float, int, float]] = []
        self.areas: dict[int, float] = {}
        self.limits: list[int] = []
        self.slowdowns: list[tuple[int, float]] = []

    def run(self, requests: list[Request]) -> None:
        """The whole stream, and what is still running at its end."""
        for request in requests:
            self._settle(request.at, requests)
            limit = int(self.gradient2.estimate) if self.gradient2 is not None else self.fixed
            self.limits.append(limit)
            if self.load.in_flight < limit:
                self.areas[request.number] = self.load.start(request.at)
                self.engine.submit(request.number, request.at, float(request.output_tokens))
        self._settle(requests[-1].at + 1e6, requests)

    def _settle(self, to: float, requests: list[Request]) -> None:
        while (moment := min(self.engine.next_end(), self.pending[0][0] if self.pending else to)) < to:
            for end, number, admitted in self.engine.advance(moment):
                heapq.heappush(self.pending, (end + self.fit.first_token_s, number, admitted))
            while self.pending and self.pending[0][0] <= moment:
                end, number, admitted = heapq.heappop(self.pending)
                self._ended(requests[number], end, admitted)
        self.engine.advance(to)

    def _ended(self, request: Request, end: float, admitted: float) -> None:
        latency, tokens, area = end - request.at, float(request.output_tokens), self.areas.pop(request.number)
        self.slowdowns.append((request.number, latency / (self.fit.first_token_s + tokens * self.fit.pace(1))))
        self.load.learn(end, request.at, area, request.input_tokens, request.output_tokens)
        if self.gradient2 is not None:
            if self.shown == "TTFT":
                self.gradient2.observe(admitted + self.fit.first_token_s - request.at, self.load.in_flight)
            elif self.shown == "latency":
                self.gradient2.observe(latency, self.load.in_flight)
            elif self.shown == "latency by length":
                self.gradient2.observe(latency, self.load.in_flight, tokens=tokens)
            else:
                self.gradient2.observe(latency, self.load.beside(end, request.at, area), tokens=tokens, alone=self.load.alone(tokens))
        self.load.end(end)


def measure(world: World, requests: list[Request], name: str, gradient2: Gradient2 | None, shown: Shown = "latency", fixed: int = 0) -> dict[str, Any]:
    """One row."""
    server = Server(world.fit, gradient2, shown, fixed)
    server.run(requests)
    first = int(WARM_UP * len(requests))
    span, half = requests[-1].at - requests[first].at, len(requests) // 2
    found = [slowdown for number, slowdown in server.slowdowns if number >= first]
    return {
        "policy": name,
        "good %": 100.0 * sum(slowdown <= GOOD for slowdown in found) / span / world.capacity,
        "served %": 100.0 * len(found) / span / world.capacity,
        "slowdown p50": percentile(found, 0.5),
        "slowdown p95": percentile(found, 0.95),
        "limit, 1st half": statistics.fmean(server.limits[first:half]),
        "limit, 2nd half": statistics.fmean(server.limits[half:]),
    }


def compare(world: World, name: str, fitted: Fit, initial: float, count: int, seeds: int) -> list[dict[str, Any]]:
    """Gradient2 as it may be shown things, then all fixed limits; means over the seeds."""
    world.fit, world.capacity = fitted, fitted.capacity(statistics.fmean(size[1] for size in world.sizes))
    runs = []
    for seed in range(seeds):
        requests, _ = world.stream(count, OFFERED, seed)
        rows = [measure(world, requests, f"Gradient2, {shown}", Gradient2(Gradient2Settings(initial, minimum=1.0)), shown) for shown in SHOWN]
        rows.append(measure(world, requests, "Gradient2 as published", Gradient2(Gradient2Settings(queue_share=1e9))))
        rows += [measure(world, requests, f"fixed, {limit}", None, fixed=limit) for limit in FIXED]
        runs.append(rows)
    found = [average(rows) for rows in zip(*runs, strict=True)]
    print(table(f"\n{name}: {world.capacity:.2f}/s, offered {OFFERED:.0f} times that, {count} requests, {seeds} seeds", found, COLUMNS))
    best = max(found[len(SHOWN) + 1 :], key=lambda row: float(row["good %"]))
    print(f"best fixed limit: {best['policy']}, good {best['good %']:.1f} %")
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed, 1,000 requests")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    options = parser.parse_args(arguments)
    count, seeds = (1000, 1) if options.quick else (options.requests, options.seeds)
    world = World()
    found = {name: compare(world, name, fitted, initial, count, seeds) for name, (fitted, initial) in servers(world.fit).items()}
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
