"""The gauges of hosts: what is raised on recordings without a fault, and how soon faults are found, beside a control chart (3 sigma, EWMA) on each gauge.

Part of `benchmarks.watching`. A fault begins at a random sample and lasts for 80; requests go on as they were recorded.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pointsman.models.watch_host import WatchedHost, readings
from pointsman.schemas import AnyInput, RequestCompleted, ResourceSampled

LENGTH, FIRST = 80, 200
RATE, SIGMAS, AGAIN = 0.05, 3.0, 100
Call = tuple[AnyInput, Any, int, float]
Change = Callable[[ResourceSampled], ResourceSampled | None]
Raised = tuple[str, int, float]


def ours(calls: Iterable[Call]) -> list[Raised]:
    """The metric of each alarm, the number of samples until then, and when."""
    host, samples, found = WatchedHost(1.0), 0, list[Raised]()
    for event, _, in_flight, now in calls:
        if isinstance(event, ResourceSampled):
            samples += 1
            steps = host.observe(event, in_flight, now)
        else:
            steps = host.silent(now) if isinstance(event, RequestCompleted) else []
        found += [(metric, samples, now) for metric, step in steps if step == "raised"]
    return found


def chart(calls: Iterable[Call]) -> list[Raised]:
    """The same of a control chart: a value three standard deviations from the exponentially weighted mean, told once per 100 samples; none of the first 100."""
    known: dict[str, list[float]] = {}
    found, samples = list[Raised](), 0
    for event, _, _, now in calls:
        if not isinstance(event, ResourceSampled):
            continue
        samples += 1
        for metric, value in (*readings(event), ("throttled", float(bool(event.throttled)))):
            one = known.setdefault(metric, [0.0, value, 0.0, AGAIN])
            away = value - one[1]
            is_far = one[0] >= FIRST / 2 and abs(away) > SIGMAS * math.sqrt(one[2])
            if is_far and one[3] >= AGAIN:
                found.append((metric, samples, now))
                one[3] = 0.0
            rate = max(RATE, 1.0 / (one[0] + 1.0))
            one[:] = [one[0] + 1.0, one[1] + rate * away, (1.0 - rate) * (one[2] + rate * away * away), one[3] + 1.0]
    return found


def times(metric: str, factor: float, plus: float = 0.0) -> Change:
    """A reading times a factor, and some more."""

    def change(event: ResourceSampled) -> ResourceSampled:
        if event.gauges is not None and metric in event.gauges:
            return event.model_copy(update={"gauges": {**event.gauges, metric: factor * event.gauges[metric] + plus}})
        value = getattr(event, metric)
        return event.model_copy(update={metric: factor * value + plus if value is not None else None})

    return change


def stuck(metric: str) -> Change:
    """A gauge that keeps the first value that it is asked for."""
    kept: dict[str, float] = {}

    def change(event: ResourceSampled) -> ResourceSampled:
        gauges = dict(event.gauges or {})
        gauges[metric] = kept.setdefault(metric, gauges.get(metric, 0.0))
        return event.model_copy(update={"gauges": gauges})

    return change


FAULTS: dict[str, tuple[Callable[[], Change], str]] = {
    "says that it is throttled": (lambda: lambda event: event.model_copy(update={"throttled": True}), "throttled"),
    "processor's use × 0.4": (lambda: times("gpu_percent", 0.4), "gpu_percent"),
    "throughput × 0.25": (lambda: times("generation_tokens_per_s", 0.25), "generation_tokens_per_s"),
    "throughput × 0.5": (lambda: times("generation_tokens_per_s", 0.5), "generation_tokens_per_s"),
    "running requests × 0.5": (lambda: times("running", 0.5), "running"),
    "memory of the cache × 2": (lambda: times("kv_cache_percent", 2.0), "kv_cache_percent"),
    "25 °C warmer": (lambda: times("temperature_c", 1.0, 25.0), "temperature_c"),
    "10 °C warmer": (lambda: times("temperature_c", 1.0, 10.0), "temperature_c"),
    "stuck: running": (lambda: stuck("running"), "running"),
    "stuck: throughput": (lambda: stuck("generation_tokens_per_s"), "generation_tokens_per_s"),
    "reports no more": (lambda: lambda event: None, "reports"),
}


def quiet(streams: dict[str, list[Call]]) -> list[dict[str, Any]]:
    """Alarms of recordings without a fault, of all gauges and by gauge."""
    rows = []
    for label, calls in streams.items():
        found, baseline = ours(calls), chart(calls)
        gauges = sorted({metric for metric, _, _ in found})
        samples = sum(isinstance(call[0], ResourceSampled) for call in calls)
        rows.append({"policy": label, "samples": samples, "ours": len(found), "chart": len(baseline), "which": " ".join(gauges)})
    return rows


def faults(calls: list[Call], rounds: int) -> list[dict[str, Any]]:
    """How often each fault is found within 80 samples and within 30, and after how many, ours and the chart's."""
    places = [place for place, call in enumerate(calls) if isinstance(call[0], ResourceSampled)]
    rows = []
    for name, (make, metric) in FAULTS.items():
        draw, delays, others = random.Random(3), list[tuple[int, float]](), list[tuple[int, float]]()
        for _ in range(rounds):
            first = draw.randrange(FIRST, len(places) - LENGTH)
            played = _changed(calls[: places[first + LENGTH - 1] + 1], places[first], make())
            begun = calls[places[first]][3]
            for said, into in ((ours(played), delays), (chart(played), others)):
                hit = next((one for one in said if one[0] == metric and one[2] >= begun), None)
                if hit is not None:
                    into.append((sum(begun <= calls[place][3] <= hit[2] for place in places), hit[2] - begun))
        rows.append({"policy": name, "found": len(delays) / rounds, "in 30": _within(delays) / rounds} | _middle(delays))
        rows[-1] |= {"chart": len(others) / rounds, "chart in 30": _within(others) / rounds}
    return rows


def _changed(calls: Sequence[Call], first: int, change: Change) -> list[Call]:
    """The calls with the samples changed from a place on; those that a change drops are left out."""
    made: list[Call] = list(calls[:first])
    for call in calls[first:]:
        event = change(call[0]) if isinstance(call[0], ResourceSampled) else call[0]
        if event is not None:
            made.append((event, *call[1:]))
    return made


def _within(delays: list[tuple[int, float]]) -> int:
    return sum(samples <= 30 for samples, _ in delays)


def _middle(delays: list[tuple[int, float]]) -> dict[str, float]:
    samples, seconds = sorted(delays)[len(delays) // 2] if delays else (0, 0.0)
    return {"samples": samples, "seconds": seconds}


__all__ = ["faults", "quiet"]
