"""Which spans describe a call that a span below them describes, too: a framework's around its client's. Only the inner one is counted.

The inner one is it because it ends first, and so is exported first; and because of several attempts below one span each is a request of its own.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from .otlp import Span

REMEMBERED = 16_384  # spans that have a request below them
MOST_CALLS = 8  # of different models below one span


class Call(NamedTuple):
    """What two spans have in common that describe one call: the model without the prefix of a provider."""

    operation: str
    model: str

    @classmethod
    def of(cls, operation: str, model: str) -> "Call":
        """The call of a span.

        >>> Call.of("chat", "openai/gpt-4o") == Call.of("chat", "gpt-4o")
        True
        """
        return cls(operation, model.rpartition("/")[2].lower())


class Nesting:
    """The calls below the last 16,384 spans that have any, with the request that each was counted as."""

    def __init__(self) -> None:
        self._below: OrderedDict[str, dict[Call, str]] = OrderedDict()

    @property
    def remembered(self) -> int:
        """How many spans are known to have a request below them."""
        return len(self._below)

    def below(self, span: Span, call: Call) -> str | None:
        """The request below this span that is the same call, None where there is none."""
        return self._below.get(span.identity, {}).get(call)

    def counted(self, span: Span, call: Call, request_id: str) -> None:
        """A request was counted: what is around its span does not count for this call."""
        if span.parent_id:
            self._enter(f"{span.trace_id}-{span.parent_id}", {call: request_id})

    def passed(self, span: Span) -> None:
        """A span that is no call: what is below it is below its parent."""
        if span.parent_id and (calls := self._below.get(span.identity)) is not None:
            self._enter(f"{span.trace_id}-{span.parent_id}", calls)

    def _enter(self, identity: str, calls: dict[Call, str]) -> None:
        known = self._below.setdefault(identity, {})
        known.update(calls)
        while len(known) > MOST_CALLS:
            del known[next(iter(known))]
        self._below.move_to_end(identity)
        while len(self._below) > REMEMBERED:
            self._below.popitem(last=False)


def inner_first(spans: Sequence[Span]) -> list[int]:
    """The places of spans, each before its parent, and as they came otherwise."""
    places = {(span.trace_id, span.span_id): place for place, span in enumerate(spans)}
    above = [places.get((span.trace_id, span.parent_id)) if span.parent_id else None for span in spans]
    if not any(above[place] is not None for place in range(len(spans))):
        return list(range(len(spans)))
    depths: list[int | None] = [None] * len(spans)
    for place in range(len(spans)):
        path: list[int] = []
        at: int | None = place
        while at is not None and depths[at] is None:
            depths[at] = 0  # ends a circle of parents
            path.append(at)
            at = above[at]
        depth = 0 if at is None else (depths[at] or 0) + 1
        for step in reversed(path):
            depths[step], depth = depth, depth + 1
    return sorted(range(len(spans)), key=lambda place: -(depths[place] or 0))


__all__ = ["Call", "Nesting", "inner_first"]
