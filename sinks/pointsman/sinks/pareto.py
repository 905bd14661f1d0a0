"""A Pareto plot of policies as one SVG or HTML file: cost against quality and against latency, no script, no network."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .svg import axis, horizontal, points, text, vertical

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960.0, 380.0, 84.0, 215.0, 34.0, 46.0
SUFFIXES = (".svg", ".html")
_COLOURS = ("#2f6fde", "#d9822b", "#2a9d6f", "#a34fc4", "#c43d5a", "#6b7280", "#0e8fa3", "#8a6d1f")
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --paper: #ffffff; --line: #d5dae3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --paper: #14181f; --line: #333b49; } }
text { fill: var(--ink); font: 12px system-ui, sans-serif; } .title { font-size: 15px; font-weight: 600; } .axis { stroke: var(--line); }
.front { stroke: var(--ink); stroke-opacity: .5; stroke-dasharray: 4 4; fill: none; } .sheet { fill: var(--paper); }
"""
_PAGE = "body { background: var(--paper); margin: 1.5rem auto; max-width: 64rem; } svg { width: 100%; height: auto; }"
_PANELS = (("quality", "quality (higher is better)", 1.0), ("latency_ms", "latency, ms (lower is better)", -1.0))


@dataclass(frozen=True, slots=True)
class Spot:
    """One policy: per metric (value, lower, upper), and the truth where it is known."""

    name: str
    values: dict[str, tuple[float, float, float]]
    truths: dict[str, float] = field(default_factory=dict)


def write_pareto(path: Path, spots: Sequence[Spot], *, title: str) -> None:
    """Write the plot, as HTML or SVG by the ending; raises `ValueError` for another ending, or where cost, or both others, are unknown."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: a plot is written as {' or '.join(SUFFIXES)}: choose one of these endings")
    panels = [panel for panel in _PANELS if any({"cost_usd", panel[0]} <= set(spot.values) for spot in spots)]
    if not panels:
        raise ValueError("nothing to plot: no policy has an estimate of cost_usd together with quality or latency_ms")
    drawn = "".join(f'<g transform="translate(0 {30 + number * HEIGHT:.0f})">{_panel(spots, *panel)}</g>' for number, panel in enumerate(panels))
    height = 30 + len(panels) * HEIGHT + 24
    note = "disc: doubly robust estimate with its 95 % interval; dashed: the estimates that no other beats in both"
    if any(spot.truths for spot in spots):
        note += "; diamond: truth"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{html.escape(title)}"><style>{_STYLE}</style>'
        f'<rect class="sheet" width="100%" height="100%"/><text class="title" x="{LEFT:.0f}" y="22">{html.escape(title)}</text>{drawn}'
        f'<text x="{LEFT:.0f}" y="{height - 8:.0f}">{note}</text></svg>'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        svg = f"<!doctype html><html lang=en><head>{head}<title>{html.escape(title)}</title><style>{_STYLE}{_PAGE}</style></head><body>{svg}</body></html>"
    path.write_text(svg + "\n", encoding="utf-8")


def _panel(spots: Sequence[Spot], metric: str, label: str, better: float) -> str:
    """One plot of a metric over cost."""
    shown = [(number, spot) for number, spot in enumerate(spots) if {"cost_usd", metric} <= set(spot.values)]
    x, x_marks = axis(_reach([spot for _, spot in shown], "cost_usd"), LEFT, WIDTH - RIGHT)
    y, y_marks = axis(_reach([spot for _, spot in shown], metric), HEIGHT - BOTTOM, TOP)
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    marks = [text(LEFT, TOP - 12.0, label), text(right, HEIGHT - 8.0, "cost, USD a request", "end")]
    for value in x_marks:
        marks += (vertical(x(value), TOP, floor), text(x(value), floor + 18.0, f"{value:.3g}", "middle"))
    for value in y_marks:
        marks += (horizontal(y(value), LEFT, right), text(LEFT - 8.0, y(value) + 4.0, f"{value:.4g}", "end"))
    front = _front([(spot.values["cost_usd"][0], spot.values[metric][0]) for _, spot in shown], better)
    marks.append(f'<polyline class="front" points="{points((x(cost), y(value)) for cost, value in front)}"/>')
    labels = _spread([y(spot.values[metric][0]) for _, spot in shown])
    for (number, spot), label_y in zip(shown, labels, strict=True):
        colour = _COLOURS[number % len(_COLOURS)]
        (cost, low, high), (value, below, above) = spot.values["cost_usd"], spot.values[metric]
        x0, y0, line = x(cost), y(value), f'stroke="{colour}" stroke-width="1.6"'
        leader = f'x1="{x0:.1f}" y1="{y0:.1f}" x2="{right + 8:.1f}" y2="{label_y:.1f}"'
        marks.append(f'<line {leader} stroke="{colour}" stroke-opacity=".35" stroke-dasharray="1 3"/>')
        marks.append(f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y0:.1f}" y2="{y0:.1f}" {line}/>')
        marks.append(f'<line x1="{x0:.1f}" x2="{x0:.1f}" y1="{y(below):.1f}" y2="{y(above):.1f}" {line}/>')
        marks.append(f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="4.5" fill="{colour}"/>')
        if {"cost_usd", metric} <= set(spot.truths):
            tx, ty = x(spot.truths["cost_usd"]), y(spot.truths[metric])
            marks.append(f'<path d="M{tx:.1f} {ty - 7:.1f} l7 7 -7 7 -7 -7 z" fill="none" {line}/>')
        marks.append(text(right + 12.0, label_y + 4.0, _shortened(spot.name), style=f"fill:{colour}"))
    return "".join(marks)


def _shortened(name: str, most: int = 30) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _reach(spots: Sequence[Spot], metric: str) -> list[float]:
    """The values an axis must show: the finite ends of the intervals, and the truths."""
    found = [end for spot in spots for end in spot.values[metric]] + [spot.truths[metric] for spot in spots if metric in spot.truths]
    return [value for value in found if math.isfinite(value)]


def _front(points: Sequence[tuple[float, float]], better: float) -> list[tuple[float, float]]:
    """The points that no other beats in both, cheapest first; `better` is 1 where more is better, else -1.

    >>> _front([(1.0, 0.5), (2.0, 0.4), (3.0, 0.9)], 1.0)
    [(1.0, 0.5), (3.0, 0.9)]
    """
    front: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -better * point[1])):
        if not front or better * value > better * front[-1][1]:
            front.append((cost, value))
    return front


def _spread(places: Sequence[float], gap: float = 15.0) -> list[float]:
    """Label heights near `places`, in their order from the top, at least `gap` apart and within the panel."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    found = list(places)
    previous = TOP - gap
    for number in order:
        found[number] = previous = max(places[number], previous + gap)
    over = previous - (HEIGHT - BOTTOM)
    limit = HEIGHT - BOTTOM
    for number in reversed(order if over > 0 else []):
        found[number] = min(found[number], limit)
        limit = found[number] - gap
    return found


__all__ = ["SUFFIXES", "Spot", "write_pareto"]
