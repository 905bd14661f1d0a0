"""Shadow mode: a second policy folds the same events, decides nothing, and is judged by what came of the logged choices.

Before each logged start it is asked what it would do; it has then seen nothing later. Its estimated gain over what happened is doubly robust
(`models/off_policy.py`) over the last `ledger.MEMORY` choices, and draws nothing at random.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pointsman.models.context import Vector
from pointsman.models.off_policy import LEVEL, Estimate
from pointsman.schemas import AnyInput, ConfigChanged, EventRejected, OptimizationConfig, RequestStarted

from .core import Core
from .evaluate import Figures, judge, plain, shown
from .intake import accept
from .ledger import Ledger, View
from .replay import Placed, database_dead_letters, is_database, source_lines, stored_config


class ShadowError(ValueError):
    """A shadow that cannot be run or promoted as asked; the message says what and what to do."""


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What a shadow would have done better or worse than what happened, by the active strategy's utility and by each metric."""

    requests: int
    remembered: int
    left_out: dict[str, int]
    strategy: str
    level: float
    gain: Estimate | None
    effective_requests: float
    logged: dict[str, float]
    metrics: dict[str, Figures]
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, to nine digits, which every linear algebra library agrees on; an end that is not finite is None."""
        found: dict[str, Any] = _rounded(plain(asdict(self)))
        for figures in found["metrics"].values():
            del figures["truth"], figures["ips"]
        return found

    def __str__(self) -> str:
        left = ", ".join(f"{count} {why}" for why, count in self.left_out.items())
        lines = [f"{self.requests} logged choices, the last {self.remembered} remembered" + (f" (left out: {left})" if left else "")]
        if not self.metrics:
            return "\n".join([*lines, "nothing can be said yet: it takes two requests with a propensity and a completion"])
        head = ["", "logged", "shadow (DR)", "SNIPS", "gain", "effective"]
        rows = [head, *([name, *_cells(self.logged[name], figures)] for name, figures in self.metrics.items())]
        widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
        lines += [f"{self.level:.0%} intervals in brackets; utility: strategy {self.strategy}", ""]
        lines += ["  ".join([f"{row[0]:{widths[0]}}", *(f"{cell:>{size}}" for cell, size in zip(row[1:], widths[1:], strict=True))]) for row in rows]
        return "\n".join([*lines, "", self.verdict(), *(f"warning: {warning}" for warning in self.warnings)])

    def verdict(self) -> str:
        """What the interval of the gain says, in a sentence."""
        if self.gain is None:
            return "the shadow never agrees with the log: nothing can be said"
        if self.gain.lower > 0.0:
            return "the shadow is better: its gain in utility is above 0 within the interval"
        if self.gain.upper < 0.0:
            return "the shadow is worse: its gain in utility is below 0 within the interval"
        return "no difference is shown: the interval of the gain in utility holds 0"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _cells(logged: float, figures: Figures) -> list[str]:
    snips = "-" if figures.snips is None else f"{figures.snips.value:.4g}"
    return [f"{logged:.4g}", shown(figures.dr), snips, shown(figures.against_logged, sign="+"), f"{figures.effective_requests:.0f}"]


class Shadow:
    """A core with another configuration over the active one's events; `active` is the configuration that those began with."""

    def __init__(self, config: OptimizationConfig, active: OptimizationConfig | None = None) -> None:
        self.config = config
        self._active = active or config
        tracks = config.tracks or self._active.tracks
        # it publishes to nobody; `bypass` is a way to decide, and stays
        self._own = config.model_copy(update={"tracks": tracks, "mode": "bypass" if config.mode == "bypass" else "observe"})
        self.core = Core(self._own)
        self._ledgers: dict[str, Ledger] = {}

    def step(self, event: AnyInput) -> None:
        """Fold one event that the active policy accepted. The shadow keeps its own configuration; a change of the active one changes the measure."""
        ledger = self._ledgers.get(event.scope)
        if ledger is None:
            ledger = self._ledgers[event.scope] = Ledger(self._active)
        if isinstance(event, ConfigChanged):
            ledger.observe(event, None, None)
            return
        target = x = None
        if isinstance(event, RequestStarted):
            if ledger.is_choice(event):
                target, x = self._asked(event)
            # another policy's choices teach, but are not on this one's account
            event = event.model_copy(update={"policy_version": None})
        before = self.core.peek(event.scope).sequence
        self.core.step(event)
        if self.core.scope(event.scope).sequence > before:
            ledger.observe(event, target, x)

    def _asked(self, event: RequestStarted) -> tuple[Mapping[str, float] | None, Vector]:
        """What it would do with a request; nothing where it knows no track yet."""
        context = self.core.peek(event.scope).routing.context(event)
        try:
            return self.core.decide(event.scope, context, event.request_id).propensities, context.vector()
        except LookupError:
            return None, context.vector()

    def scopes(self) -> list[str]:
        """The scopes seen."""
        return list(self._ledgers)

    def view(self, scope: str) -> View:
        """What is remembered of one scope; raises `LookupError` where that has had no event."""
        if scope not in self._ledgers:
            raise LookupError(f"scope {scope!r} has had no event")
        return self._ledgers[scope].view()

    def report(self, scope: str) -> ShadowReport:
        """Its estimated gain in one scope."""
        return report(self.view(scope))

    def snapshot(self, scope: str) -> dict[str, bytes]:
        """The state of a scope in named parts, each under 256 KB."""
        parts = self.core.snapshot(scope) if scope in self.core else {}
        return parts | self._ledgers[scope].snapshot()

    def restore(self, scope: str, parts: Mapping[str, bytes]) -> bool:
        """Take up a snapshot; False, and nothing changed, where another version or configuration wrote it."""
        try:
            ledger = Ledger.restore(parts)
        except (KeyError, ValueError, TypeError, IndexError):
            return False
        if "head" in parts and not self.core.restore(scope, {name: part for name, part in parts.items() if not name.startswith("ledger:")}):
            return False
        self._ledgers[scope] = ledger
        return True

    def fingerprint(self) -> str:
        """What a snapshot must have been made by to be taken up."""
        return json.dumps([self._own.model_dump_json(), self._active.model_dump_json()])


def report(view: View) -> ShadowReport:
    """The figures of what a ledger remembers."""
    if view.recording is None:
        return ShadowReport(view.requests, 0, view.left_out, view.config.strategy, LEVEL, None, 0.0, {}, {}, [])
    recording, logged, shadow = view.recording
    past, verdict = judge(recording, [logged, shadow])
    utility = verdict.metrics.get("utility")
    return ShadowReport(
        requests=view.requests,
        remembered=len(recording.chosen),
        left_out=view.left_out,
        strategy=view.config.strategy,
        level=LEVEL,
        gain=utility.against_logged if utility is not None else None,
        effective_requests=utility.effective_requests if utility is not None else 0.0,
        logged={metric: figures.dr.value for metric, figures in past.metrics.items() if figures.dr is not None},
        metrics=verdict.metrics,
        warnings=verdict.warnings,
    )


def follow(shadow: Shadow, lines: Iterable[Placed], refused: frozenset[str] = frozenset()) -> None:
    """Fold `(place, line)` pairs, without those that the active policy refused."""
    for place, line in lines:
        event = accept(line, place=place) if place not in refused else None
        if event is not None and not isinstance(event, EventRejected):
            shadow.step(event)


def shadow_recording(source: str, config: OptimizationConfig, scope: str | None = None) -> dict[str, ShadowReport]:
    """Reports by scope of a configuration beside what a recording, a database or a journal partition logged."""
    shadow = Shadow(config, stored_config(source))
    path = Path(source)
    refused = refused_places(line for _, line in database_dead_letters(path)) if path.is_file() and is_database(path) else frozenset[str]()
    follow(shadow, source_lines(source), refused)
    scopes = shadow.scopes() if scope is None else [scope]
    if not scopes:
        raise ShadowError(f"{source}: no event in it: give a recording of requests, started and completed")
    return {name: shadow.report(name) for name in scopes}


def refused_places(letters: Iterable[bytes]) -> frozenset[str]:
    """The places of dead letters."""
    return frozenset(json.loads(line)["place"] for line in letters)


__all__ = ["Shadow", "ShadowError", "ShadowReport", "follow", "refused_places", "shadow_recording"]
