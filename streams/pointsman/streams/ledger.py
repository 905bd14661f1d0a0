"""The ledger of a shadow policy: for the last logged choices what the shadow would have done, and what came of what was done."""

import base64
import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.models.context import SIZE, Vector
from pointsman.schemas import AnyInput, ConfigChanged, OptimizationConfig, QualityAssessed, RequestCompleted, RequestStarted, encode

from .candidates import Candidate, one_hot
from .logged import METRICS, Outcome, Recording, add_utilities, in_order, outcome_of

MEMORY = 2000
MOST_PENDING = 4096
MOST_EARLY = 1024
CHUNK = 100


@dataclass(slots=True)
class Choice:
    """A logged choice: its propensity, the shadow's probabilities before it, its features, and what came of it; None while it runs."""

    number: int
    request_id: str
    track: str
    propensity: float
    target: dict[str, float]
    x: NDArray[np.float32]
    started_at: float
    input_tokens: int | None
    judged: float | None = None
    outcome: Outcome | None = None
    is_lost: bool = False

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        packed = base64.b64encode(self.x.astype("<f4").tobytes()).decode("ascii")
        known = [self.number, self.request_id, self.track, self.propensity, self.target, packed, self.started_at, self.input_tokens]
        return [*known, self.judged, self.outcome, self.is_lost]

    @classmethod
    def restore(cls, state: list[Any]) -> "Choice":
        """The choice that left this snapshot."""
        number, request_id, track, propensity, target, packed, started_at, input_tokens, judged, outcome, is_lost = state
        x = np.frombuffer(base64.b64decode(packed), "<f4").astype(np.float32)
        if len(x) != SIZE:
            raise ValueError("features of another version")
        return cls(number, request_id, track, propensity, target, x, started_at, input_tokens, judged, outcome, is_lost)


@dataclass(frozen=True, slots=True)
class View:
    """What a ledger holds, ready for evaluation: the choices with the logged policy and the shadow; None of them where there are fewer than two."""

    requests: int
    left_out: dict[str, int]
    config: OptimizationConfig
    recording: tuple[Recording, Candidate, Candidate] | None


@dataclass(slots=True)
class Ledger:
    """One scope's. `config` is the active one: its strategy is the measure, its prices and `join_s` hold. Every map has a cap."""

    config: OptimizationConfig
    clock: float = 0.0
    numbered: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    pending: dict[str, Choice] = field(default_factory=dict)
    done: dict[str, Choice] = field(default_factory=dict)
    early: dict[tuple[str, str], RequestCompleted] = field(default_factory=dict)

    def is_choice(self, event: AnyInput) -> bool:
        """Whether this is the start with which the choice of its request is logged: the first that carries a propensity."""
        return isinstance(event, RequestStarted) and event.track is not None and event.propensity is not None and not self._knows(event.request_id)

    def observe(self, event: AnyInput, target: Mapping[str, float] | None, x: Vector | None) -> None:
        """Take in one event; a choice comes with what the shadow would have done, before it saw the event."""
        self.clock = max(self.clock, event.occurred_at)
        if isinstance(event, RequestStarted):
            self._started(event, target, x)
        elif isinstance(event, RequestCompleted):
            self._completed(event)
        elif isinstance(event, QualityAssessed):
            self._assessed(event)
        elif isinstance(event, ConfigChanged):
            self.config = event.config
        self._expire()

    def _knows(self, request_id: str) -> bool:
        return request_id in self.pending or request_id in self.done

    def _started(self, event: RequestStarted, target: Mapping[str, float] | None, x: Vector | None) -> None:
        if event.track is None or event.propensity is None or target is None or x is None:
            if not self._knows(event.request_id):
                self.left_out["without propensity" if event.propensity is None else "before the shadow knew a track"] += 1
            return
        given = {track: share for track, share in target.items() if share > 0.0}
        features = x.astype(np.float32)
        choice = Choice(self.numbered, event.request_id, event.track, event.propensity, given, features, event.occurred_at, event.input_tokens)
        self.numbered += 1
        if len(self.pending) >= MOST_PENDING:
            del self.pending[next(iter(self.pending))]
            self.left_out["too many at once"] += 1
        self.pending[event.request_id] = choice
        completion = self.early.pop((event.request_id, event.track), None)
        if completion is not None:
            self._completed(completion)

    def _completed(self, event: RequestCompleted) -> None:
        choice = self.pending.get(event.request_id)
        if choice is None or choice.track != event.track:
            choice = self.done.get(event.request_id)
            if choice is None:
                if len(self.early) >= MOST_EARLY:
                    del self.early[next(iter(self.early))]
                self.early.setdefault((event.request_id, event.track), event)
            if choice is None or choice.track != event.track or not choice.is_lost:
                return
        self.pending.pop(event.request_id, None)
        choice.is_lost = False
        if event.is_excused:
            self.left_out["hung up by the client"] += 1
            self._keep(choice, {})
        else:
            self._keep(choice, outcome_of(event, choice.input_tokens, choice.judged, self.config))

    def _assessed(self, event: QualityAssessed) -> None:
        choice = self.pending.get(event.request_id) or self.done.get(event.request_id)
        if choice is not None and choice.track == event.track:
            choice.judged = event.score
            if choice.outcome and not choice.is_lost:
                choice.outcome["quality"] = event.score

    def _expire(self) -> None:
        """What has no completion in time has failed."""
        while self.pending:
            request_id, choice = next(iter(self.pending.items()))
            if choice.started_at + self.config.intervals.join_s >= self.clock:
                return
            del self.pending[request_id]
            choice.is_lost = True
            self._keep(choice, {"success": 0.0})

    def _keep(self, choice: Choice, outcome: Outcome) -> None:
        choice.outcome = outcome
        if choice.request_id not in self.done and len(self.done) >= MEMORY:
            del self.done[next(iter(self.done))]
        self.done[choice.request_id] = choice

    # what it says

    def view(self) -> "View":
        """A copy of what is remembered, to be judged while more is taken in."""
        running = Counter({"still running": len(self.pending)} if self.pending else {})
        return View(self.numbered, dict(self.left_out + running), self.config, self._recording())

    def _recording(self) -> tuple[Recording, Candidate, Candidate] | None:
        rows = sorted((choice for choice in self.done.values() if choice.outcome), key=lambda choice: choice.number)
        if len(rows) < 2:
            return None
        found = [dict(choice.outcome or {}) for choice in rows]
        add_utilities(found, self.config)
        tracks = in_order(dict.fromkeys(choice.track for choice in rows), self.config)
        outcomes = {metric: np.full((len(rows), len(tracks)), np.nan) for metric in METRICS}
        target = np.zeros((len(rows), len(tracks)))
        elsewhere: dict[str, float] = {}
        for row, (choice, outcome) in enumerate(zip(rows, found, strict=True)):
            for metric, value in outcome.items():
                outcomes[metric][row, tracks.index(choice.track)] = value
            for track, share in choice.target.items():
                if track in tracks:
                    target[row, tracks.index(track)] = share
                else:
                    elsewhere[track] = elsewhere.get(track, 0.0) + share / len(rows)
        whole = target.sum(axis=1, keepdims=True)
        np.divide(target, whole, out=target, where=whole > 0.0)
        chosen = np.array([tracks.index(choice.track) for choice in rows], dtype=np.int64)
        recording = Recording(
            events=[],
            requests=[],
            tracks=tracks,
            config=self.config,
            left_out={},
            is_full=False,
            features=np.array([choice.x for choice in rows], dtype=np.float64),
            chosen=chosen,
            propensity=np.array([choice.propensity for choice in rows]),
            outcomes=outcomes,
        )
        return recording, Candidate("logged", one_hot(chosen, len(tracks)), {}, is_logged=True), Candidate("shadow", target, elsewhere)

    # state

    def snapshot(self) -> dict[str, bytes]:
        """The state in parts; finished choices are cut by their number, so that most parts stay the same."""
        parts: dict[str, Any] = {
            "head": [self.config.model_dump(), self.clock, self.numbered, dict(self.left_out), list(self.done)],
            "early": [json.loads(encode(event)) for event in self.early.values()],
        }
        for place, choice in enumerate(self.pending.values()):
            parts.setdefault(f"pending:{place // CHUNK}", []).append(choice.snapshot())
        for choice in sorted(self.done.values(), key=lambda choice: choice.number):
            parts.setdefault(f"done:{choice.number // CHUNK}", []).append(choice.snapshot())
        return {f"ledger:{name}": zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1) for name, state in parts.items()}

    @classmethod
    def restore(cls, parts: Mapping[str, bytes]) -> "Ledger":
        """The ledger that left this snapshot; raises `KeyError` or `ValueError` for another version's."""
        state = {name.removeprefix("ledger:"): json.loads(zlib.decompress(part)) for name, part in parts.items() if name.startswith("ledger:")}
        config, clock, numbered, left_out, order = state["head"]
        ledger = cls(OptimizationConfig.model_validate(config), clock, numbered, Counter(left_out))
        found: dict[str, dict[str, Choice]] = {"pending": {}, "done": {}}
        for name in sorted(state, key=lambda name: (name.partition(":")[0], int(name.partition(":")[2] or 0))):
            kind = name.partition(":")[0]
            if kind in found:
                found[kind] |= {choice.request_id: choice for choice in map(Choice.restore, state[name])}
        ledger.pending = found["pending"]
        ledger.done = {request_id: found["done"][request_id] for request_id in order}
        ledger.early = {(event.request_id, event.track): event for event in map(RequestCompleted.model_validate, state["early"])}
        return ledger


__all__ = ["MEMORY", "Choice", "Ledger", "View"]
