"""The status of a scope as a screen of text: what must be seen first, the rest as far as there is room."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from .status_figures import ASCII_BARS, BARS, NONE, clock, duration, figure, money, safe, share, span, sparkline
from .status_picture import Picture

SPARK = 16
LEFT = 10
LEAST_EVENTS = 3
PLAIN_EVENTS = 12
GOOD, BAD, QUIET, TITLE = "green", "bold red", "dim", "bold"


class Section(NamedTuple):
    """Rows of one line each under a title, and how many of them must be there."""

    title: str
    rows: list[Text]
    least: int = 1


class Screen:
    """One scope at the size of the console; `position` is which of how many scopes it is, `note` what the reader must know of the source."""

    def __init__(self, picture: Picture, *, position: tuple[int, int] = (1, 1), height: int | None = None, note: str = "") -> None:
        self.picture = picture
        self.position = position
        self.height = height
        self.note = note

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, board = options.max_width, self.picture.board
        bars = ASCII_BARS if options.ascii_only else BARS
        top = [*headline(self.picture, self.position, self.note), *recommended(board)]
        table, rows = tracks(self.picture, width, bars), len(board.get("tracks", ())) + 1
        left = None if self.height is None else self.height - len(top) - rows - 1
        lines = [*top, table, *fitted(list(sections(self.picture, bars, is_whole=self.height is not None)), left)]
        if self.height is not None:
            lines.append(Text("q ends" + ("   n, p: the next scope, the one before" if self.position[1] > 1 else ""), QUIET))
        for line in lines:
            if isinstance(line, Text):
                line.truncate(width, overflow="ellipsis")
                line.no_wrap = True
        yield Group(*lines)


def fitted(found: list[Section], room: int | None) -> list[RenderableType]:
    """The sections that there is room for, the first ones first; the last section takes what is left."""
    shown: list[RenderableType] = []
    for number, section in enumerate(found):
        rows = section.rows
        if room is not None:
            later = sum(2 + min(other.least, len(other.rows)) for other in found[number + 1 :])
            count = min(len(rows), max(min(section.least, len(rows)), room - 1 - later))
            if room < 2 or count < 1:
                continue
            rows = rows[: min(count, room - 1)]
            if len(rows) < len(section.rows) and len(rows) > 1 and section is not found[-1]:
                rows = [*rows[:-1], Text(f"  … {len(section.rows) - len(rows) + 1} more", QUIET)]
            room -= len(rows) + 1
        shown += [Text(section.title, TITLE), *rows]
    return shown


def headline(picture: Picture, position: tuple[int, int], note: str) -> list[Text]:
    """Scope, time and the figures of all tracks."""
    board = picture.board
    where = f" ({position[0]}/{position[1]})" if position[1] > 1 else ""
    first = Text.assemble(("Pointsman", TITLE), "  scope ", (safe(picture.scope), TITLE), where, "  ", (f"{clock(board.get('clock'))} UTC", QUIET))
    if note:
        first.append(f"  {safe(note)}", "yellow")
    figures = (
        f"{figure(board.get('rate_per_s'))}/s",
        f"{share(board.get('success_share'))} ok",
        f"p50 {duration(board.get('latency_p50_ms'))}",
        f"p95 {duration(board.get('latency_p95_ms'))}",
        f"{money(board.get('cost_usd_per_hour'))}/h",
        f"{figure(board.get('completed'))} done",
        f"{figure(board.get('dead_letters'))} dead letters",
    )
    return [first, Text("  ".join(figures))]


def recommended(board: Mapping[str, Any]) -> list[Text]:
    """Where traffic is recommended to go, and why."""
    found = board.get("recommended")
    if not found:
        return [Text("no recommendation yet", QUIET)]
    since = f"for {span(max(0.0, board['clock'] - found['since']))}" if found.get("since") is not None and board.get("clock") else ""
    facts = (safe(found["mode"]), safe(found["strategy"]), safe(found["plan"]), f"policy {figure(found.get('policy_version'))}", since)
    line = Text.assemble("→ ", (safe(found["track"]), f"{TITLE} {GOOD}"), f" {share(found['propensity'])}  ", (" · ".join(filter(None, facts)), QUIET))
    return [line, Text(f"  because {'; '.join(map(safe, found['reasons']))}")] if found.get("reasons") else [line]


class Column(NamedTuple):
    """A column of the tracks: its title, how wide it is, and how soon it goes where there is no room (the highest first)."""

    title: str
    width: int
    rank: int


COLUMNS = (
    Column("track", 12, 0),
    Column("share", 7, 1),
    Column("advised", 7, 6),
    Column("rate", 7, 2),
    Column("ok", 7, 7),
    Column("p50", 7, 3),
    Column("p95", 7, 4),
    Column("predicted 90 %", 17, 5),
    Column("cost", 8, 9),
    Column("quality", 7, 10),
    Column("flying", 6, 11),
    Column("health", 9, 8),
    Column("rate, windows", SPARK, 12),
)


def columns(width: int) -> list[Column]:
    """The columns that fit, in their order."""
    kept: list[Column] = []
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        if sum(one.width + 2 for one in kept) + column.width <= width:
            kept.append(column)
    return [column for column in COLUMNS if column in kept]


def tracks(picture: Picture, width: int, bars: str) -> Table:
    """Every track in one line."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=QUIET)
    chosen = columns(width)
    for column in chosen:
        is_text = column.title in ("track", "health", "rate, windows")
        table.add_column(column.title, justify="left" if is_text else "right", no_wrap=True, overflow="ellipsis", width=column.width)
    for track in picture.board.get("tracks", ()):
        cells = _cells(track, picture.series, bars)
        table.add_row(*(cells[column.title] for column in chosen))
    return table


def _cells(track: Mapping[str, Any], series: Mapping[str, Any], bars: str) -> dict[str, Text]:
    band = (track.get("predicted") or {}).get("latency_ms")
    flying, most = track.get("in_flight"), track.get("max_concurrency")
    rates = (series.get("tracks", {}).get(track["track"]) or {}).get("rate_per_s", [])
    health = safe(track.get("health") or NONE)
    cells = {
        "track": safe(track["track"]),
        "share": share(track.get("share")),
        "advised": share(track.get("propensity")),
        "rate": f"{figure(track.get('rate_per_s'))}/s",
        "ok": share(track.get("success_share")),
        "p50": duration(track.get("latency_p50_ms")),
        "p95": duration(track.get("latency_p95_ms")),
        "predicted 90 %": f"{duration(band['lower'])}–{duration(band['upper'])}" if band else NONE,
        "cost": money(track.get("cost_usd")),
        "quality": figure(track.get("quality")),
        "flying": figure(flying) + (f"/{figure(most)}" if most is not None else ""),
    }
    return {name: Text(text) for name, text in cells.items()} | {
        "health": Text(health, GOOD if health == "healthy" else QUIET if health == NONE else BAD),
        "rate, windows": Text(sparkline(rates, SPARK, bars), "cyan"),
    }


def sections(picture: Picture, bars: str, *, is_whole: bool) -> Iterator[Section]:
    """What else is known, the most pressing first."""
    board = picture.board
    if rows := [row for one in board.get("incidents", ()) if one["is_open"] for row in _incident(one, board.get("clock"))]:
        yield Section("incidents", rows, 2)
    if rows := [_alert(alert, board.get("clock")) for alert in board.get("alerts", ())]:
        yield Section("alerts", rows, 2)
    if rows := objectives(board, bars):
        yield Section("objectives", rows, 2)
    if rows := [_budget(budget) for budget in board.get("budgets", ())]:
        yield Section("budget", rows)
    if rows := [_resource(one, picture.series, bars) for one in board.get("resources", ())]:
        yield Section("resources", rows)
    if rows := _forecasts(board.get("forecasts", ())):
        yield Section("forecasts", rows)
    if rows := [_scaling(one) for one in board.get("scaling", ())]:
        yield Section("scaling", rows)
    if rows := [Text(f"  {line}", BAD if "  ALERT" in line or "  INCIDENT" in line else "") for line in picture.events[: None if is_whole else PLAIN_EVENTS]]:
        yield Section("last events", rows, LEAST_EVENTS)


def _budget(budget: Mapping[str, Any]) -> Text:
    pace = budget.get("pace")
    line = Text(f"  {safe(budget['name'])}  {money(budget.get('spent'))} of {money(budget.get('limit'))}, pace ")
    return line.append(share(pace), BAD if pace is not None and pace > 1 else GOOD)


def objectives(board: Mapping[str, Any], bars: str) -> list[Text]:
    """Every objective with its error budget, the one with the least left first."""
    burning = {alert["subject"] for alert in board.get("alerts", ()) if alert["kind"] == "slo_burn"}
    rows = sorted(board.get("objectives", ()), key=lambda row: (row["objective"] not in burning, row["budget_left"]))
    width = max((min(len(row["objective"]), 40) for row in rows), default=0)
    return [_objective(row, width, row["objective"] in burning, board.get("clock") or 0.0, bars) for row in rows]


def _objective(row: Mapping[str, Any], width: int, is_burning: bool, now: float, bars: str) -> Text:
    line = Text(f"  {safe(row['objective'])[:40]:<{width}}  ")
    if not row["requests"]:
        return line.append("nothing counted yet", QUIET)
    left = row["budget_left"]
    full = round(LEFT * max(0.0, min(1.0, left)))
    line.append(bars[-1] * full + bars[0] * (LEFT - full), GOOD if left > 0.0 and not is_burning else BAD)
    line.append(f"  {f'{share(left)} left' if left > 0.0 else f'overspent by {share(-left)}'}", "" if left > 0.0 else BAD)
    pace = " · ".join(f"{span(burn['window_s'])} {figure(burn['rate'])}×" for burn in long_burns(row["burns"]))
    line.append(f"  burns {pace}", BAD if is_burning else "")
    if left > 0.0 and row.get("spent_at") is not None:
        line.append(f"  spent in {span(max(0.0, row['spent_at'] - now))}", BAD if is_burning else "yellow")
    return line


def long_burns(burns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the windows of a month's objective an hour, six, and three days; of another's those that stand in their place."""
    return [burns[place] for place in (-5, -3, -1) if len(burns) >= -place]


def _alert(alert: Mapping[str, Any], now: float | None) -> Text:
    since = f", for {span(max(0.0, now - alert['since']))}" if now and alert.get("since") is not None else ""
    is_burn = alert["kind"] == "slo_burn"
    what = (
        f"burns its error budget {figure(alert['observed'])}× as fast as it may"
        if is_burn
        else f"{figure(alert['observed'])} instead of {figure(alert['expected'])}"
    )
    said = f"{safe(alert['kind'])} {safe(alert['subject'])}: {what}{since}"
    return Text.assemble("  ", (safe(alert["severity"]), BAD), f"  {said}")


def _incident(one: Mapping[str, Any], now: float | None) -> Iterator[Text]:
    """A line of what it is, and one of what is most suspected."""
    since = f", for {span(max(0.0, now - one['since']))}" if now else ""
    said = "".join(
        (f", looked after by {safe(one['acknowledged_by'])}" if one.get("acknowledged_by") else "", f", muted: {one['muted']}" if one.get("muted") else "")
    )
    reach = f"{figure(one['requests'])} requests{since}{said}"
    yield Text.assemble("  ", (safe(one["severity"]), QUIET if one.get("muted") else BAD), f"  {safe(one['incident'])}  {reach}: {safe(one['title'])}")
    if one["suspects"]:
        first = one["suspects"][0]
        yield Text(f"    suspected: {safe(first['kind'])} {safe(first['name'])} {share(first['score'])}, {safe(first['evidence'])}")


def _resource(one: Mapping[str, Any], series: Mapping[str, Any], bars: str) -> Text:
    value, limit, unit = one.get("value"), one.get("limit"), safe(one.get("unit") or "")
    past: list[float | None] = next(
        (row["value"] for row in series.get("resources", ()) if (row["host"], row["gauge"]) == (one["host"], one["gauge"])),
        [],
    )
    line = Text(f"  {safe(one['host'])[:16]:<16}  {safe(one['gauge'])[:22]:<22}  ")
    line.append(f"{figure(value)} {unit}".rstrip().rjust(12), BAD if limit is not None and value is not None and value > limit else "")
    line.append(f" of {figure(limit)} {unit}".rstrip() if limit is not None else "")
    return line.append(f"  {sparkline(past, SPARK, bars)}", "cyan") if past else line


def _forecasts(found: Sequence[Mapping[str, Any]]) -> list[Text]:
    """A line for every quantity, its horizons side by side; those of the whole scope first."""
    lines: dict[tuple[bool, str], list[Mapping[str, Any]]] = {}
    for one in found:
        subject = one.get("track") or one.get("host")
        name = f"{safe(one['metric'])} {safe(subject)}" if subject else safe(one["metric"])
        lines.setdefault((bool(subject), name), []).append(one)
    return [Text(f"  {name}: {' · '.join(map(_ahead, sorted(ones, key=lambda one: one['horizon_s'])))}") for (_, name), ones in sorted(lines.items())]


def _ahead(one: Mapping[str, Any]) -> str:
    return f"{span(one['horizon_s'])} {figure(one['median'])} ({figure(one['lower'])}–{figure(one['upper'])})"


def _scaling(one: Mapping[str, Any]) -> Text:
    return Text(f"  {safe(one['track'])}: {figure(one['current'])} → {figure(one['desired'])} {safe(one['unit'])}, {safe(one['reason'])}")


__all__ = ["Screen", "columns", "tracks"]
