"""The room that says where the time of slow requests goes, per track and per category on it, and what could be done about it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.schemas import Advice, BottleneckReported, OptimizationConfig, RequestCompleted, StageShare

from .bottleneck_advice import Elsewhere, advise, mean_cost, slow_level
from .bottleneck_sample import FIRST_TOKEN, GENERATION, OTHER, Group, Row
from .bottleneck_stages import Part, Seen, parts, quantile, seen
from .findings import Told
from .join import Attempt
from .traces import NOWHERE, Walked

MOST_GROUPS = 32
ENOUGH, ENOUGH_SLOW = 30, 5
BEYOND = 1.25
NOTABLE = 0.2
ON_THE_PATH = 0.01

Key = tuple[str, str | None]


class Bottlenecks:
    """At most 32 groups, those that a request was in last; a report every `signals.bottleneck_s` of event time for those with enough requests.

    Enough is 30 since the group's last report, five of them slow. Nothing is said where slow requests take less than 1.25 times the others, or where neither a
    stage has a fifth of the difference nor anything measured would save 5 %. A track of which all requests are of one category is reported as that alone.
    """

    def __init__(self, config: OptimizationConfig) -> None:
        self._settings = config.signals
        self.groups: dict[Key, Group] = {}
        self.due: float | None = None
        self.evicted = 0

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration; what is known of tracks that are no longer there is forgotten."""
        self._settings = config.signals
        names = {track.name for track in config.tracks}
        if names:
            self.groups = {key: group for key, group in self.groups.items() if key[0] in names}

    def completed(self, event: RequestCompleted, attempt: Attempt | None, now: float, walked: Walked = NOWHERE) -> None:
        """A request is over; failures other than timeouts, and answers from a cache, are left out."""
        if event.latency_ms is None or event.cache_hit or not (event.success or event.failure_class == "timeout"):
            return
        if self.due is None:
            self.due = now + self._settings.bottleneck_s
        generation = max(event.latency_ms - event.ttft_ms, 0.0) if event.ttft_ms is not None else None
        in_flight = attempt.in_flight if attempt is not None else None
        row = Row(event.latency_ms, in_flight, generation, event.output_tokens, event.cost_usd, (), walked.path)
        category = attempt.context.category if attempt is not None else None
        stages = stages_of(event, walked)
        for key in dict.fromkeys(((event.track, None), (event.track, category))):
            self._group(key, now).add(row, stages)

    def _group(self, key: Key, now: float) -> Group:
        group = self.groups.pop(key, None)
        self.groups[key] = group = group if group is not None else Group(now)
        if len(self.groups) > MOST_GROUPS:
            del self.groups[next(iter(self.groups))]
            self.evicted += 1
        return group

    def advance(self, now: float) -> list[Told]:
        """The reports that are due."""
        if self.due is None or now < self.due:
            return []
        self.due = None
        ready = {key: group for key, group in self.groups.items() if group.requests >= ENOUGH and group.slow.count >= ENOUGH_SLOW}
        views = {key: seen(group) for key, group in ready.items()}
        whole = {track: group.requests for (track, category), group in ready.items() if category is None}
        single = {(track, None) for (track, category), group in ready.items() if category is not None and whole.get(track) == group.requests}
        told = [report for key in sorted(ready, key=_order) if key not in single and (report := self._report(key, views, now)) is not None]
        for group in ready.values():
            group.renew(now)
        return told

    def _report(self, key: Key, views: Mapping[Key, Seen], now: float) -> Told | None:
        found, group = views[key], self.groups[key]
        made = parts(found)
        slow, typical = found.latencies[: found.slow], found.latencies[found.slow :]
        if _middle(slow) < BEYOND * _middle(typical):
            return None
        advised = advise(found, self._elsewhere(key, views), key[0])
        if not advised and not any(part.share >= NOTABLE and part.name != OTHER for part in made):
            return None
        waited = found.waiting[: found.slow]
        return BottleneckReported, {
            "track": key[0],
            "category": key[1],
            "start": group.since,
            "end": now,
            "requests": group.requests,
            "slow_requests": group.slow.count,
            "latency_p50_ms": _ms(quantile(found.weighed(found.latencies), 0.5)),
            "latency_p95_ms": _ms(slow_level(found)),
            "queueing_ms": _ms(_middle(waited)),
            "service_ms": _ms(_middle([latency - wait for latency, wait in zip(slow, waited, strict=True)])),
            "stages": tuple(_stage(part) for part in made),
            "critical_path": critical_path(found, made, group.names),
            "advice": tuple(Advice(action=one.action, gain_ms=_ms(one.gain_ms), gain_share=round(one.gain_share, 6), costs=one.costs) for one in advised),
        }

    def _elsewhere(self, key: Key, views: Mapping[Key, Seen]) -> list[Elsewhere]:
        """Other tracks with this category; of a whole track only where none has categories, since what they are sent may differ."""
        if key[1] is None and any(category is not None for _, category in self.groups):
            return []
        return [
            Elsewhere(other, self.groups[other, category].requests, slow_level(view), mean_cost(view))
            for (other, category), view in views.items()
            if other != key[0] and category == key[1]
        ]

    def status(self) -> dict[str, Any]:
        """What a person wants to know, as plain values."""
        return {"groups": len(self.groups), "evicted": self.evicted, "next_report": self.due}

    def snapshot(self) -> dict[str, Any]:
        """The state in named parts, as plain values; every group is one."""
        parts = {f"group {place}": [*key, group.snapshot()] for place, (key, group) in enumerate(self.groups.items())}
        return {"head": [self.due, self.evicted, len(parts)], **parts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the parts of a snapshot."""
        self.due, self.evicted, count = state["head"]
        rows = [state[f"group {place}"] for place in range(count)]
        self.groups = {(track, category): Group.restore(group) for track, category, group in rows}


def stages_of(event: RequestCompleted, walked: Walked = NOWHERE) -> Mapping[str, float]:
    """Its stages; of a request without any what it waited for in other tracks; else the time to the first token and that after it, where known."""
    if event.stages:
        return event.stages
    if walked.elsewhere:
        return walked.elsewhere
    if event.ttft_ms is None or event.latency_ms is None or event.ttft_ms > event.latency_ms:
        return {}
    return {FIRST_TOKEN: event.ttft_ms, GENERATION: event.latency_ms - event.ttft_ms}


def critical_path(found: Seen, made: Sequence[Part], names: Sequence[str]) -> tuple[str, ...]:
    """The commonest path of slow requests through their traces; without traces the stages in the order given, those of 1 % of the latency at least."""
    paths = Counter(tuple(row.path) for row in found.rows[: found.slow] if len(row.path) > 1)
    if paths:
        return paths.most_common(1)[0][0]
    times = {part.name: part.slow_ms for part in made}
    least = ON_THE_PATH * sum(times.values())
    return tuple(name for name in names if times.get(name, 0.0) > least)


def _order(key: Key) -> tuple[str, str]:
    return key[0], key[1] or ""


def _middle(values: list[float]) -> float:
    return quantile([(value, 1.0) for value in values], 0.5)


def _ms(value: float) -> float:
    return round(value, 3)


def _stage(part: Part) -> StageShare:
    return StageShare(
        stage=part.name, is_queueing=part.is_queueing, typical_ms=_ms(part.typical_ms), slow_ms=_ms(part.slow_ms), share=round(min(part.share, 1.0), 6)
    )


__all__ = ["Bottlenecks", "stages_of"]
