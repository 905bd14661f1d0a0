"""The routing half of the demo's page: cost against quality beside everything that needs no learning, and where traffic went over time."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from .plot import COLOURS, Plot, legend
from .svg import axis, drawing, horizontal, points, text, vertical

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960.0, 360.0, 76.0, 30.0, 40.0, 56.0
OURS = COLOURS[3]
CURVE = 60

Kind = Literal["fixed", "random", "ours"]


@dataclass(frozen=True, slots=True)
class Served:
    """What one policy gave: mean quality, cost in US dollars per 1,000 requests; the name of ours is its budget."""

    name: str
    kind: Kind
    usd_per_1000: float
    quality: float
    is_above_mix: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """The share of a track's traffic over time, as (minute, share)."""

    track: str
    over_time: list[tuple[float, float]]


def routing_plots(served: Sequence[Served], hull: Sequence[tuple[float, float]], shares: Sequence[Share], title: str) -> str:
    """Both plots with their headings; `hull` are the corners (USD per 1,000, quality) of the best static mixes, `title` says whose traffic is shown."""
    first = "Cost and quality of every policy: what lies above the dashed line no fixed mix of the models can have"
    colours = {share.track: COLOURS[place % len(COLOURS)] for place, share in enumerate(shares)}
    minutes = max(minute for share in shares for minute, _ in share.over_time)
    plot = Plot(minutes, 1.0, "")
    for share in shares:
        plot.line(share.over_time, colours[share.track])
    key = f'<p><span style="color:{OURS}">&#9679; Pointsman, by its budget</span> &#9675; without learning</p>'
    return f"<h2>{first}</h2>{key}{_scatter(served, hull, colours, first)}<h2>{html.escape(title)}</h2><p>{legend(colours)}</p>{plot.svg(title)}"


def _scatter(served: Sequence[Served], hull: Sequence[tuple[float, float]], colours: dict[str, str], title: str) -> str:
    x, x_marks = axis([entry.usd_per_1000 for entry in served], LEFT, WIDTH - RIGHT)
    y, y_marks = axis([entry.quality for entry in served], HEIGHT - BOTTOM, TOP)
    floor = HEIGHT - BOTTOM
    marks = [text(2.0, 22.0, "quality"), text(WIDTH - RIGHT, HEIGHT - 6.0, "USD per 1,000 requests", "end")]
    for value in x_marks:
        marks += (vertical(x(value), TOP, floor), text(x(value), floor + 22.0, f"{value:.3g}", "middle"))
    for value in y_marks:
        marks += (horizontal(y(value), LEFT, WIDTH - RIGHT), text(2.0, y(value) + 4.0, f"{value:.3g}"))
    path = points((x(cost), y(quality)) for cost, quality in _curve(hull))
    marks.append(f'<polyline points="{path}" fill="none" stroke="var(--ink)" stroke-opacity=".6" stroke-dasharray="5 4"/>')
    for entry in served:
        marks.append(_mark(entry, x(entry.usd_per_1000), y(entry.quality), colours.get(entry.name, OURS if entry.kind == "ours" else "var(--ink)")))
    return drawing(WIDTH, HEIGHT, marks, title)


def _curve(hull: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points between the corners: a straight line is bent where the axis of cost is logarithmic."""
    found = list(hull[:1])
    for (cost, quality), (next_cost, next_quality) in pairwise(hull):
        for number in range(1, CURVE + 1):
            share = (number / CURVE) ** 2
            found.append((cost + share * (next_cost - cost), quality + share * (next_quality - quality)))
    return found


def _mark(entry: Served, x: float, y: float, colour: str) -> str:
    """A ring for what is fixed, a disc for ours; the name stands away from the dashed line."""
    is_ours = entry.kind == "ours"
    disc = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour if is_ours else "none"}" stroke="{colour}" stroke-width="2"/>'
    is_left = entry.is_above_mix if is_ours else x > 0.6 * WIDTH
    anchor, step = ("end", -8.0) if is_left else ("start", 8.0)
    below = 24.0 if is_ours and not entry.is_above_mix else -10.0
    return disc + text(x + step, y + below, entry.name, anchor, f"fill:{colour}")


__all__ = ["Served", "Share", "routing_plots"]
