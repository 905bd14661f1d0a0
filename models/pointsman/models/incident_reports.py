"""The operator's incidents: what several scopes report of one track, host or provider is one incident, opened once two of them do."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from pointsman.schemas import IncidentOpened, IncidentReported, IncidentResolved, IncidentUpdated, OptimizationConfig, Severity, Suspect

from .findings import Told
from .incident import ORDER
from .incident_relations import Entity, Relations
from .incident_words import clock_time

FEWEST_SCOPES = 2
MOST_REPORTS = 256
MOST_SUSPECTS = 5
MOST_NAMES = 64
Key = tuple[str, str]


class Common:
    """An open incident of several scopes: the entity that they have in common, and the reports that belong to it by reporter and name."""

    __slots__ = ("acknowledged_by", "entity", "name", "news_at", "reports")

    def __init__(self, name: str, entity: Entity) -> None:
        self.name = name
        self.entity = entity
        self.reports: dict[Key, IncidentReported] = {}
        self.news_at = 0.0
        self.acknowledged_by: str | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        """Who reports it."""
        return tuple(sorted({reporter for reporter, _ in self.reports}))

    @property
    def is_over(self) -> bool:
        """Whether it is resolved in every scope."""
        return all(report.state == "resolved" for report in self.reports.values())

    def fields(self) -> dict[str, Any]:
        """The fields of its events: requests and costs are summed, suspects merged."""
        reports = [self.reports[key] for key in sorted(self.reports)]
        since = min(report.since for report in reports)
        suspects = merged(report.suspects for report in reports)
        severities: list[Severity] = [report.severity for report in reports]
        of = f"{self.entity.kind} {self.entity.name}"
        said = f"{len(self.scopes)} scopes see trouble of {of} since {clock_time(since)}"
        if suspects:
            said += f"; suspected: {suspects[0].kind} {suspects[0].name}"
        return {
            "incident": self.name,
            "severity": max(severities, key=ORDER.index),
            "title": said,
            "since": since,
            "alerts": (),
            "suspects": suspects,
            "tracks": _names(report.tracks for report in reports),
            "hosts": _names(report.hosts for report in reports),
            "scopes": self.scopes[:MOST_NAMES],
            "requests": sum(report.requests for report in reports),
            "cost_usd": round(sum(report.cost_usd for report in reports), 6),
            "fingerprint": f"{self.entity.kind}/{self.entity.name}"[:256],
            "acknowledged_by": self.acknowledged_by,
        }

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.name, list(self.entity), [report.model_dump() for report in self.reports.values()], self.news_at, self.acknowledged_by]

    @classmethod
    def restore(cls, state: list[Any]) -> Self:
        """What left this snapshot."""
        common = cls(state[0], Entity(*state[1]))
        common.reports = {_key(report): report for report in map(IncidentReported.model_validate, state[2])}
        common.news_at, common.acknowledged_by = state[3], state[4]
        return common


class IncidentReports:
    """What scopes report, until it is over; `name` gives the next incident's name.

    Reports belong together where their onsets lie within `group_s` and they are of one track, host, or provider (of this scope's own configuration). A report
    of an entity that has an open incident joins it, and one that is of several joins the first. Reports of several scopes come in any order: what is
    resolved in one waits for the others, too.
    """

    def __init__(self, config: OptimizationConfig, name: Callable[[], str]) -> None:
        self._name = name
        self.open: dict[str, Common] = {}
        self.waiting: dict[Key, IncidentReported] = {}
        self.evicted = 0
        self.configure(config)

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration."""
        self._relations, self._group_s = Relations(config), config.signals.group_s

    def told(self, report: IncidentReported) -> list[Told]:
        """A scope reports an incident as it is now."""
        key = _key(report)
        for common in self.open.values():
            if key in common.reports:
                return self._again(common, key, report)
        entities = self._entities(report)
        for common in self.open.values() if report.state != "resolved" else ():
            if common.entity in entities and report.occurred_at - common.news_at <= self._group_s:
                return self._joined(common, key, report)
        if key not in self.waiting and len(self.waiting) >= MOST_REPORTS:
            del self.waiting[next(iter(self.waiting))]
            self.evicted += 1
        self.waiting[key] = report
        return self._opened(report, entities)

    def _again(self, common: Common, key: Key, report: IncidentReported) -> list[Told]:
        before = common.reports[key]
        common.reports[key] = report
        if common.is_over:
            return self._over(common)
        if report.state == before.state and report.severity == before.severity:
            return []
        common.news_at = report.occurred_at
        return [(IncidentUpdated, {**common.fields(), "reason": f"{report.incident} of {report.reporter} is {report.state}"[:500]})]

    def _over(self, common: Common) -> list[Told]:
        del self.open[common.name]
        ended = max(one.ended_at or one.occurred_at for one in common.reports.values())
        return [(IncidentResolved, {**common.fields(), "ended_at": ended})]

    def _joined(self, common: Common, key: Key, report: IncidentReported) -> list[Told]:
        if len(common.reports) >= MOST_REPORTS:
            self.evicted += 1
            return []
        self.waiting.pop(key, None)
        common.reports[key] = report
        common.news_at = report.occurred_at
        return [(IncidentUpdated, {**common.fields(), "reason": f"{report.reporter} sees it, too"})]

    def _opened(self, report: IncidentReported, entities: list[Entity]) -> list[Told]:
        for entity in entities:
            together = [one for one in self.waiting.values() if abs(one.since - report.since) <= self._group_s and entity in self._entities(one)]
            if len({one.reporter for one in together}) >= FEWEST_SCOPES:
                common = Common(self._name(), entity)
                common.reports = {_key(one): one for one in together}
                common.news_at = report.occurred_at
                for one in together:
                    del self.waiting[_key(one)]
                self.open[common.name] = common
                return [(IncidentOpened, common.fields()), *(self._over(common) if common.is_over else ())]
        return []

    def _entities(self, report: IncidentReported) -> list[Entity]:
        """What a report is of: hosts, then tracks, then providers."""
        providers = dict.fromkeys(provider for track in report.tracks if (provider := self._relations.provider(track)) is not None)
        tracks = [Entity("track", track) for track in report.tracks]
        return [*(Entity("host", host) for host in report.hosts), *tracks, *(Entity("provider", provider) for provider in providers)]

    def acknowledge(self, incident: str | None, by: str) -> list[Told]:
        """Somebody looks after one of these."""
        common = self.open.get(incident or "")
        if common is None:
            return []
        common.acknowledged_by = by
        return [(IncidentUpdated, {**common.fields(), "reason": f"acknowledged by {by}"})]

    def status(self) -> list[dict[str, Any]]:
        """The open ones as plain values."""
        return [fields | {"suspects": [one.model_dump() for one in fields["suspects"]]} for fields in (common.fields() for common in self.open.values())]

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "open": [common.snapshot() for common in self.open.values()],
            "waiting": [report.model_dump() for report in self.waiting.values()],
            "evicted": self.evicted,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what left this snapshot."""
        commons = [Common.restore(one) for one in state["open"]]
        self.open = {common.name: common for common in commons}
        self.waiting = {_key(report): report for report in map(IncidentReported.model_validate, state["waiting"])}
        self.evicted = state["evicted"]


def merged(reported: Iterable[Iterable[Suspect]]) -> tuple[Suspect, ...]:
    """The suspects of several scopes, the five strongest: a score is the mean over all scopes, so that what all of them suspect goes before what one does."""
    rows = [list(suspects) for suspects in reported]
    sums: dict[tuple[str, str], float] = {}
    best: dict[tuple[str, str], Suspect] = {}
    for suspect in (one for suspects in rows for one in suspects):
        key = (suspect.kind, suspect.name)
        sums[key] = sums.get(key, 0.0) + suspect.score / len(rows)
        if key not in best or suspect.score > best[key].score:
            best[key] = suspect
    found = [suspect.model_copy(update={"score": round(min(sums[key], 1.0), 6)}) for key, suspect in best.items()]
    return tuple(sorted(found, key=lambda one: (-one.score, one.kind, one.name))[:MOST_SUSPECTS])


def _key(report: IncidentReported) -> Key:
    return report.reporter, report.incident


def _names(reported: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(sorted({name for names in reported for name in names}))[:MOST_NAMES]


__all__ = ["IncidentReports", "merged"]
