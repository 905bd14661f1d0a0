"""What could be done about slow requests, and what of their latency that saves by what was measured.

Every gain is that of the 95th percentile, the median of the slowest tenth: of the latencies as they were, less of the same requests as they would have been.
What a change does to the load, and so to the waiting of others, is in it only where requests under such a load were seen.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from .bottleneck_sample import FIRST_TOKEN, GENERATION, OTHER
from .bottleneck_stages import BY_LENGTH, Column, Seen, Weighed, by_length, quantile

LEVEL = 0.95
LEAST_GAIN = 0.05
ENOUGH = 20
ADMITTED = 0.7
WAITS = 0.15
GENERATES = 0.3
CAPPED_AT = 0.9
STEADY = 0.5
FIXED = 0.5
BOUND_AT = 0.9
MOST = 5
Costs = Literal["nothing", "configuration", "money"]
_ORDER: tuple[Costs, ...] = ("nothing", "configuration", "money")


class Advised(NamedTuple):
    """What to do, how many ms of slow requests' latency it saves, as a share of it too, and what it costs."""

    action: str
    gain_ms: float
    gain_share: float
    costs: Costs


class Elsewhere(NamedTuple):
    """The same category on another track, over the same time."""

    track: str
    requests: int
    slow_ms: float
    cost_usd: float | None


def advise(found: Seen, others: Iterable[Elsewhere] = (), here: str = "the track") -> list[Advised]:
    """What saves at least 5 % of slow requests' latency, the cheapest first, then what saves most; five at most."""
    now = slow_level(found)
    if now <= 0.0:
        return []
    told = [*_route(found, others), *_limit(found, here), *_answers(found), *_steady(found), *_bounded(found), *_replicas(found, here)]
    made = [Advised(action, now - then, min((now - then) / now, 1.0), costs) for action, then, costs in told]
    kept = [one for one in made if one.gain_share >= LEAST_GAIN]
    return sorted(kept, key=lambda one: (_ORDER.index(one.costs), -one.gain_ms))[:MOST]


Told = tuple[str, float, Costs]


def slow_level(found: Seen) -> float:
    """How long slow requests take."""
    return quantile(found.weighed(found.latencies), LEVEL)


def mean_cost(found: Seen) -> float | None:
    """What a request costs, where that is known."""
    known = [(row.cost_usd, weight) for row, weight in zip(found.rows, found.weights, strict=True) if row.cost_usd is not None]
    return sum(cost * weight for cost, weight in known) / sum(weight for _, weight in known) if known else None


def _route(found: Seen, others: Iterable[Elsewhere]) -> Iterator[Told]:
    """The fastest other track for this category, as it is now."""
    known = [other for other in others if other.requests >= ENOUGH]
    if not known:
        return
    best = min(known, key=lambda other: (other.slow_ms, other.track))
    own = mean_cost(found)
    is_dearer = best.cost_usd is not None and best.cost_usd > (own or 0.0)
    price = f", for ${best.cost_usd:.4g} instead of ${own or 0.0:.4g} a request" if is_dearer else ""
    yield (
        f"send them to {best.track}: its slow requests take {best.slow_ms:.0f} ms at its present load{price}",
        best.slow_ms,
        "money" if is_dearer else "nothing",
    )


def _limit(found: Seen, here: str) -> Iterator[Told]:
    """Let fewer in at once: the requests that found fewer in flight are what would be seen (exact where arrivals and service are exponential)."""
    if not _is_waiting(found):
        return
    best: tuple[float, int, float, float] | None = None
    now, total = slow_level(found), sum(found.weights)
    loads = sorted({row.in_flight for row in found.rows if row.in_flight is not None})
    for limit in loads[1:]:
        kept = [(row.latency_ms, weight) for row, weight in zip(found.rows, found.weights, strict=True) if row.in_flight is not None and row.in_flight < limit]
        share = sum(weight for _, weight in kept) / total
        if len(kept) >= ENOUGH and share >= ADMITTED:
            then = quantile(kept, LEVEL)
            best = max(best or (0.0, 0, 0.0, 0.0), ((now - then) * share, limit, then, share))
    if best is not None:
        _, limit, then, share = best
        yield (
            f"limit {here} to {limit} at once: {100 * share:.0f} % of requests find fewer in flight; others go to another track, or wait outside",
            then,
            "configuration",
        )


def _is_waiting(found: Seen) -> bool:
    """Whether waiting makes up enough of slow requests for something to be done about it."""
    level = slow_level(found)
    slow = [(waited, 1.0) for waited in found.waiting[: found.slow]]
    return quantile(slow, 0.5) >= WAITS * level


def _answers(found: Seen) -> Iterator[Told]:
    """Cap answers at the length that nine in ten have, where making them dominates."""
    made = _generation(found)
    lengths = [(float(row.output_tokens), weight) for row, weight in zip(found.rows, found.weights, strict=True) if row.output_tokens is not None]
    if made is None or len(lengths) < ENOUGH:
        return
    slow = range(found.slow)
    if sum(made[place] for place in slow) < GENERATES * sum(found.rows[place].latency_ms for place in slow):
        return
    cap = quantile(lengths, CAPPED_AT)
    then = [
        row.latency_ms - (ms * (1.0 - cap / row.output_tokens) if row.output_tokens is not None and row.output_tokens > cap else 0.0)
        for row, ms in zip(found.rows, made, strict=True)
    ]
    yield f"cap max_output_tokens at {cap:.0f}: one answer in ten is longer, look at which need it", quantile(found.weighed(then), LEVEL), "configuration"


def _generation(found: Seen) -> list[float] | None:
    """How long each answer was in the making: from the first token to the end, else the stage that is the longer the more tokens there are."""
    rows = found.rows
    if sum(row.generation_ms is not None for row in rows) >= 0.8 * len(rows):
        return [row.generation_ms or 0.0 for row in rows]
    column = _by_length(found)
    return column.ms if column is not None else None


def _by_length(found: Seen) -> Column | None:
    """The stage that grows most with the tokens of the answer."""
    grown, column = max(((by_length(found.rows, found.weights, column.ms), column) for column in found.columns), key=lambda one: one[0])
    return column if grown >= BY_LENGTH else None


def _served(found: Seen) -> list[Column]:
    """The stages with a service of their own: none that waits, nor the answer itself."""
    answer = _by_length(found)
    return [column for column in found.columns if not column.is_queueing and column.name not in (OTHER, GENERATION) and column is not answer]


def _steady(found: Seen) -> Iterator[Told]:
    """A fixed cost, a stage of at most half of the latency that takes the same whatever the request: kept warm, or its result kept, it takes nothing."""
    usual = quantile(found.weighed(found.latencies), 0.5)
    for column in _served(found):
        values = found.weighed(column.ms)
        low, middle, high = (quantile(values, share) for share in (0.1, 0.5, 0.9))
        if 0.0 < middle <= FIXED * usual and high - low <= STEADY * middle:
            then = _less(found, column.ms)
            what = "connections warm, or prompts cached" if column.name == FIRST_TOKEN else "it warm, or what it gives"
            yield f"keep {column.name} short, {what}: it takes {middle:.0f} ms whatever the request, all of it at most is saved", then, "configuration"


def _bounded(found: Seen) -> Iterator[Told]:
    """A stage that is sometimes far slower than nine times in ten: given up at that, it takes no longer than that."""
    for column in _served(found):
        bound = quantile([(value, 1.0) for value in column.ms[found.slow :]], BOUND_AT)
        if bound > 0.0:
            then = _less(found, [max(value - bound, 0.0) for value in column.ms])
            yield f"bound {column.name} at {bound:.0f} ms, by a timeout or by less work in it: nine in ten of the others take no longer", then, "configuration"


def _less(found: Seen, saved: Sequence[float]) -> float:
    return quantile(found.weighed([row.latency_ms - ms for row, ms in zip(found.rows, saved, strict=True)]), LEVEL)


def _replicas(found: Seen, here: str) -> Iterator[Told]:
    """Twice the replicas: every request finds half as many in flight, and takes what those took that did."""
    known = [(row.in_flight, row.latency_ms, weight) for row, weight in zip(found.rows, found.weights, strict=True) if row.in_flight is not None]
    if len(known) < ENOUGH or not _is_waiting(found):
        return
    then: Weighed = []
    for load, _, weight in known:
        near = _near(known, load // 2)
        total = sum(share for _, share in near)
        then += [(ms, weight * share / total) for ms, share in near]
    yield f"twice the replicas of {here}: requests find half as many in flight", quantile(then, LEVEL), "money"


def _near(known: Sequence[tuple[int, float, float]], load: int) -> Weighed:
    """The five requests, or more where they are as near, that found about so many in flight."""
    bound = sorted(abs(other - load) for other, _, _ in known)[4]
    return [(ms, weight) for other, ms, weight in known if abs(other - load) <= bound]


__all__ = ["Advised", "Elsewhere", "advise", "mean_cost", "slow_level"]
