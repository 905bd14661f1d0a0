"""The part of a weekly report that says what the routing saved: estimates with intervals, or why there are none."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from .bars import intervals
from .plot import table

Ends = tuple[float, float, float]
_OTHERS = (("quality", "quality", 1.0), ("success", "success, points", 100.0), ("latency_ms", "latency, ms", 1.0))
_NOTE = (
    "Estimated from the logged probability of each choice (doubly robust, 95 % interval; as `pointsman evaluate`, with input tokens and category for context). "
    "Positive: we had more of it, or paid less, than that policy would have. The cheapest and the best single track (by utility) are those of this very "
    "period, which nobody knows beforehand. Effective: how many requests the estimate rests on."
)


@dataclass(frozen=True, slots=True)
class Saving:
    """What was saved against one policy: US dollars per 1,000 requests, and what was gained beside, as (value, lower, upper) of 95 %."""

    policy: str
    saved_usd: Ends | None
    cost_usd: Ends | None
    gained: dict[str, Ends | None]
    effective_requests: float
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Savings:
    """All comparisons, over `requests` with a propensity; `logged` are the means of what happened. Without rows `reason` says why."""

    requests: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    rows: list[Saving] = field(default_factory=list)
    logged: dict[str, float] = field(default_factory=dict)
    reason: str | None = None


def savings_section(found: Savings) -> str:
    """The section with its headline, a plot, and a table."""
    if found.reason is not None:
        said = html.escape(found.reason)
        return f"<h2>Savings against fixed routing</h2><p class=story>They cannot be estimated for this period: {said}.</p>"
    parts = ["<h2>Savings against fixed routing</h2>", f"<ul class=story>{''.join(f'<li>{sentence(row, found)}</li>' for row in _fixed(found))}</ul>"]
    drawn = [(row.policy, *row.saved_usd) for row in found.rows if row.saved_usd is not None]
    if drawn:
        title = "Saved per 1,000 requests against each policy, with its 95 % interval"
        parts.append(intervals(drawn, "USD saved per 1,000 requests", title))
    parts.append(f"<div class=figures>{table(_head(), [_cells(row) for row in found.rows])}</div>")
    parts.append(f"<p class=note>{html.escape(_note(found))}</p>")
    warned = [f"<li>{html.escape(row.policy)}: {html.escape(warning)}</li>" for row in found.rows for warning in row.warnings]
    return "".join(parts) + (f"<p class=note>To be read with care:</p><ul class=note>{''.join(warned)}</ul>" if warned else "")


def _fixed(found: Savings) -> list[Saving]:
    return [row for row in found.rows if row.policy.startswith("always ")]


def sentence(row: Saving, found: Savings) -> str:
    """The comparison with one policy in words; what cannot be told is said so."""
    name = f"<b>{html.escape(row.policy)}</b>"
    if row.saved_usd is None or row.cost_usd is None:
        return f"Against {name}: no cost is reported, so no saving can be estimated{_gained(row)}."
    value, lower, upper = (end * found.requests / 1000.0 for end in row.saved_usd)
    share = f" ({abs(row.saved_usd[0]) / row.cost_usd[0]:.0%} of its cost)" if row.cost_usd[0] > 0.0 else ""
    if lower > 0.0:
        said = f"saved <b class=good>{dollars(value)}</b>{share}, between {dollars(lower)} and {dollars(upper)}"
    elif upper < 0.0:
        said = f"cost <b class=bad>{dollars(-value)} more</b>, between {dollars(-upper)} and {dollars(-lower)}"
    else:
        said = f"cost as much as far as this log can tell: {dollars(value)} saved, between {dollars(lower)} and {dollars(upper)}"
    return f"Against {name} the {found.requests:,} requests {said}{_gained(row)}."


def _gained(row: Saving) -> str:
    """The difference in quality, where there is one."""
    quality = row.gained.get("quality")
    if quality is None:
        return ""
    value, lower, upper = quality
    if lower <= 0.0 <= upper:
        return f"; quality cannot be told apart ({value:+.3f} [{lower:+.3f}, {upper:+.3f}])"
    return f"; quality was {abs(value):.3f} {'higher' if value > 0.0 else 'lower'} [{lower:+.3f}, {upper:+.3f}]"


def _head() -> Sequence[str]:
    return ("against", "its USD per 1,000", "saved USD per 1,000", *(f"more {title}" for _, title, _ in _OTHERS), "effective")


def _cells(row: Saving) -> list[str]:
    others = [shown(row.gained.get(metric), factor, sign="+") for metric, _, factor in _OTHERS]
    return [row.policy, shown(row.cost_usd), shown(row.saved_usd, sign="+"), *others, f"{row.effective_requests:.0f}"]


def shown(ends: Ends | None, factor: float = 1.0, sign: str = "") -> str:
    """A value with its interval.

    >>> shown((0.5, 0.25, 0.75), sign="+"), shown(None)
    ('+0.5 [+0.25, +0.75]', '–')
    """
    if ends is None:
        return "–"
    value, lower, upper = (_short(factor * end + 0.0, sign) for end in ends)
    return f"{value} [{lower}, {upper}]"


def _short(value: float, sign: str) -> str:
    return f"{value:{sign}.3g}" if abs(value) < 1000.0 else f"{value:{sign}.0f}"


def dollars(value: float) -> str:
    """US dollars with as many digits as tell something.

    >>> dollars(1234.5), dollars(2.346), dollars(0.001234), dollars(0.0000163), dollars(0.0)
    ('$1,234', '$2.35', '$0.0012', '$0.000016', '$0')
    """
    if value == 0.0:
        return "$0"
    sign, size = ("−" if value < 0.0 else ""), abs(value)
    digits = 0 if size >= 1000.0 else 2 if size >= 0.1 else 4
    return f"{sign}${size:,.{digits}f}" if size >= 0.0001 else f"{sign}${Decimal(f'{size:.2g}'):f}"


def _note(found: Savings) -> str:
    left = ", ".join(f"{count:,} {why}" for why, count in found.left_out.items())
    return f"{_NOTE} {f'Left out: {left}.' if left else ''}"


__all__ = ["Saving", "Savings", "dollars", "savings_section", "sentence", "shown"]
