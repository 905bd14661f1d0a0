"""The weekly report: one HTML page, and the same figures as JSON."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from .accuracy import Judged, Key, accuracy
from .bars import lines, stacked
from .html_file import write_page
from .incident_log import SEVERITIES
from .plot import COLOURS, legend, table
from .prediction_report import accuracy_table
from .savings_report import Savings, dollars, savings_section
from .weekly import DAY_S, MOST_MOVES, Cell, Week

SHOWN_ALERTS = 30
MOST_CAUSES = 5
_STYLE = """
h1 { font-size: 1.6rem; margin: 0; }
.kicker, .note { color: var(--soft); } .note { font-size: .85rem; } h2 { border-top: 1px solid var(--line); padding-top: 1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .8rem; margin: 1.4rem 0; }
.cards div { border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .9rem; } .cards b { display: block; font-size: 1.45rem; line-height: 1.3; }
.cards span { color: var(--soft); font-size: .85rem; } .good { color: var(--good); } .bad { color: var(--bad); } ul.story { padding-left: 1.2rem; }
table { font-size: .9rem; font-variant-numeric: tabular-nums; } .figures td:nth-child(n+2), .figures th:nth-child(n+2) { text-align: right; }
.figures.two td:nth-child(2), .figures.two th:nth-child(2) { text-align: left; } .figures, .why { overflow-x: auto; }
.figures table, .why table { display: table; font-size: .82rem; } th { vertical-align: bottom; } .figures td, .why td { white-space: nowrap; }
.why td:last-child { white-space: pre-line; min-width: 20rem; }
@media print {
  :root { --ink: #000; --paper: #fff; --line: #bbb; --soft: #444; --good: #0b5c43; --bad: #8c1d13; } 
  body { margin: 0; max-width: none; font-size: 11pt; }
  h2 { break-after: avoid; } svg, tr, .cards, li { break-inside: avoid; } 
  table { display: table; font-size: 8pt; } .figures td, .why td { white-space: normal; }
}
"""


def write_weekly(path: Path, week: Week, saved: Savings, found: Mapping[Key, Sequence[Judged]], judged_newest: int | None) -> None:
    """Write the page; `judged_newest` says that savings and accuracy rest on only so many of the newest attempts."""
    colours = {track: COLOURS[number % len(COLOURS)] for number, track in enumerate(week.tracks)}
    scope = week.scope or (", ".join(week.scopes[:5]) + (f" and {len(week.scopes) - 5} more" if len(week.scopes) > 5 else "")) or "every scope"
    title = f"Pointsman: {week.period.name}"
    sections = [f"<p class=kicker>{html.escape(scope)}, {week.period}</p><h1>{html.escape(title)}</h1>"]
    if not week.cells:
        sections.append(
            "<p class=story>Nothing began in this period: no attempt is in the history. Is `pointsman history` running, and is this the right period?</p>"
        )
        sections += [_incidents(week), _alerts(week)]
    else:
        few = f" Savings and accuracy rest on the newest {judged_newest:,} attempts." if judged_newest is not None else ""
        sections += [
            _cards(week),
            savings_section(saved),
            _costs(week, colours),
            _tracks(week, colours),
            _accuracy(found),
            _objectives(week),
            _incidents(week),
            _alerts(week),
            _moves(week),
        ]
        sections.append(f"<p class=note>An attempt counts where it began. Times are UTC.{few}</p>")
    write_page(path, title, sections, _STYLE)


def weekly_json(week: Week, saved: Savings, found: Mapping[Key, Sequence[Judged]]) -> dict[str, Any]:
    """The figures of the page as plain values."""
    cells = [{"start": week.starts[place].isoformat(), "track": track, **cell.figures()} for (place, track), cell in sorted(week.cells.items())]
    return {
        "period": {"since": week.period.since.isoformat(), "until": week.period.until.isoformat(), "name": week.period.name},
        "scope": week.scope,
        "scopes": week.scopes,
        "total": week.whole().figures(),
        "tracks": {track: week.of_track(track).figures() for track in week.tracks},
        "bucket_s": week.bucket_s,
        "buckets": cells,
        "savings": asdict(saved),
        "accuracy": [{"track": track, "metric": metric, **asdict(accuracy(rows))} for (track, metric), rows in sorted(found.items())],
        "incidents": [_plain(row) for row in week.incidents],
        "incident_s": week.incident_s,
        "alerts": [_plain(row) for row in week.alerts],
        "alert_count": week.alert_count,
        "moves": [_plain(row) for row in week.moves],
        "move_count": week.move_count,
        "strategies": [_plain(row) for row in week.strategies],
        "objectives": [_plain(row) for row in week.objectives],
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _cards(week: Week) -> str:
    whole = week.whole()
    open_ = sum(row["resolved_at"] is None for row in week.alerts)
    cards = [
        (f"{whole.attempts:,}", "attempts" + (f", {whole.unfinished:,} unfinished" if whole.unfinished else "")),
        (dollars(whole.cost_usd), "spent"),
        (_percent(whole.success_share), "succeeded"),
        (_seconds(whole.latency_ms(0.95)), "latency p95"),
        (f"{whole.quality:.3f}" if whole.quality is not None else "–", "mean quality"),
        (f"{week.alert_count}", f"{'alert' if week.alert_count == 1 else 'alerts'}{f', {open_} still open' if open_ else ''}"),
    ]
    return f"<div class=cards>{''.join(f'<div><b>{value}</b><span>{said}</span></div>' for value, said in cards)}</div>"


def _costs(week: Week, colours: Mapping[str, str]) -> str:
    """Cost and attempts per bucket and track, as bars, and the costs as a table."""
    step, labels = _step(week), [_label(start, week) for start in week.starts]
    cost = {track: [_cell(week, place, track).cost_usd for place in range(len(labels))] for track in week.tracks}
    count = {track: [float(_cell(week, place, track).attempts) for place in range(len(labels))] for track in week.tracks}
    title, second = f"Cost per {step} and track, USD", f"Attempts per {step} and track"
    parts = [f"<h2>{title}</h2><p>{legend(colours)}</p>"]
    parts.append(stacked(labels, cost, colours, "$", title) if week.whole().cost_usd else "<p>No completion reports a cost.</p>")
    rows = [
        (label, *(_money(cost[track][place]) for track in week.tracks), _money(sum(cost[track][place] for track in week.tracks)))
        for place, label in enumerate(labels)
    ]
    total = [sum(cost[track]) for track in week.tracks]
    rows.append(("all", *map(_money, total), _money(sum(total))))
    parts.append(f"<div class=figures>{table((step, *week.tracks, 'all'), rows)}</div>")
    parts.append(f"<h2>{second}</h2>{stacked(labels, count, colours, '', second)}")
    return "".join(parts)


def _tracks(week: Week, colours: Mapping[str, str]) -> str:
    """Success and latency per bucket and track."""
    step, labels = _step(week), [_label(start, week) for start in week.starts]
    series = []
    for track in week.tracks:
        for share, dashes in ((0.5, ""), (0.95, "5 4")):
            values = [_cell(week, place, track).latency_ms(share) for place in range(len(labels))]
            series.append(([None if value is None else value / 1000.0 for value in values], colours[track], dashes))
    title = f"Latency per {step} and track: p50 (line) and p95 (dashed)"
    rows = [(track, "all", *_figures(week.of_track(track))) for track in week.tracks]
    rows += [
        (track, label, *_figures(_cell(week, place, track))) for track in week.tracks for place, label in enumerate(labels) if (place, track) in week.cells
    ]
    head = ("track", step, "attempts", "succeeded", "failed", "unfinished", "p50", "p95", "tokens out", "quality")
    return (
        f"<h2>{title}</h2><p>{legend(colours)}</p>{lines(labels, series, 's', title)}<h2>Success and latency per track</h2>"
        f"<div class='figures two'>{table(head, rows)}</div><p class=note>Latency is that of successes. What a client broke off is not in the success.</p>"
    )


def _figures(cell: Cell) -> tuple[str, ...]:
    quality = f"{cell.quality:.3f}" if cell.quality is not None else "–"
    ends = (_seconds(cell.latency_ms(0.5)), _seconds(cell.latency_ms(0.95)))
    return (f"{cell.attempts:,}", _percent(cell.success_share), f"{cell.failed:,}", f"{cell.unfinished:,}", *ends, f"{cell.output_tokens:,}", quality)


def _accuracy(found: Mapping[Key, Sequence[Judged]]) -> str:
    if not found:
        return "<h2>How well requests were predicted before their outcome</h2><p>No prediction of this period has an outcome in the history.</p>"
    return f"<div class='figures two'>{accuracy_table(found, is_plotted=False)}</div>"


def _objectives(week: Week) -> str:
    """How the objectives stood at the end, the one with the least left of its error budget first."""
    if not week.objectives:
        return ""
    rows = [
        (
            row["objective"] if week.scope is not None or len(week.scopes) == 1 else f"{row['scope']}: {row['objective']}",
            f"{row['requests']:,}",
            f"{row['broken']:,}",
            _percent(1.0 - row["broken"] / row["requests"] if row["requests"] else None),
            f"{row['budget_left']:.1%}",
            f"{row['least_left']:.1%}",
            f"{row['spent_at']:%m-%d %H:%M}" if row["spent_at"] is not None else "–",
        )
        for row in week.objectives[:SHOWN_ALERTS]
    ]
    head = ("objective", "requests", "broke it", "kept it", "budget left", "least left", "spent at")
    note = "<p class=note>As the objective's own window stood at the end of the period, whatever its length.</p>"
    return f"<h2>Objectives and their error budgets</h2><div class=figures>{table(head, rows)}</div>{note}"


def _incidents(week: Week) -> str:
    """How many, how severe, whom they suspected, and each of them."""
    if not week.incidents:
        return "<h2>Incidents</h2><p>None was open.</p>"
    severities = Counter(row["severity"] for row in week.incidents)
    causes = Counter(f"{row['suspect_kind']} {row['suspect_name']}" for row in week.incidents if row["suspect_name"] is not None)
    counted = ", ".join(f"{severities[name]} {name}" for name in SEVERITIES if severities[name])
    suspected = "; ".join(f"{html.escape(name)} ({count})" for name, count in causes.most_common(MOST_CAUSES)) or "nothing"
    rows = [
        (
            row["incident"] if week.scope is not None or len(week.scopes) == 1 else f"{row['scope']}: {row['incident']}",
            row["severity"],
            f"{row['since']:%m-%d %H:%M:%S}",
            _duration(row["duration_s"]),
            f"{row['requests']:,}",
            _money(row["cost_usd"]),
            row["title"],
        )
        for row in week.incidents[:SHOWN_ALERTS]
    ]
    head = ("incident", "severity", "since", "lasted", "requests", "extra cost", "what")
    more = f"<p>And {len(week.incidents) - len(rows):,} earlier ones.</p>" if len(week.incidents) > len(rows) else ""
    said = f"<p>{counted}; {_duration(week.incident_s)} with one open. Most suspected: {suspected}.</p>"
    return f"<h2>Incidents, the newest first</h2>{said}<div class=why>{table(head, rows)}</div>{more}"


def _alerts(week: Week) -> str:
    if not week.alerts:
        return "<h2>Alerts</h2><p>None was raised, and none stood from before.</p>"
    rows = [
        (
            f"{row['severity']} {row['kind']}",
            row["subject"],
            f"{row['raised_at']:%m-%d %H:%M:%S}",
            _duration(row["duration_s"]),
            f"{row['observed']:.4g}",
            f"{row['expected']:.4g}",
        )
        for row in week.alerts[:SHOWN_ALERTS]
    ]
    more = f"<p>And {week.alert_count - len(rows):,} shorter ones.</p>" if week.alert_count > len(rows) else ""
    head = ("alert", "subject", "raised", "lasted", "observed", "expected")
    return f"<h2>Alerts, those that still stand and the longest first</h2><div class='figures two'>{table(head, rows)}</div>{more}"


def _moves(week: Week) -> str:
    """Where the recommendation moved, and changes of strategy."""
    strategies = "".join(
        f"<li>{row['occurred_at']:%m-%d %H:%M}: {html.escape(row['previous'])} → {html.escape(row['current'])} ({html.escape(row['why'])})</li>"
        for row in week.strategies
    )
    rows = [(f"{row['occurred_at']:%m-%d %H:%M:%S}", row["previous"], row["track"], f"{row['propensity']:.3f}", row["reasons"]) for row in week.moves]
    if not rows:
        moved = "<p>The recommendation stayed on one track, or none was made.</p>"
    else:
        more = f"<p>The first {MOST_MOVES} of {week.move_count:,} moves.</p>" if week.move_count > len(rows) else ""
        moved = f"<div class=why>{table(('when', 'from', 'to', 'propensity', 'why'), rows)}</div>{more}"
    return f"<h2>What changed: moves of the recommendation</h2>{moved}" + (f"<h2>Changes of strategy</h2><ul>{strategies}</ul>" if strategies else "")


def _cell(week: Week, place: int, track: str) -> Cell:
    return week.cells.get((place, track)) or Cell()


def _step(week: Week) -> str:
    if week.bucket_s % DAY_S == 0:
        return "day" if week.bucket_s == DAY_S else f"{week.bucket_s // DAY_S} days"
    minutes = week.bucket_s // 60
    return "minute" if minutes == 1 else "hour" if minutes == 60 else f"{minutes} minutes" if minutes < 60 else f"{minutes // 60} hours"


def _label(start: datetime, week: Week) -> str:
    return f"{start:%a %m-%d}" if week.bucket_s % DAY_S == 0 else f"{start:%H:%M}"


def _money(value: float) -> str:
    return dollars(value) if value else "–"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}" if share < 1.0 else "100 %"


def _seconds(latency_ms: float | None) -> str:
    if latency_ms is None:
        return "–"
    return f"{latency_ms:.0f} ms" if latency_ms < 1000.0 else f"{latency_ms / 1000.0:.2f} s"


def _duration(seconds: float | None) -> str:
    """How long an alert stood.

    >>> [_duration(seconds) for seconds in (None, 12.0, 754.0, 7500.0)]
    ['still open', '12 s', '13 min', '2.1 h']
    """
    if seconds is None:
        return "still open"
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.1f} h"


__all__ = ["weekly_json", "write_weekly"]
