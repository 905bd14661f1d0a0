"""A report of one run as a single HTML file with drawn plots: no script, no network."""

import html
import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from pointsman.schemas import AnyInput, Event, PredictionIssued, RecommendationIssued, RequestCompleted, WindowClosed

WIDTH, HEIGHT, LEFT, BOTTOM = 960.0, 280.0, 76.0, 34.0
COLOURS = ("#2f6fde", "#d9822b", "#2a9d6f", "#a34fc4")
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --paper: #ffffff; --line: #d5dae3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --paper: #14181f; --line: #333b49; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } text { fill: var(--ink); font-size: 12px; } .axis { stroke: var(--line); }
@media (max-width: 40rem) { text { font-size: 24px; } }
h2 { font-size: 1.1rem; margin-top: 2rem; } .story { font-size: 1.15rem; } table { display: block; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
"""

Point = tuple[float, float]
Row = TypeVar("Row")


class Plot:
    """One plot over minutes since the beginning: points, lines and bands in the colours of the tracks; logarithmic with a `bottom`."""

    def __init__(self, minutes: float, top: float, unit: str, bottom: float | None = None) -> None:
        self._minutes, self._top, self._bottom = max(minutes, 1e-9), max(top, 1e-9), bottom
        self._marks: list[str] = []
        for value in _decades(bottom, self._top) if bottom is not None else [share * self._top for share in (0.0, 0.25, 0.5, 0.75, 1.0)]:
            y = self._y(value)
            self._marks.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/><text x="2" y="{y + 4:.1f}">{value:.3g} {unit}</text>')
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            anchor = "end" if share == 1.0 else "middle"
            self._marks.append(f'<text x="{self._x(share * minutes):.1f}" y="{HEIGHT - 4}" text-anchor="{anchor}">{share * minutes:.0f} min</text>')

    def _x(self, minute: float) -> float:
        return LEFT + (WIDTH - LEFT - 30.0) * minute / self._minutes

    def _y(self, value: float) -> float:
        low = self._bottom
        share = value / self._top if low is None else math.log(max(value, low) / low) / math.log(self._top / low)
        return 18.0 + (HEIGHT - BOTTOM - 18.0) * (1.0 - min(max(share, 0.0), 1.0))

    def points(self, rows: Iterable[Point], colour: str) -> None:
        """Small discs."""
        self._marks += [f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="1.6" fill="{colour}" fill-opacity=".55"/>' for x, y in rows]

    def line(self, rows: Iterable[Point], colour: str, dash: str = "") -> None:
        """A line through the points."""
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in rows)
        self._marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dash}"/>')

    def steps(self, rows: list[Point], colour: str) -> None:
        """A line that holds each value until the next."""
        held = [(x, before) for (_, before), (x, _) in pairwise(rows)]
        corners = [point for pair in zip(rows, held, strict=False) for point in pair]
        self.line([*corners, *rows[-1:], *((self._minutes, y) for _, y in rows[-1:])], colour)

    def band(self, rows: list[tuple[float, float, float]], colour: str) -> None:
        """The area between the lower and the upper of (minute, lower, upper), interrupted where nothing was predicted for a minute."""
        for place in range(1, len(rows)):
            if rows[place][0] - rows[place - 1][0] > 1.0:
                self.band(rows[:place], colour)
                self.band(rows[place:], colour)
                return
        edge = [(x, low) for x, low, _ in rows] + [(x, high) for x, _, high in reversed(rows)]
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in edge)
        self._marks.append(f'<polygon points="{path}" fill="{colour}" fill-opacity=".18"/>')

    def svg(self, title: str) -> str:
        """The drawing, titled for screen readers."""
        return f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{html.escape(title)}">{"".join(self._marks)}</svg>'


def _decades(bottom: float, top: float) -> list[float]:
    """1, 3, 10, 30, ... between the ends."""
    found = [base * 10.0**power for power in range(-4, 7) for base in (1.0, 3.0)]
    return [value for value in found if bottom <= value <= top]


def _story(advice: list[RecommendationIssued], begin: float) -> str:
    """When the recommendation first left the track it began with, and when it came back."""
    moves = [(after, before) for before, after in pairwise(advice) if after.track != before.track]
    lasting = [(left, back) for (left, _), (back, _) in pairwise(moves) if left.track != advice[0].track and back.occurred_at - left.occurred_at >= 60.0]
    if not lasting:
        return "The recommendation never left its first track for a minute."
    (left, back), name = lasting[0], html.escape(advice[0].track)
    why = next((reason for reason in left.reasons if reason.startswith(f"{advice[0].track}: running")), left.reasons[0])
    away, returned = (left.occurred_at - begin) / 60.0, (back.occurred_at - begin) / 60.0
    return (
        f"The recommendation left <b>{name}</b> for <b>{html.escape(left.track)}</b> at minute {away:.1f} ({html.escape(why)}) "
        f"and came back at minute {returned:.1f}; it stayed away for a minute or more {len(lasting)} times."
    )


def _thin(rows: list[Row], most: int = 1500) -> list[Row]:
    return rows[:: max(1, -(-len(rows) // most))]


def legend(colours: Mapping[str, str]) -> str:
    """Which colour is which track."""
    return " ".join(f'<span style="color:{colour}">&#9632; {html.escape(track)}</span>' for track, colour in colours.items())


def write_report(path: Path, events: list[AnyInput], outputs: list[Event], more: str = "") -> None:
    """Draw propensities over time, latencies against their predicted bands, and windows, per track; `more` is HTML to end with."""
    begin = min(event.occurred_at for event in events)
    minutes = (max(event.occurred_at for event in events) - begin) / 60.0
    advice = [output for output in outputs if isinstance(output, RecommendationIssued) and output.request_id is None and output.segment == "all"]
    tracks = sorted({row.track for output in advice for row in output.tracks})
    colours = {track: COLOURS[number % len(COLOURS)] for number, track in enumerate(tracks)}
    story = _story(advice, begin) if advice else "No recommendation was made."
    figures = f"{len(events)} events, {len(outputs)} outputs, {minutes:.0f} minutes. {legend(colours)}"
    sections = [f"<h1>What Pointsman learned</h1><p class=story>{story}</p><p>{figures}</p>"]

    plot = Plot(minutes, 1.0, "")
    for track in tracks:
        plot.steps([((o.occurred_at - begin) / 60.0, row.propensity) for o in _thin(advice) for row in o.tracks if row.track == track], colours[track])
    title = "Where traffic is recommended to go: the share of requests drawn to each track"
    sections.append(f"<h2>{title}</h2>" + plot.svg(title))

    issued = {(o.request_id, o.track): o.latency_ms for o in outputs if isinstance(o, PredictionIssued) and o.latency_ms is not None}
    windows = [output for output in outputs if isinstance(output, WindowClosed) and output.latency_p50_ms is not None]
    for track in tracks:
        done = [event for event in events if isinstance(event, RequestCompleted) and event.track == track and event.latency_ms is not None]
        started = sorted(((event.occurred_at - (event.latency_ms or 0.0) / 1000.0, event) for event in done), key=lambda row: row[0])
        pairs = [(moment, event.latency_ms or 0.0, issued[(event.request_id, track)]) for moment, event in started if (event.request_id, track) in issued]
        ordered = sorted(latency for _, latency, _ in pairs)
        top = 3.0 * ordered[int(0.99 * len(ordered))] / 1000.0 if ordered else 1.0
        plot = Plot(minutes, top, "s", bottom=max(ordered[int(0.01 * len(ordered))] / 3000.0, 0.01) if ordered else 0.1)
        shown = _thin(pairs)
        plot.band([((moment - begin) / 60.0, band.lower / 1000.0, band.upper / 1000.0) for moment, _, band in shown], colours[track])
        plot.points([((moment - begin) / 60.0, latency / 1000.0) for moment, latency, _ in shown], colours[track])
        title = f"{track}: latency of each request (discs) and the 90 % interval predicted when it started (band), logarithmic"
        sections.append(f"<h2>{html.escape(title)}</h2>" + plot.svg(title))
        own = [window for window in windows if window.track == track]
        plot = Plot(minutes, max((window.latency_p95_ms or 0.0 for window in own), default=1.0) / 1000.0, "s")
        for value, dash in (("latency_p50_ms", ""), ("latency_p95_ms", "5 4")):
            plot.line([((window.end - begin) / 60.0, getattr(window, value) / 1000.0) for window in own], colours[track], dash)
        title = f"{track}: latency by the minute, p50 (line) and p95 (dashed)"
        sections.append(f"<h2>{html.escape(title)}</h2>" + plot.svg(title))

    rows, previous = [], ""
    for output in advice:
        if output.track != previous:
            why = "<br>".join(html.escape(reason) for reason in output.reasons)
            rows.append(
                f"<tr><td>{(output.occurred_at - begin) / 60.0:.1f}</td><td>{html.escape(output.track)}</td><td>{output.propensity:.3f}</td><td>{why}</td></tr>"
            )
            previous = output.track
    head = "<tr><th>minute</th><th>to</th><th>propensity</th><th>why</th></tr>"
    sections.append(f"<h2>When the recommendation moved, and why</h2><table>{head}{''.join(rows)}</table>" + more)
    viewport = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<!doctype html><html lang=en><head>{viewport}<title>Pointsman</title><style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>",
        encoding="utf-8",
    )
