"""The kinds of faults: what each changes in a recording, on which track or host, and the words for what was done."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pointsman.schemas import ConfigChanged, OptimizationConfig, RequestStarted, Track

from .inject_effects import SAMPLED, InjectError, again, fail, gauges, most_at_once, slow, throttle, times, value_of, worsen
from .inject_recording import Attempt, Recording

AGAIN_S = 2.0  # a repeated request comes within so many seconds of the first
Said = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, where and when; what is None is chosen, or is the kind's usual value.

    `at_s` is seconds from the beginning of the recording. `factor` is what the kind says: how many times slower, more or less, or which share fails.
    """

    kind: str
    at_s: float
    for_s: float = 300.0
    track: str | None = None
    host: str | None = None
    gauge: str | None = None
    factor: float | None = None
    seed: int = 0
    clients: int | None = None
    config: OptimizationConfig = field(default_factory=OptimizationConfig)


def latency(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """Requests of one track take `factor` times as long; completions come later."""
    track, factor = _track(recording, fault), _factor(fault)
    touched = _requests(recording, start, end, track)
    for attempt, place, event in recording.outcomes(touched):
        slow(recording, attempt, place, event, factor)
    return {"track": track, "factor": factor, "requests": len(touched)}


def drift(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """Latency of one track grows evenly, to `factor` times at the end."""
    track, factor = _track(recording, fault), _factor(fault)
    touched = _requests(recording, start, end, track)
    for attempt, place, event in recording.outcomes(touched):
        slow(recording, attempt, place, event, 1.0 + (factor - 1.0) * (attempt.began - start) / (end - start))
    return {"track": track, "factor": factor, "requests": len(touched)}


def errors(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """A share `factor` of the requests of one track fails, quickly, by the provider."""
    track, share = _track(recording, fault), _share(fault)
    failed = fail(recording, _requests(recording, start, end, track), share, dice)
    return {"track": track, "share": share, "requests": failed}


def throttled(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """A host is hot and throttled: its track takes `factor` times as long, its throughput falls, more wait, its processors are busier."""
    host, factor, tracks = _host(recording, fault), _factor(fault), recording.tracks()
    track = fault.track if fault.track is not None else "local" if "local" in tracks else None
    if track is None and len(tracks) > 1:
        raise InjectError(f"which track is served by {host}? give --track: this recording has {_list(tracks)}")
    touched = _requests(recording, start, end, _known(track or tracks[0], tracks, "track"))
    for attempt, place, event in recording.outcomes(touched):
        slow(recording, attempt, place, event, factor)
    samples = list(recording.samples(host, start, end))
    for place, sample in samples:
        recording.change(place, **throttle(sample, factor))
    return {"host": host, "track": track or tracks[0], "factor": factor, "requests": len(touched), "samples": len(samples)}


def tokens(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """The requests of one client have `factor` times the tokens, in and out; cost and the time after the first token grow with them."""
    factor = _factor(fault)
    track = None if fault.track is None else _known(fault.track, recording.tracks(), "track")
    client = _client(recording, recording.during(start, end, track), dice)
    touched = [attempt for attempt in recording.during(start, end, track) if _client_of(recording, attempt) == client]
    for attempt in touched:
        place = attempt.started
        if place is not None:
            recording.change(place, **times(recording.events[place], ("input_tokens", "max_output_tokens"), factor))
    for attempt, place, event in recording.outcomes(touched):
        recording.change(place, **times(event, ("input_tokens", "output_tokens"), factor))
        if event.cost_usd is not None:
            recording.change(place, cost_usd=event.cost_usd * factor)
        if event.latency_ms is not None:
            first = event.ttft_ms or 0.0
            recording.last(attempt, place, first + factor * (event.latency_ms - first))
    return {"client": client, "track": track, "factor": factor, "requests": len(touched)}


def configuration(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """The bound of a track's concurrency becomes `factor` times smaller (`config.changed`), so requests wait: they take `factor` times as long."""
    track, factor = _track(recording, fault), _factor(fault)
    config = fault.config
    named = {one.name: one for one in config.tracks} or {name: Track(name=name) for name in recording.tracks()}
    if track not in named:
        raise InjectError(f"track {track} is not in the configuration, which has {_list(named)}: give the --config that the recording is replayed with")
    touched = _requests(recording, start, end, track)
    usual = named[track].max_concurrency or most_at_once(recording, track)
    bound = max(1, round(usual / factor))
    if bound == named[track].max_concurrency:
        raise InjectError(f"max_concurrency of {track} is {bound} and cannot be smaller: give another --track, or a larger --factor")
    changed = {**named, track: named[track].model_copy(update={"max_concurrency": bound})}
    for scope in recording.scopes():
        for name, at, tracks in (("begins", start, changed), ("ends", end, named)):
            set_to = config.model_copy(update={"tracks": tuple(tracks.values())})
            event = ConfigChanged(event_id=f"fault/configuration/{scope[:128]}/{name}", scope=scope, occurred_at=round(at, 6), source="inject", config=set_to)
            recording.add(event, at)
    for attempt, place, done in recording.outcomes(touched):
        slow(recording, attempt, place, done, factor)
    return {"track": track, "factor": factor, "max_concurrency": bound, "before": named[track].max_concurrency, "requests": len(touched)}


def version(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """A deployment on one track, `attributes.version` v1 to v2 and back at the end: a share `factor` fails, and scores of quality fall by that share."""
    track, share = _track(recording, fault), _share(fault)
    touched = _requests(recording, start, end, track)
    new = {attempt.started for attempt in touched}
    for attempt in recording.attempts:
        place = attempt.started
        event = recording.events[place] if place is not None else None
        if place is not None and attempt.track == track and isinstance(event, RequestStarted):
            recording.change(place, attributes={**(event.attributes or {}), "version": "v2" if place in new else "v1"})
    worsen(recording, touched, 1.0 - share)
    return {"track": track, "version": "v2", "share": share, "requests": len(touched), "failed": fail(recording, touched, share, dice)}


def quality(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """Scores of the quality of one track's answers are `factor` times what they were."""
    track, share = _track(recording, fault), _share(fault)
    worse = worsen(recording, _requests(recording, start, end, track), share)
    if not worse:
        raise InjectError(f"no request of {track} has a quality score then: give a recording with quality_score or quality.assessed")
    return {"track": track, "factor": share, "requests": worse}


def traffic(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """Arrivals are `factor` times as many: requests come again, within two seconds of the first, with the same outcome."""
    factor = _factor(fault)
    track = None if fault.track is None else _known(fault.track, recording.tracks(), "track")
    added = 0
    for attempt in recording.during(start, end, track):
        more = factor - 1.0
        for number in range(int(more) + (dice.random() < more % 1.0)):
            added += 1
            again(recording, attempt, number, dice.uniform(0.0, AGAIN_S))
    if not added:
        raise InjectError("no request begins then, or the factor is 1: give another --at, --for or --factor")
    return {"track": track, "factor": factor, "requests": added}


def stuck(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """A gauge of a host keeps its last value."""
    host = _host(recording, fault)
    samples = list(recording.samples(host, start, end))
    moving = [name for name in gauges(sample for _, sample in samples) if len({value_of(sample, name) for _, sample in samples}) > 1]
    if fault.gauge is None and not moving:
        raise InjectError(f"no gauge of {host} moves then: give another --at or --host")
    gauge = fault.gauge or moving[0]
    before = [value for _, sample in recording.samples(host, 0.0, start) if (value := value_of(sample, gauge)) is not None]
    kept = before[-1] if before else next((value for _, sample in samples if (value := value_of(sample, gauge)) is not None), None)
    if kept is None:
        raise InjectError(f"{host} has no gauge {gauge}; it has {_list(gauges(sample for _, sample in samples))}")
    for place, sample in samples:
        fields = {gauge: kept} if gauge in SAMPLED else {"gauges": {**(sample.gauges or {}), gauge: kept}}
        recording.change(place, **fields)
    return {"host": host, "gauge": gauge, "value": kept, "requests": 0, "samples": len(samples)}


def none(recording: Recording, fault: Fault, start: float, end: float, dice: random.Random) -> Said:
    """Nothing goes wrong: the quiet twin of the others, with the clients named alike."""
    return {"requests": 0}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault and its usual factor."""

    into: Callable[[Recording, Fault, float, float, random.Random], Said]
    factor: float = 1.0


FAULTS = {
    "latency": Kind(latency, 2.0),
    "errors": Kind(errors, 0.2),
    "throttled": Kind(throttled, 2.0),
    "tokens": Kind(tokens, 5.0),
    "configuration": Kind(configuration, 2.0),
    "version": Kind(version, 0.2),
    "drift": Kind(drift, 3.0),
    "stuck": Kind(stuck),
    "quality": Kind(quality, 0.6),
    "traffic": Kind(traffic, 3.0),
    "none": Kind(none),
}


def _factor(fault: Fault) -> float:
    return FAULTS[fault.kind].factor if fault.factor is None else fault.factor


def _share(fault: Fault) -> float:
    share = _factor(fault)
    if not 0.0 <= share <= 1.0:
        raise InjectError(f"--factor {share:g}: of {fault.kind} it is a share, from 0 to 1")
    return share


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _known(name: str, names: list[str], what: str) -> str:
    if name not in names:
        raise InjectError(f"no {what} {name} in this recording; it has {_list(names)}")
    return name


def _track(recording: Recording, fault: Fault) -> str:
    names = recording.tracks()
    if fault.track is None and len(names) != 1:
        raise InjectError(f"give --track: this recording has {_list(names)}")
    return _known(fault.track or names[0], names, "track")


def _host(recording: Recording, fault: Fault) -> str:
    names = recording.hosts()
    if fault.host is None and len(names) != 1:
        raise InjectError(f"give --host: this recording has {_list(names)}" if names else "no host was sampled in this recording: give one with samples")
    return _known(fault.host or names[0], names, "host")


def _requests(recording: Recording, start: float, end: float, track: str) -> list[Attempt]:
    found = recording.during(start, end, track)
    if not found:
        raise InjectError(f"no request of {track} begins then: give another --at or --for")
    return found


def _client_of(recording: Recording, attempt: Attempt) -> str | None:
    event = recording.events[attempt.started] if attempt.started is not None else None
    client = (event.attributes or {}).get("client") if isinstance(event, RequestStarted) else None
    return None if client is None else str(client)


def _client(recording: Recording, attempts: list[Attempt], dice: random.Random) -> str:
    counts: dict[str, int] = {}
    for attempt in attempts:
        if (client := _client_of(recording, attempt)) is not None:
            counts[client] = counts.get(client, 0) + 1
    if not counts:
        raise InjectError("no request with a client begins then: give another --at, --for or --track, and --clients above 0")
    often = sorted(counts, key=lambda name: (-counts[name], name))[: max(1, len(counts) // 2)]
    return dice.choice(often)


__all__ = ["FAULTS", "Fault"]
