"""The part of a report that says what was predicted and what came: a plot per track, and a table of accuracy and coverage."""

import html
import statistics
from collections.abc import Mapping, Sequence

from .accuracy import Accuracy, Judged, Key, accuracy
from .plot import Band, Plot, table
from .svg import Point

MOST_DISCS = 1500
MOST_STEPS = 240
GAP_MINUTES = 1.0
HEAD = (
    "track",
    "metric",
    "outcomes",
    "WAPE %",
    "WAPE % of the last value",
    "WAPE % of the median of 50",
    "90 % interval held %",
    "worst 500 in a row %",
    "5–95 % of the last 50 held %",
)
_NOTE = (
    "What counts is the prediction published when the request started. WAPE: the sum of the absolute errors over the sum of the outcomes. "
    "Last value, median of 50 and the range of the last 50 are of the track's outcomes known at that moment."
)
_PLOTTED = f" Line and bands above: the medians of what was predicted within each 1/{MOST_STEPS} of the run."
Row = tuple[float, float, float, float]


def accuracy_table(found: Mapping[Key, Sequence[Judged]], *, is_plotted: bool = True) -> str:
    """Accuracy and coverage of every track and metric whose outcomes are not all the same, and how to read it."""
    varied = {key: rows for key, rows in sorted(found.items()) if len({row.actual for row in rows}) > 1}
    shown = table(HEAD, [(*key, *figures(accuracy(rows))) for key, rows in varied.items()])
    return f"<h2>How well requests were predicted before their outcome</h2>{shown}<p>{_NOTE}{_PLOTTED if is_plotted else ''}</p>"


def figures(found: Accuracy) -> tuple[str, ...]:
    """The figures of one row, as text."""
    shares = (found.wape, found.wape_last, found.wape_median, found.coverage, found.worst, found.coverage_known)
    return (str(found.outcomes), *("-" if share is None else f"{100.0 * share:.1f}" for share in shares))


def latency_plot(track: str, rows: Sequence[Judged], begin: float, minutes: float, colour: str) -> str:
    """Actual latencies as discs over the predicted median as a line and its 90 % interval as a band, at the requests' starts."""
    ordered = sorted(rows, key=lambda row: row.started_at)
    latencies = sorted(row.actual / 1000.0 for row in ordered)
    low, high = latencies[int(0.01 * len(latencies))], latencies[int(0.99 * len(latencies))]
    plot = Plot(minutes, 3.0 * high, "s", bottom=max(low / 3.0, 0.01))
    discs = ordered[:: max(1, -(-len(ordered) // MOST_DISCS))]
    pieces = _pieces(_steps([_row(row, begin) for row in ordered], minutes), max(GAP_MINUTES, 3.0 * minutes / MOST_STEPS))
    for piece in pieces:
        plot.band([_band(row) for row in piece], colour)
    plot.points([((row.started_at - begin) / 60.0, row.actual / 1000.0) for row in discs], colour)
    for piece in pieces:
        plot.line([_median(row) for row in piece], "var(--ink)")
    title = f"{track}: latency of each request (discs), and what was predicted when it started: median (line) and 90 % interval (band), logarithmic"
    return f"<h2>{html.escape(title)}</h2>{plot.svg(title)}"


def _row(row: Judged, begin: float) -> Row:
    """Minute, lower, median and upper in seconds."""
    return (row.started_at - begin) / 60.0, row.predicted.lower / 1000.0, row.predicted.median / 1000.0, row.predicted.upper / 1000.0


def _steps(rows: Sequence[Row], minutes: float) -> list[Row]:
    """At most `MOST_STEPS` rows: within each equal part of the time the medians."""
    if len(rows) <= MOST_STEPS:
        return list(rows)
    parts: dict[int, list[Row]] = {}
    for row in rows:
        parts.setdefault(min(int(row[0] / max(minutes, 1e-9) * MOST_STEPS), MOST_STEPS - 1), []).append(row)
    medians = ([statistics.median(column) for column in zip(*part, strict=True)] for _, part in sorted(parts.items()))
    return [(minute, lower, median, upper) for minute, lower, median, upper in medians]


def _pieces(rows: Sequence[Row], gap: float) -> list[list[Row]]:
    """The rows cut where nothing was predicted for so many minutes."""
    found: list[list[Row]] = []
    for row in rows:
        if not found or row[0] - found[-1][-1][0] > gap:
            found.append([])
        found[-1].append(row)
    return found


def _band(row: Row) -> Band:
    return row[0], row[1], row[3]


def _median(row: Row) -> Point:
    return row[0], row[2]


__all__ = ["HEAD", "accuracy_table", "figures", "latency_plot"]
