"""Objectives that are broken too often cost the tracks that break them their traffic."""

import json
import random
from typing import Any

from events import completed, started

from pointsman.models.slo import Slo, is_broken
from pointsman.schemas import Objective, OptimizationConfig, Track
from pointsman.streams.core import Core

TRACKS = (Track(name="good", quality=0.9), Track(name="quick", quality=0.8))


def drive(config: OptimizationConfig, count: int) -> tuple[Core, list[str]]:
    """Two tracks: `good` takes 3 s every third time, `quick` half a second always."""
    core, draw, taken = Core(config), random.Random(3), []
    for n in range(count):
        core_track = core.decide("chat", core.scope("chat").routing.context(started("x", 0.0, None)), f"r{n}").track if n else "good"
        latency = 3000.0 if core_track == "good" and draw.random() < 0.33 else 500.0
        fields: dict[str, Any] = {"latency_ms": latency, "quality_score": 0.9 if core_track == "good" else 0.8}
        core.step(started(f"r{n}", 2.0 * n, core_track, policy_version=1))
        core.step(completed(f"r{n}", 2.0 * n + 1.0, core_track, **fields))
        taken.append(core_track)
    return core, taken


def test_a_latency_objective_moves_traffic_to_the_track_that_keeps_it() -> None:
    quality = OptimizationConfig(strategy="quality", tracks=TRACKS)
    _, free = drive(quality, 400)
    bound = quality.model_copy(update={"objectives": (Objective(metric="latency_ms", bound=1500.0, share=0.95),)})
    core, held = drive(bound, 400)
    assert free[200:].count("good") > 180
    assert held[200:].count("quick") > 100
    (objective,) = core.status("chat")["objectives"]
    assert objective["price"] > 0.0 and objective["held"] > 0.8


def test_a_hang_up_of_the_client_breaks_no_objective() -> None:
    objective = Objective(metric="success", bound=1.0, share=0.99)
    assert is_broken(objective, completed("r", 1.0, success=False, failure_class="cancelled")) is None
    assert is_broken(objective, completed("r", 1.0, success=False, failure_class="provider")) is True


def test_prices_survive_a_snapshot() -> None:
    slo = Slo(Objective(metric="cost_usd", bound=0.01, share=0.9))
    slo.observe(is_broken=True)
    again = Slo.restore(json.loads(json.dumps(slo.snapshot())))
    assert (again.price, again.held, again.objective) == (slo.price, slo.held, slo.objective)
