"""A report of one run as a single HTML file with drawn plots: no script, no network."""

import html
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from pointsman.schemas import AnyInput, Event, RecommendationIssued, WindowClosed

from .accuracy import judged
from .html_file import write_page
from .plot import COLOURS, Plot, legend
from .prediction_report import accuracy_table, latency_plot

Row = TypeVar("Row")


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

    found = judged(events, outputs)
    windows = [output for output in outputs if isinstance(output, WindowClosed) and output.latency_p50_ms is not None]
    for track in tracks:
        if rows := found.get((track, "latency_ms")):
            sections.append(latency_plot(track, rows, begin, minutes, colours[track]))
        own = [window for window in windows if window.track == track]
        plot = Plot(minutes, max((window.latency_p95_ms or 0.0 for window in own), default=1.0) / 1000.0, "s")
        for value, dash in (("latency_p50_ms", ""), ("latency_p95_ms", "5 4")):
            plot.line([((window.end - begin) / 60.0, getattr(window, value) / 1000.0) for window in own], colours[track], dash)
        title = f"{track}: latency by the minute, p50 (line) and p95 (dashed)"
        sections.append(f"<h2>{html.escape(title)}</h2>" + plot.svg(title))

    sections.append(accuracy_table(found))
    moves, previous = [], ""
    for output in advice:
        if output.track != previous:
            why = "<br>".join(html.escape(reason) for reason in output.reasons)
            moves.append(
                f"<tr><td>{(output.occurred_at - begin) / 60.0:.1f}</td><td>{html.escape(output.track)}</td><td>{output.propensity:.3f}</td><td>{why}</td></tr>"
            )
            previous = output.track
    head = "<tr><th>minute</th><th>to</th><th>propensity</th><th>why</th></tr>"
    sections.append(f"<h2>When the recommendation moved, and why</h2><table>{head}{''.join(moves)}</table>" + more)
    write_page(path, "Pointsman", sections)
