"""The error budget of one objective: what is left of it, how fast it goes, and whether somebody must know."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from pointsman.schemas import AlertRaised, AlertResolved, Burn, Objective, ObjectiveReported, Severity

from .burn_counts import Counts
from .burn_rules import EVIDENCE, HOUR_S, Rule, evidence, rules, scale
from .findings import Told

SEVERITIES: tuple[Severity, ...] = ("critical", "warning")
REPORT_S = 300.0
HALF_HOUR_S = 1800.0


@dataclass(slots=True)
class Standing:
    """An alert that stands, by which of the rules, and since when the budget has been going like that."""

    rule: int
    since: float


class ErrorBudget:
    """One objective: `count` takes every request that it is about, `advance` the time.

    An alert begins with a broken request, and needs more than a factor: so many broken requests since the last alert was over as a stream that keeps its
    objective exactly has with a probability of 10^-9, for a warning 10^-6 (`evidence`). So one failure of few requests tells nobody, and nothing is told twice.
    """

    __slots__ = ("_allowed", "_counts", "_report_s", "_reported_at", "_rules", "_since", "_standing", "_told", "_window_s", "objective")

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._allowed = 1.0 - objective.share
        self._rules = rules(objective)
        self._since: float | None = None
        self._told = (0, 0)
        self._standing: dict[Severity, Standing] = {}
        self._reported_at = 0.0
        self._window_s = objective.window_s
        self._counts = Counts(self._window_s)
        self._report_s = max(1.0, min(REPORT_S, self._window_s / 12.0))

    # what happens

    def count(self, now: float, *, is_broken: bool) -> list[Told]:
        """A request ends."""
        self._since = now if self._since is None else self._since
        self._counts.advance(now)
        self._counts.add(is_broken=is_broken)
        said = [told for severity in SEVERITIES for told in self._judge(severity, now, is_broken=is_broken)] if is_broken or self._standing else []
        if said or now - self._reported_at >= self._report_s:
            self._reported_at = now
            said.append((ObjectiveReported, self.fields(now)))
        return said

    def advance(self, now: float) -> list[Told]:
        """Time passes, which ends alerts and begins none."""
        if not self._standing:
            return []
        self._counts.advance(now)
        said = [told for severity in SEVERITIES for told in self._resolved(severity, now)]
        if said:
            self._reported_at = now
            said.append((ObjectiveReported, self.fields(now)))
        return said

    def withdrawn(self, now: float) -> list[Told]:
        """The objective is one no longer: what stands is over."""
        return [(AlertResolved, self._alert(severity, now)) for severity in SEVERITIES if severity in self._standing]

    @property
    def is_burning(self) -> bool:
        """Whether an alert stands."""
        return bool(self._standing)

    # alerts

    def _judge(self, severity: Severity, now: float, *, is_broken: bool) -> Iterator[Told]:
        if severity in self._standing:
            yield from self._resolved(severity, now)
        elif is_broken:
            yield from self._raised(severity, now)

    def _raised(self, severity: Severity, now: float) -> Iterator[Told]:
        if "critical" in self._standing:
            return
        for number, rule in enumerate(self._rules):
            if rule.severity == severity and self._is_met(rule):
                self._standing[severity] = Standing(number, self._onset(rule, now))
                yield AlertRaised, self._alert(severity, now)
                return

    def _is_met(self, rule: Rule) -> bool:
        requests, broken = self._counts.over(rule.long_s)
        if self._rate(requests, broken) < rule.factor or self._rate(*self._counts.over(rule.short_s)) < rule.factor:
            return False
        news = min(requests, self._counts.requests - self._told[0]), min(broken, self._counts.broken - self._told[1])
        return evidence(*news, self._allowed) >= EVIDENCE[rule.severity]

    def _resolved(self, severity: Severity, now: float) -> Iterator[Told]:
        """Where nothing was asked for of late it stands, until the long window is empty, too."""
        standing = self._standing.get(severity)
        if standing is None:
            return
        rule = self._rules[standing.rule]
        requests, broken = self._counts.over(rule.until_s)
        if (self._rate(requests, broken) < rule.until) if requests else not self._counts.over(rule.long_s)[0]:
            fields = self._alert(severity, now)
            del self._standing[severity]
            self._told = (self._counts.requests, self._counts.broken)
            yield AlertResolved, fields

    def _rate(self, requests: int, broken: int) -> float:
        return broken / (requests * self._allowed) if requests else 0.0

    def _onset(self, rule: Rule, now: float) -> float:
        """Since when it has been like that: from where on the most was broken beyond what the factor allows; to 15 s in the last half hour."""
        best, since = float("-inf"), now
        for seconds in dict.fromkeys((min(HALF_HOUR_S * scale(self._window_s), rule.long_s), rule.long_s)):
            ring, cells = self._counts.ring(seconds)
            for back in range(cells + 1):
                requests, broken = ring.before(back)
                beyond = self._counts.broken - broken - rule.factor * self._allowed * (self._counts.requests - requests)
                if beyond > best:
                    best, since = beyond, (ring.at - back) * ring.width
        return round(min(max(since, self._since or now), now), 6)

    def _alert(self, severity: Severity, now: float) -> dict[str, Any]:
        standing, name = self._standing[severity], self.objective.name
        rule = self._rules[standing.rule]
        return {
            "fingerprint": f"{name}/slo_burn/{severity}",
            "kind": "slo_burn",
            "severity": severity,
            "subject": name,
            "observed": round(self._rate(*self._counts.over(rule.long_s)), 6),
            "expected": rule.factor,
            "since": standing.since,
            "metric": self.objective.metric,
            "track": self.objective.track,
            "budget_left": round(self.left(now), 6),
            "spent_at": self.spent_at(now, rule.long_s),
        }

    # the budget

    def _budget(self, now: float) -> float:
        """How many requests may break it in a whole window: of those that it had, or will have where it began less than a window ago."""
        age = now - (now if self._since is None else self._since)
        requests, _ = self._counts.whole()
        if not requests:
            return 0.0
        return self._allowed * requests * (max(1.0, self._window_s / age) if age > 0.0 else float("inf"))

    def left(self, now: float) -> float:
        """The share of the error budget that is left; below 0 it is overspent."""
        budget = self._budget(now)
        return 1.0 - self._counts.whole()[1] / budget if budget > 0.0 else 1.0

    def spent_at(self, now: float, seconds: float) -> float | None:
        """When nothing is left at the pace of the last so many seconds, what leaves the window given back; None where that is never, `now` where it is so."""
        budget, age = self._budget(now), min(seconds, now - (now if self._since is None else self._since))
        if self._counts.whole()[1] >= budget:
            return now if budget else None
        broken = self._counts.over(seconds)[1]
        if not broken or age <= 0.0:
            return None
        pace = broken / age
        for until, held in self._counts.leaving():
            moment = now + (budget - held) / pace
            if moment <= until:
                return round(moment, 6)
        return None

    def fields(self, now: float) -> dict[str, Any]:
        """What is reported of it."""
        requests, broken = self._counts.whole()
        return {
            "objective": self.objective.name,
            "metric": self.objective.metric,
            "bound": self.objective.bound,
            "share": self.objective.share,
            "window_s": self._window_s,
            "track": self.objective.track,
            "category": self.objective.category,
            "since": now if self._since is None else self._since,
            "requests": requests,
            "broken": broken,
            "budget_left": round(self.left(now), 6),
            "burns": tuple(self._burn(seconds) for seconds in sorted({seconds for rule in self._rules for seconds in (rule.long_s, rule.short_s)})),
            "spent_at": self.spent_at(now, HOUR_S * scale(self._window_s)),
        }

    def _burn(self, seconds: float) -> Burn:
        requests, broken = self._counts.over(seconds)
        return Burn(window_s=round(seconds, 6), rate=round(self._rate(requests, broken), 6), requests=requests, broken=broken)

    # the state

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        standing = [[severity, one.rule, one.since] for severity, one in self._standing.items()]
        return [self.objective.model_dump(), self._since, list(self._told), standing, self._reported_at, self._counts.snapshot()]

    @classmethod
    def restore(cls, state: list[Any]) -> Self:
        """The budget that left this snapshot."""
        budget = cls(Objective.model_validate(state[0]))
        budget._since, budget._told, budget._reported_at = state[1], (state[2][0], state[2][1]), state[4]
        budget._standing = {severity: Standing(rule, since) for severity, rule, since in state[3]}
        budget._counts.restore(state[5])
        return budget


__all__ = ["SEVERITIES", "ErrorBudget"]
