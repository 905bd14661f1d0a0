"""The core: `step(event) -> list[event]`, one state per scope, and nothing else.

Both drivers, live and replay, call this and only this; it knows neither files nor brokers.
"""

from collections.abc import Mapping
from typing import Any

from pointsman.models.context import Context
from pointsman.models.decision import Decision
from pointsman.schemas import AnyInput, Event, Expectation, OptimizationConfig, Reason

from . import snapshot
from .predictions import listing, refusal
from .scope import Scope

RECENT_S = 300.0


class Core:
    """A deterministic fold of input events into output events, scope by scope; raises `ValueError` for models that can't be used."""

    def __init__(self, config: OptimizationConfig | None = None) -> None:
        self.config = config or OptimizationConfig()
        unusable = refusal(self.config)
        if unusable is not None:
            raise ValueError(unusable.message)
        self._scopes: dict[str, Scope] = {}

    def step(self, event: AnyInput) -> list[Event]:
        """Fold one event; what it says in return, in order. An `EventRejected` among it is for the dead letters."""
        scope = self._scopes.get(event.scope)
        if scope is None:
            scope = self._scopes[event.scope] = Scope(event.scope, self.config)
        return scope.apply(event)

    def refusal(self, event: AnyInput) -> Reason | None:
        """Why this event would be refused now, if so; reads only."""
        return self.peek(event.scope).refusal(event)

    def next_due(self, scope: str) -> float | None:
        """When a scope wants a tick if nothing else moves its clock."""
        state = self._scopes.get(scope)
        return state.next_due() if state else None

    def is_due(self, scope: str, now: float) -> bool:
        """Whether a live shell should tick a scope: something is due, and its last event is at most 5 minutes old.

        Older events are a recording played back, which moves its own clock. A scope with scaling advice is due every minute, so that its own ticks keep it
        within the five minutes; after a longer stop of the shell its next event takes it up again.
        """
        due = self.next_due(scope)
        return due is not None and due <= now and now - self.scope(scope).clock <= RECENT_S

    def scopes(self) -> list[str]:
        """The scopes seen, in the order of their first event."""
        return list(self._scopes)

    def __contains__(self, scope: str) -> bool:
        return scope in self._scopes

    def scope(self, name: str) -> Scope:
        """The state of one scope; raises `LookupError` where it has had no event."""
        try:
            return self._scopes[name]
        except KeyError:
            raise LookupError(f"scope {name!r} has had no event yet") from None

    def decide(self, scope: str, context: Context, request_id: str) -> Decision:
        """The draw of one request under the policy in force; reads only. Before any event the first track is taken."""
        state = self._scopes.get(scope)
        if state is not None and state.policy is not None:
            return state.decide(context, request_id)
        names = list(state.tracks) if state else [track.name for track in self.config.tracks]
        if not names:
            raise LookupError(f"no track is known in scope {scope!r}: configure tracks, or report a request first")
        return Decision(names[0], 1.0, {name: float(name == names[0]) for name in names}, dict.fromkeys(names, 0.0), 0)

    def expectation(self, scope: str, track: str, context: Context) -> Expectation:
        """What is expected of a request on this track now; reads only."""
        return self.peek(scope).expectation(track, context)

    def snapshot(self, scope: str) -> dict[str, bytes]:
        """The state of a scope in named parts, each under 256 KB; the same state gives the same bytes."""
        return snapshot.take(self.scope(scope), self.config)

    def restore(self, scope: str, parts: Mapping[str, bytes]) -> bool:
        """Take up a snapshot; False, and nothing changed, where another version or configuration wrote it."""
        state = snapshot.restore(scope, parts, self.config)
        if state is None:
            return False
        self._scopes[scope] = state
        return True

    def status(self, scope: str) -> dict[str, Any]:
        """What a person wants to know of a scope, as plain values."""
        state = self.scope(scope)
        return {
            "scope": scope,
            "clock": state.clock,
            "events": state.sequence,
            "duplicates": state.duplicates,
            "in_flight": len(state.join.flying),
            "strategy": state.strategy,
            "mode": state.config.mode,
            "policy_version": state.routing.version,
            "alerts": state.constraints.standing(),
            "budgets": state.routing.learner.budgets(state.clock),
            "objectives": state.objectives(),
            "hedged_share": state.routing.hedges.realised(),
            "workload": state.workload.status(),
            "signals": state.signals.status(),
            "tracks": {
                name: {
                    "completed": track.completed,
                    "in_flight": track.in_flight,
                    "max_concurrency": state.limits.get(name),
                    "allocated": state.limits.allocated.get(name),
                    "recent_success": round(track.recent_success_at(state.clock), 6),
                    "health": state.routing.health.state(name, state.clock),
                    "timeout_coverage": track.timeouts["latency_ms"].coverage(),
                    "expected": state.expectation(name, Context(500, 500)).model_dump(exclude_none=True),
                    "learners": track.outlook.learners,
                    "rungs": {metric: predictor.champion for metric, predictor in track.outlook.predictors.items()},
                    "models": listing(track),
                }
                for name, track in state.tracks.items()
            },
        }

    def peek(self, name: str) -> Scope:
        """The state of a scope, or what it would start with; reads only."""
        return self._scopes.get(name) or Scope(name, self.config)
