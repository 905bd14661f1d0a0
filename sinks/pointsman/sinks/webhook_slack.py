"""Incidents and alerts as Slack's incoming webhooks take them: a text for the notification, blocks for the channel, within Slack's limits.

Mattermost, Rocket.Chat, Discord (its address with `/slack` behind) and others take the same form; those that know no blocks show the text.
"""

from collections.abc import Iterator
from typing import Any

from pointsman.schemas import AlertRaised, AlertResolved, IncidentOpened, IncidentResolved, IncidentUpdated

from .alert_sentence import alert_sentence
from .moment import moment

MOST_HEADER, MOST_TEXT, MOST_FIELD = 150, 3000, 2000
MOST_SUSPECTS, MOST_ALERTS = 5, 8
_SIGNS = {"info": ":large_blue_circle:", "warning": ":large_yellow_circle:", "critical": ":red_circle:"}
_ENDED = ":white_check_mark:"
Incident = IncidentOpened | IncidentUpdated | IncidentResolved


def slack(event: AlertRaised | AlertResolved | Incident) -> dict[str, Any]:
    """The body of a post."""
    is_over = isinstance(event, AlertResolved | IncidentResolved)
    sign = _ENDED if is_over else _SIGNS[event.severity]
    title = f"{'Resolved: ' if is_over else ''}{_title(event)}"
    blocks = list(_alert(event) if isinstance(event, AlertRaised | AlertResolved) else _incident(event))
    return {"text": cut(f"{sign} {escaped(title)}", MOST_TEXT), "blocks": [_header(f"{sign} {title}"), *blocks]}


def escaped(text: str) -> str:
    """Text in which nothing is a link, a mention or a tag.

    >>> escaped("a < b & <!channel>")
    'a &lt; b &amp; &lt;!channel&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, most: int) -> str:
    """At most so many characters, an entity never halved.

    >>> cut("a &amp; b", 6), cut("short", 6)
    ('a …', 'short')
    """
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    start = kept.rfind("&")
    return (kept[:start] if start >= 0 and ";" not in kept[start:] and len(kept) - start < 5 else kept) + "…"


def _title(event: AlertRaised | AlertResolved | Incident) -> str:
    if isinstance(event, AlertRaised | AlertResolved):
        return f"{event.kind} {event.fingerprint}"
    return f"{event.incident} in {event.scope}: {event.title}"


def _alert(event: AlertRaised | AlertResolved) -> Iterator[dict[str, Any]]:
    yield _section(escaped(alert_sentence(event)))
    yield _context(f"{event.severity} · since {_when(event.since)} · scope {escaped(event.scope)}")


def _incident(event: Incident) -> Iterator[dict[str, Any]]:
    if isinstance(event, IncidentUpdated):
        yield _section(f"_{escaped(event.reason)}_")
    yield _fields(event)
    if event.suspects:
        yield _section("*Suspected, the most likely first*\n" + "\n".join(_suspects(event)))
    if event.alerts:
        yield _section("*Alerts*\n" + "\n".join(_alerts(event)))
    if event.similar:
        yield _section("*Looks like*\n" + "\n".join(_similar(event)))
    yield _context(" · ".join(_facts(event)))


def _fields(event: Incident) -> dict[str, Any]:
    found = {
        "Severity": event.severity,
        "Since": _when(event.since),
        "Requests": f"{event.requests:,} ({event.requests_share:.0%})",
        "Extra cost": f"${event.cost_usd:,.2f}",
        "Tracks": ", ".join(event.tracks),
        "Hosts": ", ".join(event.hosts),
        "Scopes": ", ".join(event.scopes),
    }
    texts = [{"type": "mrkdwn", "text": cut(f"*{name}*\n{value if name == 'Since' else escaped(value)}", MOST_FIELD)} for name, value in found.items() if value]
    return {"type": "section", "fields": texts}


def _suspects(event: Incident) -> Iterator[str]:
    for number, suspect in enumerate(event.suspects[:MOST_SUSPECTS], start=1):
        yield cut(
            f"{number}. *{escaped(suspect.kind)} {escaped(suspect.name)}* ({suspect.score:.0%}): {escaped(suspect.evidence)}", MOST_TEXT // MOST_SUSPECTS - 10
        )


def _alerts(event: Incident) -> Iterator[str]:
    for alert in event.alerts[:MOST_ALERTS]:
        end = " (over)" if alert.resolved_at is not None else ""
        yield cut(
            f"• {escaped(alert.kind)} {escaped(alert.fingerprint)}: {alert.observed:.4g} instead of {alert.expected:.4g}{end}", MOST_TEXT // MOST_ALERTS - 10
        )
    if len(event.alerts) > MOST_ALERTS:
        yield f"… and {len(event.alerts) - MOST_ALERTS} more"


def _similar(event: Incident) -> Iterator[str]:
    for one in event.similar[:3]:
        ended = one.resolution or one.cause or one.note or "nobody said what ended it"
        yield cut(f"• {escaped(one.incident)} of {_when(one.since)} ({one.similarity:.0%}): {escaped(ended)}", 900)


def _facts(event: Incident) -> Iterator[str]:
    yield f"{escaped(event.incident)} · scope {escaped(event.scope)}"
    if isinstance(event, IncidentResolved):
        yield f"ended {_when(event.ended_at)}"
    if event.acknowledged_by:
        yield f"looked after by {escaped(event.acknowledged_by)}"


def _when(at: float) -> str:
    """A time that Slack shows in the reader's own zone."""
    return f"<!date^{int(at)}^{{date_short_pretty}} {{time_secs}}|{moment(at)}>"


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": cut(text, MOST_HEADER), "emoji": True}}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, MOST_TEXT)}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cut(text, MOST_FIELD)}]}


__all__ = ["cut", "escaped", "slack"]
