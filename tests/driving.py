"""The core in a closed loop: each request goes where the policy in force draws it, and its outcome comes back when its latency is over."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from events import completed, started

from pointsman.models.decision import Decision
from pointsman.schemas import Event
from pointsman.streams.core import Core

Fields = dict[str, Any]


class Routed(NamedTuple):
    """One request: its number, the decision, what was reported of it, and every output up to the next one."""

    number: int
    decision: Decision
    outcome: Fields
    outputs: list[Event]


def drive(
    core: Core,
    numbers: Iterable[int],
    serve: Callable[[str, int], Fields],
    ask: Callable[[int], Fields] = lambda number: {},
    gap_s: float = 1.0,
    follow: Sequence[str] = "",
    start: float = 0.0,
) -> list[Routed]:
    """Request n leaves at `start` + n · `gap_s` with the fields `ask(n)`; `serve(track, n)` gives the fields of its completion.

    With `follow` somebody else routes: to these tracks in turns.
    """
    routed: list[Routed] = []
    running: list[tuple[float, int, str, Fields]] = []

    def deliver(until: float) -> None:
        while running and running[0][0] <= until:
            at, number, track, outcome = heapq.heappop(running)
            routed[-1].outputs.extend(core.step(completed(f"r{number}", at, track, **outcome)))

    for number in numbers:
        at, fields = start + number * gap_s, ask(number)
        deliver(at)
        asked = started(f"r{number}", at, None, **fields)
        decision = core.decide("chat", core.peek("chat").routing.context(asked), f"r{number}")
        track = follow[number % len(follow)] if follow else decision.track
        own: Fields = {} if follow else {"propensity": decision.propensity, "policy_version": decision.policy_version}
        outcome = {"latency_ms": 500.0} | serve(track, number)
        routed.append(Routed(number, decision, outcome, core.step(started(f"r{number}", at, track, **own, **fields))))
        heapq.heappush(running, (at + outcome["latency_ms"] / 1000.0, number, track, outcome))
    deliver(float("inf"))
    return routed


def share(routed: list[Routed], track: str) -> float:
    """The share of requests drawn for a track."""
    return sum(one.decision.track == track for one in routed) / len(routed)


def outputs(routed: list[Routed]) -> list[Event]:
    """All outputs of a run."""
    return [output for one in routed for output in one.outputs]
