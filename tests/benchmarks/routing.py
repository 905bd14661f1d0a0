"""Routing by content under a budget, learned from the chosen answer alone, beside what could be had without learning.

Every model answered every prompt of the data (ParetoBandit's validation set: three models, and the same with a fourth), so that any choice can be
scored. The requests go through the embedded optimizer as an application would send them: recommend, start, completion. Gains are rewards above the
static mix of fixed models at the cost that was really paid ("hull"); an interval is a bootstrap over prompts.

    python -m benchmarks.routing [--data FOLDER] [--seeds 20] [--only stationary,drift,arm,cost] [--json FILE]      (in `tests`, or PYTHONPATH=tests)
"""

import argparse
import gzip
import itertools
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.models.context import Context
from pointsman.models.sketch import sketch
from pointsman.schemas import AlertRaised, Budget, OptimizationConfig, Sketch, Track
from pointsman.streams import Optimizer
from pointsman.streams.logged import read_recording
from pointsman.streams.recording import read_lines
from pointsman.streams.static_mix import StaticMix

ROOT = Path(__file__).parents[2]
RECORDING = Path(str(files("pointsman.streams") / "recordings" / "routing.jsonl.gz"))
BUDGETS = (8.29e-5, 2.35e-4, 6.64e-4, 1.88e-3, 5.31e-3, 1.50e-2)
DRIFT_BUDGETS = (3.0e-4, 6.62e-4, 1.87e-3)
PHASE = 608
FALLEN = 0.75
START = 1_700_000_000.0

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """Sketched prompts with what every model gave: rewards and costs of shape (prompts, models), the cheapest model first; texts where there are any."""

    sketches: list[Sketch]
    texts: list[str]
    models: list[str]
    rewards: Table
    costs: Table


def read(path: Path) -> Data:
    """One JSON object a line: `prompt`, and `arms` with `reward` and `cost`."""
    with gzip.open(path) as file:
        rows = [json.loads(line) for line in file]
    models = sorted(rows[0]["arms"], key=lambda name: sum(row["arms"][name]["cost"] for row in rows))
    rewards = np.array([[row["arms"][name]["reward"] for name in models] for row in rows])
    texts = [row["prompt"] for row in rows]
    return Data([sketch(text) for text in texts], texts, models, rewards, np.array([[row["arms"][name]["cost"] for name in models] for row in rows]))


def shipped() -> Data:
    """The recording of the demo: 900 prompts, their sketches without the texts."""
    recording = read_recording(((str(place), line) for place, line in read_lines(RECORDING)), str(RECORDING))
    rewards, costs = recording.outcomes["quality"], recording.outcomes["cost_usd"]
    order = costs.mean(0).argsort().tolist()
    sketches = [request.start.sketch or Sketch(tokens=0, characters=0) for request in recording.requests]
    return Data(sketches, [], [recording.tracks[place] for place in order], rewards[:, order], costs[:, order])


def mixed(rewards: Table, costs: Table, cost: float) -> float:
    """The mean reward of the best fixed mix at this mean cost."""
    return StaticMix(costs, rewards).quality_at(cost)


def declared(costs: Table) -> list[float]:
    """A price list: mean costs to three digits."""
    return [float(f"{cost:.3g}") for cost in costs.mean(0)]


class Door:
    """An application with some models and a budget a request, in front of the embedded optimizer, on a clock of its own."""

    def __init__(self, names: Sequence[str], prices: Sequence[float], budget: float | None) -> None:
        self.names = list(names)
        self.config = self._config(names, prices, budget)
        self.now = START
        self.optimizer = Optimizer.open(":memory:", self.config, clock=lambda: self.now)
        self.alarms: list[tuple[int, str]] = []
        self.returns: list[tuple[int, str]] = []
        self.number = 0

    @staticmethod
    def _config(names: Sequence[str], prices: Sequence[float], budget: float | None) -> OptimizationConfig:
        tracks = tuple(Track(name=name, cost_per_request_usd=price) for name, price in zip(names, prices, strict=True))
        return OptimizationConfig(strategy="quality", tracks=tracks, budget=Budget(usd_per_request=budget))

    def reconfigure(self, names: Sequence[str], prices: Sequence[float], budget: float | None) -> None:
        """Other models from here on."""
        self.names, self.config = list(names), self._config(names, prices, budget)
        self.optimizer.change_config(self.config, scope="bench", occurred_at=self.now)

    def ask(self, prompt: Sketch, rewards: Table, costs: Table, logged: int | None = None) -> int:
        """One request to its end: which model served it. Its reward and cost are shown, no other's; `logged` is another policy's uniform choice."""
        request, self.now = f"r{self.number}", self.now + 1.0
        if logged is None:
            decision = self.optimizer.recommend("bench", None, request, sketch=prompt, occurred_at=self.now)
            choice = self.names.index(decision.track)
            self.optimizer.record_request_start(request, scope="bench", decision=decision, occurred_at=self.now)
        else:
            choice, propensity = logged, 1.0 / len(self.names)
            self.optimizer.record_request_start(request, scope="bench", track=self.names[choice], propensity=propensity, sketch=prompt, occurred_at=self.now)
        reward, cost = float(rewards[choice]), float(costs[choice])
        outputs = self.optimizer.record_request_completion(
            request, scope="bench", track=self.names[choice], success=True, latency_ms=1000.0, cost_usd=cost, quality_score=reward, occurred_at=self.now
        )
        for output in outputs:
            if output.type.startswith("alert.") and getattr(output, "kind", "") == "drift":  # type: ignore[attr-defined]
                (self.alarms if isinstance(output, AlertRaised) else self.returns).append((self.number, self.names[choice]))
        self.number += 1
        return choice

    def close(self) -> None:
        """Let go of the optimizer."""
        self.optimizer.close()


def stationary(data: Data, is_warm: bool, budget: float, seed: int) -> dict[str, Any]:
    """One random order: cold on all prompts, or warm on one half after a uniformly random policy's log of the other."""
    draw = np.random.default_rng(5000 + seed)
    order = draw.permutation(len(data.sketches))
    warm = len(order) // 2 if is_warm else 0
    door = Door(data.models, declared(data.costs), budget)
    chosen = []
    for number, row in enumerate(order.tolist()):
        logged = int(draw.integers(len(data.models))) if number < warm else None
        choice = door.ask(data.sketches[row], data.rewards[row], data.costs[row], logged)
        if logged is None:
            chosen.append((row, choice))
    door.close()
    return {"rows": chosen, "alarms": len(door.alarms)}


def summary(data: Data, budget: float, runs: list[dict[str, Any]]) -> dict[str, float]:
    """Gain over the hull at the realised cost with its interval, and cost over budget."""
    rewards, costs, counts = (np.zeros(len(data.sketches)) for _ in range(3))
    ratios = []
    for run in runs:
        rows, choices = np.array([row for row, _ in run["rows"]]), np.array([choice for _, choice in run["rows"]])
        np.add.at(rewards, rows, data.rewards[rows, choices])
        np.add.at(costs, rows, data.costs[rows, choices])
        np.add.at(counts, rows, 1.0)
        ratios.append(float(data.costs[rows, choices].mean()) / budget)
    seen = counts > 0
    reward, cost = rewards[seen] / counts[seen], costs[seen] / counts[seen]
    every, prices = data.rewards[seen], data.costs[seen]
    draw = np.random.default_rng(0)
    gains = []
    for _ in range(400):
        pick = draw.integers(0, len(reward), len(reward))
        gains.append(float(reward[pick].mean()) - mixed(every[pick], prices[pick], float(cost[pick].mean())))
    low, high = np.percentile(gains, [2.5, 97.5])
    return {
        "reward": float(reward.mean()),
        "gain": float(reward.mean()) - mixed(every, prices, float(cost.mean())),
        "low": float(low),
        "high": float(high),
        "cost_ratio": statistics.mean(ratios),
        "worst_ratio": max(ratios),
        "alarms": sum(run["alarms"] for run in runs),
    }


def words(prompts: Sequence[str]) -> Table:
    """TF-IDF of words and pairs of words in 4,096 hashed places."""
    import zlib

    counts = np.zeros((len(prompts), 4096))
    for place, prompt in enumerate(prompts):
        found = prompt.lower().split()
        for one, other in zip(found, [*found[1:], ""], strict=True):
            counts[place, zlib.crc32(one.encode()) % 4096] += 1.0
            counts[place, zlib.crc32(f"{one} {other}".encode()) % 4096] += 1.0
    weighted = np.log1p(counts) * np.log(len(prompts) / (1.0 + (counts > 0).sum(0)))
    normed: Table = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-9)
    return normed


def ceiling(data: Data, budget: float, seed: int) -> dict[str, Any]:
    """Full information: a ridge on TF-IDF for every model's reward and cost from one half, lambda set on it, choices on the other."""
    order = np.random.default_rng(5000 + seed).permutation(len(data.sketches))
    half = len(order) // 2
    features = words(data.texts)
    train, test = order[:half], order[half:]
    kernel = features[train] @ features[train].T
    solved = np.linalg.solve(
        kernel + 1.0 * np.eye(half),
        np.hstack([data.rewards[train] - data.rewards[train].mean(0), np.log(data.costs[train]) - np.log(data.costs[train]).mean(0)]),
    )
    shift = np.hstack([data.rewards[train].mean(0), np.log(data.costs[train]).mean(0)])

    def predicted(rows: NDArray[np.int64]) -> tuple[Table, Table]:
        both = features[rows] @ features[train].T @ solved + shift
        count = len(data.models)
        scale = data.costs[train].mean(0) / np.exp(both[:, count:]).mean(0)
        return both[:, :count], np.exp(both[:, count:]) * scale

    rewards, costs = predicted(test)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        choice = (rewards - math.exp(middle) / budget * costs).argmax(1)
        low, high = (middle, high) if data.costs[test, choice].mean() > budget else (low, middle)
    choice = (rewards - math.exp(high) / budget * costs).argmax(1)
    return {"rows": list(zip(test.tolist(), choice.tolist(), strict=True)), "alarms": 0}


def linucb(data: Data, budget: float, seed: int) -> dict[str, Any]:
    """river's disjoint LinUCB on the same features, reward less a fixed price of money: the price at which the best fixed mix meets the budget."""
    from river import bandit

    order = np.random.default_rng(5000 + seed).permutation(len(data.sketches))
    points = StaticMix(data.costs, data.rewards).corners
    slope = next(((b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(points) if a[0] <= budget <= b[0]), 0.0)
    policy = bandit.LinUCBDisjoint(alpha=0.1, seed=seed)
    chosen = []
    for row in order.tolist():
        x = {place: float(value) for place, value in enumerate(Context.of(None, None, None, data.sketches[row]).vector()) if value}
        choice = int(policy.pull(list(range(len(data.models))), x))
        policy.update(choice, x, float(data.rewards[row, choice] - slope * data.costs[row, choice]))  # type: ignore[no-untyped-call]
        chosen.append((row, choice))
    return {"rows": chosen, "alarms": 0}


def drift(data: Data, budget: float, seed: int) -> dict[str, float]:
    """Normal, one model silently at 0.75, normal again; 608 prompts each, the first and the last phase the same ones."""
    draw = np.random.default_rng(77 + seed)
    order = draw.permutation(len(data.sketches))
    first, second, warm = order[:PHASE], order[PHASE : 2 * PHASE], order[2 * PHASE :]
    bad = 1
    door = Door(data.models, declared(data.costs), budget)
    for row in warm.tolist():
        door.ask(data.sketches[row], data.rewards[row], data.costs[row], int(draw.integers(len(data.models))))
    found: dict[str, float] = {}
    for phase, rows in enumerate((draw.permutation(first), draw.permutation(second), draw.permutation(first))):
        began, reward, cost, used = door.number, 0.0, 0.0, 0
        for row in rows.tolist():
            rewards = data.rewards[row].copy()
            if phase == 1:
                rewards[bad] = FALLEN
            choice = door.ask(data.sketches[row], rewards, data.costs[row])
            reward, cost, used = reward + float(rewards[choice]), cost + float(data.costs[row, choice]), used + (choice == bad)
        found |= {f"reward {phase + 1}": reward / len(rows), f"cost {phase + 1}": cost / len(rows) / budget, f"used {phase + 1}": used / len(rows)}
        hits = [number - began + 1 for number, name in door.alarms if number >= began and name == data.models[bad]]
        back = [number - began + 1 for number, name in door.returns if number >= began and name == data.models[bad]]
        if phase == 1:
            found["detected after"] = hits[0] if hits else math.inf
        if phase == 2:
            found["recovered after"] = back[0] if back else math.inf
    found["alarms"] = len(door.alarms)
    door.close()
    return found


def new_arm(data: Data, budget: float, seed: int) -> dict[str, float]:
    """Three models are known from a random log; the fourth appears with the first request of our own."""
    draw = np.random.default_rng(55 + seed)
    order = draw.permutation(len(data.sketches))
    half = len(order) // 2
    prices = declared(data.costs)
    late = data.models.index(max(data.models, key=lambda name: name not in NAMED))
    known = [place for place in range(len(data.models)) if place != late]
    names = [*(data.models[place] for place in known), data.models[late]]
    places = [*known, late]
    door = Door(names[:-1], [prices[place] for place in known], budget)
    for row in order[:half].tolist():
        door.ask(data.sketches[row], data.rewards[row, places], data.costs[row, places], int(draw.integers(len(known))))
    door.reconfigure(names, [prices[place] for place in places], budget)
    test, choices = order[half:], []
    for row in test.tolist():
        choice = door.ask(data.sketches[row], data.rewards[row, places], data.costs[row, places])
        choices.append(places[choice])
    door.close()
    picked = np.array(choices)
    reward, cost = data.rewards[test, picked], data.costs[test, picked]
    shares = picked == late
    final = float(shares[len(shares) // 2 :].mean())
    running = np.convolve(shares, np.ones(50) / 50, "valid")
    reached = np.flatnonzero(running >= 0.8 * final)
    return {
        "gain": float(reward.mean()) - mixed(data.rewards[test], data.costs[test], float(cost.mean())),
        "cost_ratio": float(cost.mean()) / budget,
        "final share": final,
        "80 % of it after": float(reached[0]) + 50 if len(reached) else math.inf,
    }


NAMED = ("meta-llama/llama-3.1-8b-instruct", "mistralai/mistral-large-2512", "google/gemini-2.5-pro")


def folder(given: str | None) -> Path | None:
    """The folder with `val.jsonl.gz` and `val_k4.jsonl.gz`, where there is one."""
    if given == "shipped":
        return None
    for path in (given, os.environ.get("POINTSMAN_PARETOBANDIT"), str(ROOT.parent / "shared" / "data" / "paretobandit")):
        if path and (Path(path) / "val.jsonl.gz").exists():
            return Path(path)
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with val.jsonl.gz and val_k4.jsonl.gz; without it, or with `shipped`, the demo's recording")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="stationary,drift,arm,cost")
    parser.add_argument("--budgets", type=lambda text: tuple(map(float, text.split(","))), default=BUDGETS)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    place = folder(given.data)
    data = read(place / "val.jsonl.gz") if place else shipped()
    parts = given.only.split(",")
    found: dict[str, Any] = {}
    print(
        f"{len(data.sketches)} prompts, {len(data.models)} models, {given.seeds} random orders"
        + ("" if place else " (the demo's recording; with --data the whole set)")
    )
    with ProcessPoolExecutor(given.processes) as pool:
        if "stationary" in parts:
            found["stationary"] = print_stationary(pool, data, given.budgets, given.seeds)
        if "drift" in parts and len(data.sketches) > 2 * PHASE:
            found["drift"] = print_drift(pool, data, given.seeds)
        if "arm" in parts and place:
            found["new_arm"] = print_new_arm(pool, read(place / "val_k4.jsonl.gz"), given.budgets, given.seeds)
    if "cost" in parts:
        found["cost"] = print_cost(data)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1))


def print_stationary(pool: ProcessPoolExecutor, data: Data, budgets: Sequence[float], seeds: int) -> list[dict[str, Any]]:
    """Ours warm and cold beside the baselines, at every budget."""
    every = []
    best, cheapest = data.rewards.mean(0).argmax(), data.costs.mean(0).argmin()
    random = data.rewards.mean() - mixed(data.rewards, data.costs, float(data.costs.mean()))
    print(f"best single {data.rewards.mean(0)[best]:.4f} at {data.costs.mean(0)[best]:.2e} USD, cheapest {data.rewards.mean(0)[cheapest]:.4f} at", end=" ")
    print(f"{data.costs.mean(0)[cheapest]:.2e} USD, random {data.rewards.mean():.4f} at {data.costs.mean():.2e} USD: gain over the mix {1e4 * random:+.0f}e-4")
    print("\nreward x 1e-4 above the static mix at the realised cost [95 %]; cost / budget, mean and worst order")
    kinds: dict[str, Callable[[float, int], dict[str, Any]]] = {
        "warm": partial(stationary, data, True),
        "cold": partial(stationary, data, False),
        "river LinUCB, cold": partial(linucb, data),
    }
    if data.texts:
        kinds["full information"] = partial(ceiling, data)
    for budget in budgets:
        print(f"{budget:.2e} USD a request, the mix gives {mixed(data.rewards, data.costs, budget):.4f}")
        for kind, run in kinds.items():
            tasks = [pool.submit(run, budget, seed) for seed in range(seeds)]
            row = summary(data, budget, [task.result() for task in tasks])
            every.append({"budget": budget, "kind": kind} | row)
            gains = " ".join(f"{1e4 * row[name]:+.0f}" for name in ("low", "high"))
            alarms = f", false alarms {row['alarms']:.0f}" if kind in ("warm", "cold") else ""
            print(
                f"  {kind:20} {row['reward']:.4f} gain {1e4 * row['gain']:+5.0f} [{gains}] cost {row['cost_ratio']:.3f} worst {row['worst_ratio']:.3f}{alarms}",
                flush=True,
            )
    return every


def print_drift(pool: ProcessPoolExecutor, data: Data, seeds: int) -> list[dict[str, Any]]:
    """The three phases at three budgets."""
    every = []
    print(f"\n{data.models[1]} silently at {FALLEN} in the second of three phases of {PHASE} prompts; medians, worst in brackets")
    for budget in DRIFT_BUDGETS:
        runs = [task.result() for task in [pool.submit(drift, data, budget, seed) for seed in range(seeds)]]
        mean = {name: statistics.mean(run[name] for run in runs) for name in runs[0]}
        detected, back = [run["detected after"] for run in runs], [run["recovered after"] for run in runs]
        every.append({"budget": budget, "detected": detected, "recovered": back} | mean)
        phases = " ".join(f"{mean[f'reward {phase}']:.4f}" for phase in (1, 2, 3))
        spent = " ".join(f"{mean[f'cost {phase}']:.2f}" for phase in (1, 2, 3))
        print(f"  {budget:.2e} USD: reward {phases}, 3 / 1 {mean['reward 3'] / mean['reward 1']:.4f}; cost / budget {spent};", end=" ")
        print(
            f"detected after {statistics.median(detected):.0f} [{max(detected):.0f}], recovered after {statistics.median(back):.0f} [{max(back):.0f}];", end=" "
        )
        print(f"alarms a run {mean['alarms']:.2f} (1 is right)", flush=True)
    return every


def print_new_arm(pool: ProcessPoolExecutor, data: Data, budgets: Sequence[float], seeds: int) -> list[dict[str, Any]]:
    """A fourth model at every budget."""
    every = []
    print("\na fourth model appears: gain x 1e-4 over the mix of four")
    for budget in budgets:
        runs = [task.result() for task in [pool.submit(new_arm, data, budget, seed) for seed in range(seeds)]]
        row = {name: statistics.median(run[name] for run in runs) if "after" in name else statistics.mean(run[name] for run in runs) for name in runs[0]}
        every.append({"budget": budget} | row)
        print(f"  {budget:.2e} USD: gain {1e4 * row['gain']:+.0f}, cost / budget {row['cost_ratio']:.3f},", end=" ")
        print(f"final share {row['final share']:.2f}, 80 % of it after {row['80 % of it after']:.0f} requests", flush=True)
    return every


def print_cost(data: Data) -> dict[str, float]:
    """Microseconds of a decision, of learning an outcome, and of a sketch; bytes of state."""
    found: dict[str, float] = {}
    text = (" ".join(data.texts[:50]) or "Which of these is right, and why? def f(x): return 2 * x\n" * 40)[:2000]
    reference = json.dumps({"numbers": list(range(300))})
    yard = _median_us(lambda: json.loads(reference), 2000)[0]
    found["sketch_us"] = _median_us(lambda: sketch(text), 500)[0]
    print(f"\na sketch of 2,000 characters {found['sketch_us']:.0f} us ({found['sketch_us'] / yard:.1f} x json.loads of 300 numbers, {yard:.1f} us)")
    for tracks in (2, 5, 20):
        prices = np.array([1e-5 * 1.5**place for place in range(tracks)])
        door = Door([f"t{place}" for place in range(tracks)], prices.tolist(), 1e-4)
        for number, prompt in enumerate((data.sketches * 4)[:1200]):
            door.ask(prompt, np.array([(0.9, 0.5)[(number + place) % 2] for place in range(tracks)]), prices, number % tracks)
        core = door.optimizer._core  # the decision alone, without the sketch and the lock around it
        evaluator = core.scope("bench").routing.evaluator()
        context = Context.of(None, None, None, sketch(text))
        learner, x = core.scope("bench").routing.learner, context.vector()
        decided, worst = _median_us(partial(evaluator.decide, context, "bench", "r"), 2000)
        asked, slow = _median_us(partial(door.optimizer.recommend, "bench", text, "r"), 300)
        learned, _ = _median_us(partial(learner.learn, "t0", x, evaluator.targets("t0", x), quality=0.8, log_latency=0.1, cost_usd=1e-5, success=1.0), 500)
        state = sum(map(len, core.snapshot("bench").values()))
        found |= {f"decide_{tracks}_us": decided, f"recommend_{tracks}_us": asked, f"learn_{tracks}_us": learned, f"state_{tracks}_bytes": state}
        print(f"{tracks} tracks: decide {decided:.1f} us (p99 {worst:.1f}), recommend with sketch and advice {asked:.0f} us (p99 {slow:.0f}),", end=" ")
        print(f"learn {learned:.0f} us, state {state / 1000:.0f} KB", flush=True)
        door.close()
    return found


def _median_us(call: Callable[[], object], count: int) -> tuple[float, float]:
    """The median and the 99 % quantile of single calls, in microseconds."""
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - began)
    times.sort()
    return times[count // 2] / 1000.0, times[int(0.99 * count)] / 1000.0


if __name__ == "__main__":
    main()
