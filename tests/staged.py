"""Requests with stages: a search, a queue before two servers, a model, a tool; and traces of requests that call each other."""

import heapq
import random
from collections.abc import Mapping
from typing import Any

from events import completed, started

from pointsman.schemas import AnyInput

USUAL = {"search": 80.0, "model": 900.0, "tool": 150.0}


def staged(
    seed: int = 1,
    requests: int = 400,
    track: str = "local",
    *,
    slow: str | None = None,
    load: float = 0.3,
    names: Mapping[str, str] | None = None,
    **fields: Any,
) -> list[AnyInput]:
    """So many requests; one in six takes six times as long in the stage `slow`. `names` are other names of the stages, `fields` are of the starts."""
    dice = random.Random(seed)
    free, now, events = [0.0, 0.0], 0.0, list[AnyInput]()
    for number in range(requests):
        now += dice.expovariate(load * 2.0 * 1000.0 / USUAL["model"])
        took = {name: ms * dice.lognormvariate(0.0, 0.1) for name, ms in USUAL.items()}
        if slow is not None and dice.random() < 1 / 6:
            took[slow] *= 6.0
        at = now + took["search"] / 1000.0
        begun = max(heapq.heappop(free), at)
        heapq.heappush(free, begun + took["model"] / 1000.0)
        stages = {"search": took["search"], "queue": 1000.0 * (begun - at), "model": took["model"], "tool": took["tool"]}
        called = {(names or {}).get(name, name): round(ms, 3) for name, ms in stages.items()}
        latency, name = sum(called.values()), f"{track}-{seed}-{number}"
        events.append(started(name, now, track, **fields))
        events.append(completed(name, now + latency / 1000.0, track, latency, stages=called, output_tokens=100))
    return sorted(events, key=lambda event: event.occurred_at)


def asked(count: int, first: float = 0.0, every: float = 10.0) -> list[AnyInput]:
    """Traces: an agent calls a search, then a model, which is slow in every fourth; the agent ends last."""
    events: list[AnyInput] = []
    for number in range(count):
        at, slow = first + every * number, 4.0 if number % 4 == 0 else 1.0
        model = 1000.0 * slow + number % 7
        for track, begins, latency in (("agent", 0.0, 450.0 + model), ("search", 0.1, 200.0), ("model", 0.35, model)):
            name = f"{track}-{number}"
            events.append(started(name, at + begins, track, traceparent=f"00-{number:032x}-{hash_of(track):016x}-01"))
            events.append(completed(name, at + begins + latency / 1000.0, track, latency))
    return sorted(events, key=lambda event: event.occurred_at)


def hash_of(name: str) -> int:
    """A span id."""
    return int.from_bytes(name.encode()[:8], "big")


__all__ = ["asked", "staged"]
