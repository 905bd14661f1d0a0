"""What the measures of signals are played on: the recorded vLLM runs in sequence beside a hosted endpoint, under other names, at other times and speeds.

Every variant has its own names of tracks and host, begins at a time that is no multiple of any window, and every second one is slower or faster, with
prices and gauges in other units: the same rooms must find the same things. A variant is folded once as it is, with a snapshot every minute; a run with a
fault goes on from the last snapshot before it, which by law 3 says the same as a fold from the beginning.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.schemas import AlertRaised, AnyInput, Event, OptimizationConfig, RequestCompleted, RequestStarted, ResourceSampled, Track, decode_fields
from pointsman.streams.convert import BEGINNING, convert
from pointsman.streams.core import Core
from pointsman.streams.inject import CLIENTS, Fault, inject

TRACKS = ("local", "api", "blue", "green", "east", "west")
HOSTS = ("gpu-server", "node-7", "alpha", "a40")
SPEEDS = (0.75, 1.3)
WARM_UP_S, EVERY_S = 600.0, 60.0
VERSION = "v1"


@dataclass(frozen=True, slots=True)
class Variant:
    """The recording under other names; `local` and `hosted` are what its tracks are called, `speed` by how much its clock is slower."""

    events: list[AnyInput]
    config: OptimizationConfig
    local: str
    hosted: str
    host: str
    speed: float


def recorded(data: Path) -> list[AnyInput]:
    """The recording, as the demo's is made, with a client and the version named on every request."""
    events = [decode_fields(fields) for fields in convert(data / "vllm_burstgpt", data / "llmperf_2023" / "together_70b.json.gz")]
    return [_versioned(event) for event in inject(events, Fault("none", at_s=1.0, clients=CLIENTS))[0]]


def _versioned(event: AnyInput) -> AnyInput:
    return event.model_copy(update={"attributes": {**(event.attributes or {}), "version": VERSION}}) if isinstance(event, RequestStarted) else event


def variant(events: Sequence[AnyInput], dice: random.Random, *, is_scaled: bool, learners: str = "light") -> Variant:
    """The same recording under drawn names, at a drawn time, and scaled if asked for."""
    local, hosted = dice.sample(TRACKS, 2)
    host = dice.choice(HOSTS)
    speed = dice.choice(SPEEDS) if is_scaled else 1.0
    unit = 10.0 ** dice.uniform(-2.0, 2.0) if is_scaled else 1.0
    shift = dice.uniform(0.0, 1e6)
    names = {"local": local, "api": hosted}
    moved = [_moved(event, names, host, speed, unit, BEGINNING + shift) for event in events]
    tracks = (Track(name=local, max_concurrency=256, uses_local_resources=True), Track(name=hosted, uses_local_resources=False))
    config = OptimizationConfig.model_validate(
        {"tracks": tracks, "learners": learners, "constraints": {"max_latency_ms": 60_000, "max_cost_usd": 1000.0, "max_gpu_memory_mb": 1e6}}
    )
    return Variant(moved, config, local, hosted, host, speed)


def _moved(event: AnyInput, names: dict[str, str], host: str, speed: float, unit: float, begin: float) -> AnyInput:
    fields: dict[str, Any] = {"occurred_at": round(begin + speed * (event.occurred_at - BEGINNING), 6), "source": "recording"}
    if isinstance(event, ResourceSampled):
        fields |= {"host": host, "gauges": {name: value * unit for name, value in (event.gauges or {}).items()}}
    elif isinstance(event, RequestStarted | RequestCompleted):
        fields["track"] = names[str(event.track)]
    if isinstance(event, RequestCompleted):
        for name, factor in (("latency_ms", speed), ("ttft_ms", speed), ("cost_usd", unit)):
            if (value := getattr(event, name)) is not None:
                fields[name] = value * factor
    return event.model_copy(update=fields)


def fold(events: Iterable[AnyInput], config: OptimizationConfig) -> list[Event]:
    """What the core says of them that concerns signals, in order."""
    core = Core(config)
    return [said for event in events for said in _kept(core.step(event))]


class Trunk:
    """A variant as it is, folded once: what was said, and by place the number of things said before and a snapshot of every scope."""

    def __init__(self, played: Variant) -> None:
        self.played = played
        self.outputs: list[Event] = []
        self._marks: list[tuple[int, int, dict[str, dict[str, bytes]]]] = []
        core, due = Core(played.config), played.events[0].occurred_at + WARM_UP_S
        for place, event in enumerate(played.events):
            if not place or event.occurred_at >= due:
                self._marks.append((place, len(self.outputs), {name: core.snapshot(name) for name in core.scopes()}))
                due = max(due, event.occurred_at + EVERY_S)
            self.outputs += _kept(core.step(event))

    def fold(self, events: Sequence[AnyInput], alerts: Sequence[AlertRaised] = ()) -> list[Event]:
        """What is said of events that differ from the variant's only from some place on; `alerts` are heard at their times, after that place."""
        pairs = enumerate(zip(events, self.played.events, strict=False))
        differs = next((place for place, (one, other) in pairs if one is not other and one != other), min(len(events), len(self.played.events)))
        place, said, parts = max((mark for mark in self._marks if mark[0] <= differs), key=lambda mark: mark[0])
        core = Core(self.played.config)
        for name, part in parts.items():
            if not core.restore(name, part):
                raise ValueError(f"the snapshot of {name} is not of this configuration")
        found, waiting = self.outputs[:said], list(alerts)
        for event in events[place:]:
            while waiting and waiting[0].occurred_at <= event.occurred_at and event.scope in core:
                found += hear(core, waiting.pop(0))
            found += _kept(core.step(event))
        return found


def hear(core: Core, alert: AlertRaised) -> list[Event]:
    """What the signals of the alert's scope say when they are told of it by somebody else than the watch."""
    common = {"scope": alert.scope, "occurred_at": alert.occurred_at, "caused_by": alert.event_id}
    told = core.scope(alert.scope).signals.heard(alert)
    return [model(**fields, **common, event_id=f"{alert.event_id}/{number}") for number, (model, fields) in enumerate(told)]


def _kept(said: Iterable[Event]) -> list[Event]:
    return [one for one in said if one.TYPE.startswith(("alert.", "incident.", "event."))]


__all__ = ["TRACKS", "WARM_UP_S", "Trunk", "Variant", "fold", "recorded", "variant"]
