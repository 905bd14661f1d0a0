"""Alerts for Alertmanager, by its API v2: each target has its own queue and its own patience, so that one that is away holds up nothing.

What is sent is the state, not its history: an alert that stands is posted when it is raised and again and again, one that ended is posted with its end.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from pointsman.schemas import AlertRaised, Event
from pointsman.schemas.settings import AlertmanagerSettings

from .alert_sentence import alert_sentence
from .backoff import backoff
from .incident_log import SEVERITIES
from .incident_members import opens_incidents
from .moment import moment
from .standing_alerts import Change, Incident, StandingAlerts
from .standing_incidents import StandingIncidents

MOST_WAITING = 10_000
BATCH = 500
SHORTEST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
KEPT_S = 900.0  # how long an end is told again after a start of this sink, as Prometheus does
_PASSING = frozenset({401, 403, 404, 408, 425, 429})  # mended by a setting, or by waiting; any other 4xx would be refused again

Posted = dict[str, Any]
log = logging.getLogger(__name__)


def labels(alert: AlertRaised | Incident, extra: Mapping[str, str]) -> dict[str, str]:
    """What names an alert: Alertmanager's fingerprint is made of exactly these, so they are the same when it is raised and when it is resolved."""
    if not isinstance(alert, AlertRaised):
        return {**extra, "alertname": "PointsmanIncident", "scope": alert.scope, "incident": alert.incident, "severity": alert.severity}
    name = "Pointsman" + "".join(part.capitalize() for part in alert.kind.split("_"))
    own = {"alertname": name, "scope": alert.scope, "subject": alert.subject, "kind": alert.kind, "severity": alert.severity, "fingerprint": alert.fingerprint}
    return {**extra, **own}


def annotations(alert: AlertRaised | Incident) -> dict[str, str]:
    """A sentence for people, and the numbers behind it."""
    if isinstance(alert, AlertRaised):
        numbers = {"observed": f"{alert.observed:.6g}", "expected": f"{alert.expected:.6g}", "score": f"{alert.score:.6g}"}
        return {"summary": alert_sentence(alert), **numbers}
    suspects = "; ".join(f"{one.kind} {one.name} ({one.score:.0%}): {one.evidence}" for one in alert.suspects)
    reach = {"requests": str(alert.requests), "requests_share": f"{alert.requests_share:.3g}", "cost_usd": f"{alert.cost_usd:.6g}"}
    return {"summary": f"{alert.incident} in scope {alert.scope}: {alert.title}.", "suspects": suspects, **reach}


def posted(change: Change, settings: AlertmanagerSettings, now: float) -> Posted:
    """One alert as `POST /api/v2/alerts` takes it. An end is never in the future, since Alertmanager would take it for one that still stands."""
    alert, ended = change.alert, change.ended_at
    fields: Posted = {"labels": labels(alert, settings.labels), "annotations": annotations(alert)}
    if settings.generator_url is not None:
        fields["generatorURL"] = settings.generator_url
    if ended is None:
        return fields | {"startsAt": moment(min(alert.since, now))}
    end = min(ended, now)
    return fields | {"startsAt": moment(min(alert.since, end)), "endsAt": moment(end)}


class Target:
    """One Alertmanager: what waits for it, the newest of each alert, at most so many."""

    def __init__(self, client: httpx.AsyncClient, url: str, most: int = MOST_WAITING) -> None:
        self.url = url.rstrip("/")
        self._client = client
        self._most = most
        self._waiting: OrderedDict[tuple[tuple[str, str], ...], Posted] = OrderedDict()
        self._news = asyncio.Event()
        self._failures = 0
        self.dropped = 0

    def put(self, alert: Posted) -> None:
        """Have an alert sent; it takes the place of what waits of the same one."""
        self._waiting[tuple(sorted(alert["labels"].items()))] = alert
        if len(self._waiting) > self._most:
            self._waiting.popitem(last=False)
            self.dropped += 1
        self._news.set()

    def waiting(self) -> list[Posted]:
        """What has not been sent yet, in its order."""
        return [*self._waiting.values()]

    async def run(self) -> None:
        """Send what waits, for ever; what could not be sent waits on, unless something newer has come."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                batch = dict(list(self._waiting.items())[:BATCH])
                if await self._post(list(batch.values())):
                    for key, alert in batch.items():
                        if self._waiting.get(key) is alert:
                            del self._waiting[key]
                else:
                    await asyncio.sleep(backoff(self._failures, SHORTEST_PAUSE_S, LONGEST_PAUSE_S))

    async def _post(self, alerts: list[Posted]) -> bool:
        """Whether these need not be sent again."""
        try:
            answer = await self._client.post(f"{self.url}/api/v2/alerts", json=alerts)
        except httpx.HTTPError as error:
            return self._failed(f"{type(error).__name__}: {error}")
        if answer.is_success:
            if self._failures:
                log.warning("alertmanager %s answers", self.url)
            self._failures = 0
            return True
        if answer.is_client_error and answer.status_code not in _PASSING:
            self.dropped += len(alerts)
            log.error("alertmanager %s refuses %d alerts (%d): %s", self.url, len(alerts), answer.status_code, answer.text[:500])
            return True
        hint = "; check alertmanager.username, password or token" if answer.status_code in (401, 403) else ""
        return self._failed(f"it answers {answer.status_code}{hint}")

    def _failed(self, said: str) -> bool:
        if not self._failures:
            log.warning("alertmanager %s: %s. Trying again; what is raised and resolved meanwhile waits.", self.url, said)
        self._failures += 1
        return False


class AlertmanagerSink:
    """Keeps every Alertmanager up to date with the alerts that stand. `add` never waits; nothing is sent before `ready`."""

    def __init__(self, settings: AlertmanagerSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._client = _client(settings)
        self._standing = StandingAlerts()
        self._incidents = StandingIncidents()
        self._ended: OrderedDict[tuple[tuple[str, str], ...], Change] = OrderedDict()
        self._is_ready = False
        self.targets = [Target(self._client, url) for url in settings.urls]

    def __len__(self) -> int:
        return len(self._standing) + len(self._incidents)

    def add(self, event: Event) -> None:
        """Take in one output event."""
        for change in (*self._standing.add(event), *self._incidents.add(event)):
            if self._is_ready:
                self._put(change)
            elif change.ended_at is not None:
                self._ended[tuple(sorted(labels(change.alert, {}).items()))] = change
                if len(self._ended) > MOST_WAITING:
                    self._ended.popitem(last=False)

    def ready(self) -> None:
        """What stood there is read: send the alerts that stand, and the ends of those that ended lately."""
        self._is_ready = True
        for change in self._ended.values():
            if change.ended_at is not None and change.ended_at > self._clock() - KEPT_S:
                self._put(change)
        self._ended.clear()
        self._send_standing()

    async def run(self) -> None:
        """Send, and send again what stands, before Alertmanager takes it for resolved; until cancelled."""
        async with self._client, asyncio.TaskGroup() as tasks:
            for target in self.targets:
                tasks.create_task(target.run())
            while True:
                await asyncio.sleep(self._settings.resend_s)
                if self._is_ready:
                    self._send_standing()

    def _send_standing(self) -> None:
        for alert in (*self._standing.alerts(), *self._incidents.incidents()):
            self._put(Change(alert))

    def _put(self, change: Change) -> None:
        if not self._is_sent(change.alert):
            return
        alert = posted(change, self._settings, self._clock())
        for target in self.targets:
            target.put(alert)

    def _is_sent(self, alert: AlertRaised | Incident) -> bool:
        if alert.muted is not None or SEVERITIES.index(alert.severity) > SEVERITIES.index(self._settings.min_severity):
            return False
        if isinstance(alert, AlertRaised):
            return self._settings.incidents != "instead" or not opens_incidents(alert)
        return self._settings.incidents != "off"


def _client(settings: AlertmanagerSettings) -> httpx.AsyncClient:
    headers: dict[str, str] = {}
    if settings.token is not None:
        headers["authorization"] = f"Bearer {settings.token.get_secret_value()}"
    auth = None
    if settings.username is not None:
        auth = httpx.BasicAuth(settings.username, settings.password.get_secret_value() if settings.password is not None else "")
    return httpx.AsyncClient(timeout=settings.timeout_s, headers=headers, auth=auth, verify=settings.tls(), trust_env=False)


__all__ = ["AlertmanagerSink", "Target", "annotations", "labels", "posted"]
