"""Incidents as a table, one incident in full, and each change as a line."""

from collections.abc import Iterator, Sequence
from shlex import quote

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pointsman.schemas import IncidentResolved
from pointsman.sinks.incident_log import Incident, Step, Story

from .alerts_screen import COLOURS, GOOD, QUIET
from .status_figures import figure, money, safe, share, span
from .when import When

TITLE = "bold"


def incidents_table(stories: Sequence[Story], when: When) -> Table:
    """One line for each, in their order."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=QUIET)
    for title in ("incident", "scope", "severity", "since", "lasted", "title", "most suspected", "requests", ""):
        table.add_column(title, justify="right" if title in ("lasted", "requests") else "left", overflow="fold")
    for story in stories:
        found = story.latest
        table.add_row(
            safe(found.incident),
            safe(found.scope),
            _state(found),
            when.text(found.since),
            _lasted(found),
            safe(found.title),
            f"{safe(found.suspects[0].kind)} {safe(found.suspects[0].name)} {share(found.suspects[0].score)}" if found.suspects else "",
            figure(found.requests),
            Text(", ".join(_marks(found)), QUIET),
            style=QUIET if found.muted or story.is_over else "",
        )
    return table


def incidents_lines(stories: Sequence[Story], when: When) -> Group:
    """The same for a narrow terminal: what it is below its name."""
    lines: list[RenderableType] = []
    for story in stories:
        found = story.latest
        marks = "".join(f", {mark}" for mark in _marks(found))
        lasted = f", lasted {_lasted(found)}" if story.is_over else ""
        head = f"  {safe(found.scope)}, since {when.text(found.since)}{lasted}, {figure(found.requests)} requests{marks}"
        lines += [Text.assemble((f"{safe(found.incident)}  ", TITLE), _state(found), (head, QUIET)), Text(f"  {safe(found.title)}")]
    return Group(*lines)


def incident_line(found: Incident, said: str, when: When) -> Text:
    """A change in one line."""
    top = f"; suspected: {found.suspects[0].kind} {safe(found.suspects[0].name)} ({safe(found.suspects[0].evidence)})" if found.suspects else ""
    news = "" if isinstance(found, IncidentResolved) else f", {safe(said)}"
    text = f"  {safe(found.scope)}  {safe(found.incident)}: {safe(found.title)}{news}{top}"
    marks = f"  ({', '.join(_marks(found))})" if _marks(found) else ""
    return Text.assemble((f"{when.text(found.occurred_at)}  ", QUIET), _state(found), (text + marks, QUIET if found.muted else ""))


def incident_page(story: Story, when: When, place: str | None = None) -> Group:
    """Everything that is known of one: what is affected, why, what it looks like, its course; and, of a place that takes events, what can be done there."""
    found = story.latest
    parts = (*_head(found, when), *_suspects(found), *_alerts(found, when), *_similar(found, when), *_course(story.steps, when))
    return Group(*parts, *(_next(found, place) if place is not None else ()))


def _head(found: Incident, when: When) -> Iterator[RenderableType]:
    yield Text.assemble((f"{safe(found.incident)}  ", TITLE), _state(found), (f"  {safe(found.title)}", TITLE))
    end = f", ended {when.text(found.ended_at)} after {_lasted(found)}" if isinstance(found, IncidentResolved) else ""
    yield Text(f"scope {safe(found.scope)}, since {when.text(found.since)}{end}", QUIET)
    extra = (f"{money(found.cost_usd)} extra",) if found.cost_usd else ()
    affected = (f"{figure(found.requests)} requests ({share(found.requests_share)})", *extra)
    places = (("tracks", found.tracks), ("hosts", found.hosts), ("categories", found.categories), ("scopes", found.scopes))
    named = (f"{title} {', '.join(map(safe, names))}" for title, names in places if names)
    yield Text("; ".join((*affected, *named)))
    if marks := _marks(found):
        yield Text(", ".join(marks), "yellow")


def _suspects(found: Incident) -> Iterator[RenderableType]:
    if not found.suspects:
        return
    yield Text("\nsuspected, the most likely first", TITLE)
    for number, one in enumerate(found.suspects, start=1):
        yield Text.assemble(f"  {number}. {one.kind} ", (safe(one.name), TITLE), f"  {share(one.score)}  {safe(one.evidence)}")


def _alerts(found: Incident, when: When) -> Iterator[RenderableType]:
    yield Text("\nalerts", TITLE)
    for one in found.alerts:
        state = ("over", GOOD) if one.resolved_at is not None else (one.severity, COLOURS[one.severity])
        kind = "" if one.kind in one.fingerprint else f"{one.kind} "
        said = f"  {kind}{safe(one.fingerprint)}: {figure(one.observed)} instead of {figure(one.expected)}, since {when.text(one.since)}"
        yield Text.assemble("  ", state, said)


def _similar(found: Incident, when: When) -> Iterator[RenderableType]:
    if not found.similar:
        return
    yield Text("\nlooks like", TITLE)
    for one in found.similar:
        said = "; ".join(safe(part) for part in (one.cause, one.resolution, one.note) if part) or "nobody said what ended it"
        yield Text(f"  {safe(one.incident)} of {when.text(one.since)}, {share(one.similarity)} alike: {said}")


def _course(steps: Sequence[Step], when: When) -> Iterator[RenderableType]:
    yield Text("\ncourse", TITLE)
    for one in steps:
        yield Text.assemble((f"  {when.text(one.at)}  ", QUIET), safe(one.said))


def _next(found: Incident, place: str) -> Iterator[RenderableType]:
    """Commands as they can be copied, never broken into lines."""
    yield Text("\nnext", TITLE)
    there, one = f"{quote(safe(place))} --scope {quote(safe(found.scope))}", quote(safe(found.incident))
    if not isinstance(found, IncidentResolved):
        if found.acknowledged_by is None:
            yield _command(f"pointsman acknowledge {there} --incident {one} --by YOU")
        for alert in found.alerts:
            if alert.resolved_at is None:
                yield _command(f"pointsman silence {there} --alert {quote(safe(alert.fingerprint))} --for 1h --by YOU")
    yield _command(f"pointsman annotate {there} {one} --cause WHY --resolution WHAT --by YOU")


def _command(text: str) -> Text:
    return Text(f"  {text}", no_wrap=True, overflow="ignore")


def _state(found: Incident) -> Text:
    is_over = isinstance(found, IncidentResolved)
    return Text("resolved" if is_over else found.severity, GOOD if is_over else COLOURS[found.severity])


def _lasted(found: Incident) -> str:
    return span(max(0.0, found.ended_at - found.since)) if isinstance(found, IncidentResolved) else ""


def _marks(found: Incident) -> list[str]:
    """What somebody said of it."""
    acknowledged = [f"looked after by {safe(found.acknowledged_by)}"] if found.acknowledged_by else []
    return [*acknowledged, *([f"muted: {found.muted}"] if found.muted else [])]


__all__ = ["incident_line", "incident_page", "incidents_lines", "incidents_table"]
