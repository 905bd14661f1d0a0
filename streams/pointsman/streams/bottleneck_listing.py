"""`pointsman bottlenecks`: the newest report of every scope, track and category, from any place where outputs stand."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import aclosing

from pointsman.schemas import BottleneckReported
from pointsman.schemas.settings import Settings

from .places import PlaceError, chosen, source
from .status_figures import clock, duration, safe, share

SILENCE_S = 15.0
KINDS = (BottleneckReported,)


async def find(place: str, settings: Settings, scope: str | None = None) -> list[BottleneckReported]:
    """What stands there, tracks as wholes before their categories; raises `PlaceError` where nothing answers for 15 s."""
    token = settings.token.get_secret_value().strip() if settings.token is not None else None
    lines, _ = source(place, KINDS, settings.kafka, away="Trying again", token=token)
    last: dict[tuple[str, str, str], BottleneckReported] = {}
    async with aclosing(lines):
        while True:
            try:
                line = await asyncio.wait_for(anext(lines), SILENCE_S)
            except TimeoutError:
                raise PlaceError(f"{place}: no answer for {SILENCE_S:.0f} s; is it running there?") from None
            if line is None:
                return [last[key] for key in sorted(last) if scope in (None, key[0])]
            event = chosen(line, KINDS)
            if isinstance(event, BottleneckReported):
                key = (event.scope, event.track, event.category or "")
                if key not in last or last[key].end <= event.end:
                    last[key] = event


def table(found: Iterable[BottleneckReported]) -> Iterator[str]:
    """For people: what slow requests take, stage by stage, and what could be done."""
    for number, one in enumerate(found):
        if number:
            yield ""
        yield from _lines(one)


def _lines(one: BottleneckReported) -> Iterator[str]:
    what = f"{one.track}, {one.category}" if one.category is not None else one.track
    counted = f"{clock(one.start)} to {clock(one.end)} UTC   {one.requests:,} requests, {one.slow_requests:,} of them slow"
    yield f"{safe(one.scope)}: {safe(what)}   {counted}   p50 {duration(one.latency_p50_ms)}, p95 {duration(one.latency_p95_ms)}"
    yield f"  slow requests wait {duration(one.queueing_ms)} and are served for {duration(one.service_ms)}"
    if one.critical_path:
        yield f"  their end waits for {' → '.join(map(safe, one.critical_path))}"
    yield f"  {'stage':<34}{'usual':>10}{'slow':>10}{'share':>10}"
    for stage in one.stages:
        name = f"{safe(stage.stage)}{' (waiting)' if stage.is_queueing else ''}"
        yield f"  {name:<34}{duration(stage.typical_ms):>10}{duration(stage.slow_ms):>10}{share(stage.share):>10}"
    for advice in one.advice:
        yield f"  saves {duration(advice.gain_ms)} ({share(advice.gain_share)}), costs {advice.costs}: {safe(advice.action)}"


__all__ = ["find", "table"]
