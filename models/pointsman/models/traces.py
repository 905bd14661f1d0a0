"""The requests of a trace by their intervals: which one called which, and what the end of the last one waited for."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MOST_TRACES = 128
MOST_SPANS = 16
SLACK_S = 0.002  # clocks of one producer, rounded to ms


class Span(NamedTuple):
    """A request that is over: where it ran, its interval in epoch seconds, and its id: copies of one request don't call each other."""

    node: str
    start: float
    end: float
    request: str = ""

    def holds(self, other: "Span") -> bool:
        """Whether the other ran within this one."""
        is_within = self.start - SLACK_S <= other.start and other.end <= self.end + SLACK_S and self.end - self.start > other.end - other.start
        return is_within and not self.is_copy(other)

    def overlaps(self, other: "Span") -> bool:
        """Whether both ran at once for longer than clocks may be off."""
        return min(self.end, other.end) - max(self.start, other.start) > SLACK_S and not self.is_copy(other)

    def is_copy(self, other: "Span") -> bool:
        """Whether both are attempts of one request."""
        return self.request == other.request != ""


class Leg(NamedTuple):
    """A stretch of a critical path: `node` was what was waited for, for so long."""

    node: str
    ms: float


class Walked(NamedTuple):
    """Of a request that is over: the critical path of its trace up to its end, and how long it waited for which others, in ms."""

    path: tuple[str, ...]
    elsewhere: Mapping[str, float]


NOWHERE = Walked((), {})


def trace_of(traceparent: str | None) -> str | None:
    """The trace id of a `traceparent` (W3C Trace Context: version-trace-span-flags); one that isn't made like that is taken whole.

    >>> trace_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    '0af7651916cd43dd8448eb211c80319c'
    """
    if not traceparent:
        return None
    parts = traceparent.split("-")
    return parts[1] if len(parts) >= 4 and parts[1] else traceparent


def called(caller: Span, spans: Sequence[Span]) -> list[Span]:
    """Those that ran within `caller` and within none of the others that did."""
    inner = [span for span in spans if caller.holds(span)]
    return [span for span in inner if not any(other.holds(span) for other in inner)]


def critical_path(spans: Sequence[Span], end: float) -> list[Leg]:
    """What `end` waited for, going back: always the request that ended last before, and within it what it called.

    >>> [leg.node for leg in critical_path([Span("plan", 0.0, 2.0), Span("search", 2.0, 3.0), Span("model", 2.1, 6.0)], 6.0)]
    ['plan', 'model']
    """
    outer = [span for span in spans if span.end <= end + SLACK_S and not any(other.end <= end + SLACK_S and other.holds(span) for other in spans)]
    legs: list[Leg] = []
    for span in _backwards(outer, end):
        legs = _within(span, spans) + legs
    return legs


def walked(span: Span, others: Sequence[Span]) -> Walked:
    """The way to the end of `span`, given what had ended of its trace before."""
    if not others:
        return NOWHERE
    nodes = [leg.node for leg in critical_path([*others, span], span.end)]
    path = tuple(node for place, node in enumerate(nodes) if place == 0 or nodes[place - 1] != node)
    elsewhere: dict[str, float] = {}
    for node, ms in _within(span, others):
        if node != span.node:
            elsewhere[node] = elsewhere.get(node, 0.0) + ms
    return Walked(path[-MOST_SPANS:], elsewhere)


def _backwards(spans: Sequence[Span], end: float) -> list[Span]:
    """Of spans none of which holds another, those that follow each other back from `end`, the last first."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: (-one.end, one.start, one.node)):
        if span.end <= end + SLACK_S:
            found.append(span)
            end = span.start
    return found


def _within(span: Span, spans: Sequence[Span]) -> list[Leg]:
    """A request's own stretches and those of what it waited for, in the order of time."""
    legs: list[Leg] = []
    cursor = span.end
    smaller = [other for other in spans if span.holds(other)]
    for inner in _backwards(called(span, smaller), span.end):
        legs = [*_within(inner, smaller), *_own(span.node, inner.end, cursor), *legs]
        cursor = max(inner.start, span.start)
    return [*_own(span.node, span.start, cursor), *legs]


def _own(node: str, start: float, end: float) -> list[Leg]:
    return [Leg(node, 1000.0 * (end - start))] if end - start > SLACK_S else []


class Traces:
    """What has ended of the last 128 traces, 16 requests each; `evicted` counts traces and requests that had to go."""

    def __init__(self) -> None:
        self.spans: OrderedDict[str, list[Span]] = OrderedDict()
        self.evicted = 0

    def add(self, trace: str, span: Span) -> list[Span]:
        """Note that a request is over; gives what had ended of its trace before."""
        known = self.spans.get(trace)
        if known is None:
            known = self.spans[trace] = []
            if len(self.spans) > MOST_TRACES:
                self.spans.popitem(last=False)
                self.evicted += 1
        self.spans.move_to_end(trace)
        before = list(known)
        known.append(span)
        if len(known) > MOST_SPANS:
            del known[0]
            self.evicted += 1
        return before

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.evicted, [[trace, [list(span) for span in spans]] for trace, spans in self.spans.items()]]

    def restore(self, state: list[Any]) -> None:
        """Take up the state of a snapshot."""
        self.evicted, rows = state
        self.spans = OrderedDict((trace, [Span(*span) for span in spans]) for trace, spans in rows)


__all__ = ["MOST_SPANS", "MOST_TRACES", "NOWHERE", "Leg", "Span", "Traces", "Walked", "called", "critical_path", "trace_of", "walked"]
