"""Explain: which policy decided a request, found by folding a recording up to it or in an embedded journal, and what it came from."""

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice, takewhile
from typing import Any, Literal, Protocol

from pointsman.models.context import Context
from pointsman.models.counterfactual import Traffic
from pointsman.models.decision import Evaluator
from pointsman.models.explanation import Doubts, Explained, doubts
from pointsman.models.explanation import explain as taken_apart
from pointsman.schemas import (
    Event,
    EventRejected,
    OptimizationConfig,
    PolicyPublished,
    RecommendationIssued,
    RequestCompleted,
    RequestStarted,
    decode,
    decode_output,
)

from .core import Core
from .explain_text import render
from .intake import accept
from .replay import source_lines
from .scope import Scope

MOST_POLICIES = 256
MOST_IDS = 50_000
RECENT_EVENTS = 10_000


class Recent(Protocol):
    """The newest of a journal: of an embedded one, or of a topic."""

    def newest(self, scope: str) -> Iterator[tuple[int, bytes]]:
        """Positions and events of a scope, the newest first."""
        ...

    def newest_outputs(self, position: int) -> Iterator[tuple[int, bytes]]:
        """Positions of the causes and outputs up to a position, the newest first."""
        ...


class ExplainError(LookupError):
    """A request that cannot be explained; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One request, who decided it, what was known of it, and the policy's view of it."""

    scope: str
    request_id: str
    occurred_at: float
    track: str | None
    propensity: float | None
    decided_by: Literal["pointsman", "another policy", "no policy yet"]
    decided_version: int | None
    notes: list[str]
    request: dict[str, Any]
    explained: Explained

    def json(self) -> str:
        """The same as a JSON document."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def __str__(self) -> str:
        return render(asdict(self))


@dataclass(frozen=True, slots=True)
class _Decided:
    """The start of a request with the recommendation that it asked for, if it did, and what its scope knew."""

    start: RequestStarted
    recommendation: RecommendationIssued | None
    context: Context
    running: dict[str, int]
    traffic: Traffic

    @property
    def version(self) -> int | None:
        """The policy that decided, as the events say; None where another policy did."""
        return self.recommendation.policy_version if self.recommendation is not None else self.start.policy_version


def explain_recording(source: str, request_id: str, *, config: OptimizationConfig | None = None, scope: str | None = None) -> Explanation:
    """Fold a source up to a request and explain it; raises `ExplainError` where it is not there, or in several scopes."""
    target = _find(source, request_id, scope)
    core = Core(config)
    policies: dict[int, tuple[PolicyPublished, Doubts]] = {}
    before: PolicyPublished | None = None
    for place, line in source_lines(source):
        event = accept(line, place=place)
        if isinstance(event, EventRejected) or event.scope != target.scope:
            continue
        if event.event_id != target.event_id or not isinstance(event, RequestStarted):
            outputs = core.step(event)
            _note(policies, outputs, core, event.scope)
            before = next((output for output in reversed(outputs) if isinstance(output, PolicyPublished)), before)
            continue
        state = core.peek(event.scope)
        context, sample = state.routing.context(event), state.routing.learner.sample
        running, traffic = state.running(), (sample.get(), sample.in_flight())
        outputs = core.step(event)
        refusal = next((output.reason for output in outputs if isinstance(output, EventRejected)), None)
        if refusal is not None:
            raise ExplainError(f"{source}: the start of {request_id!r} is refused under this configuration: {refusal.message}")
        _note(policies, outputs, core, event.scope)
        decided = _Decided(event, _recommendation(outputs, request_id), context, running, traffic)
        named = policies.get(decided.version) if decided.version else None
        shown = named or (policies.get(before.version) if before is not None else None) or next(iter(policies.values()), None)
        if shown is None:
            raise ExplainError(f"{source}: no policy was published by {request_id!r}: configure tracks with --config")
        return _explanation(decided, shown[0], shown[1])
    raise ExplainError(f"{source}: changed while it was read: explain {request_id!r} again")


def _find(source: str, request_id: str, scope: str | None) -> RequestStarted:
    """The start that the decision of a request was logged with: the first that asks or carries a propensity, else the first."""
    found: dict[str, RequestStarted] = {}
    others: dict[str, None] = {}
    for place, line in source_lines(source):
        event = accept(line, place=place)
        if isinstance(event, RequestStarted) and scope in (None, event.scope):
            if event.request_id == request_id:
                first = found.setdefault(event.scope, event)
                if not _is_decision(first) and _is_decision(event):
                    found[event.scope] = event
            else:
                others.pop(event.request_id, None)
                others[event.request_id] = None
                if len(others) > MOST_IDS:
                    del others[next(iter(others))]
    if len(found) > 1:
        raise ExplainError(f"{source}: {request_id!r} is in several scopes ({', '.join(found)}): choose one with --scope")
    if not found:
        raise ExplainError(f"{source}: {_missing(request_id, scope, others)}")
    return next(iter(found.values()))


def _is_decision(start: RequestStarted) -> bool:
    return start.track is None or start.propensity is not None


def _missing(request_id: str, scope: str | None, others: Iterable[str]) -> str:
    where = f" in scope {scope!r}" if scope is not None else ""
    known = list(others)
    near = difflib.get_close_matches(request_id, known, cutoff=0.5) or known[-3:]
    said = f"the nearest are {', '.join(near)}" if near else "there is no request.started in it"
    return f"no request {request_id!r}{where}: {said}"


def _note(policies: dict[int, tuple[PolicyPublished, Doubts]], outputs: list[Event], core: Core, scope: str) -> None:
    """Keep what was published with what the learner knew then; the oldest goes first."""
    for output in outputs:
        if isinstance(output, PolicyPublished):
            policies[output.version] = output, doubts(core.scope(scope).routing.learner)
            if len(policies) > MOST_POLICIES:
                del policies[next(iter(policies))]


def _recommendation(outputs: Iterable[Event], request_id: str) -> RecommendationIssued | None:
    return next((output for output in outputs if isinstance(output, RecommendationIssued) and output.request_id == request_id), None)


def explain_recent(journal: Recent, state: Scope, request_id: str) -> Explanation:
    """Explain a request by the newest of a journal, without folding it again."""
    rows = list(islice(journal.newest(state.name), RECENT_EVENTS))[::-1]
    own = _starts(rows, request_id)
    if not own:
        said = _missing(request_id, state.name, dict.fromkeys(event.request_id for _, event in _starts(rows, "")))
        raise ExplainError(f"{said} (of the last {RECENT_EVENTS} events; `pointsman explain` reads all)")
    position, start = next(((place, event) for place, event in own if _is_decision(event)), own[0])
    own_outputs = takewhile(lambda row: row[0] == position, journal.newest_outputs(position))
    recommendation = _recommendation((decode_output(line) for _, line in own_outputs), request_id)
    previous = _previous(_starts([row for row in rows if row[0] < position], "", start.conversation_id), start) if start.conversation_id else None
    context = Context.of(start.input_tokens, start.max_output_tokens, start.category, start.sketch, start.attributes, previous)
    learner = state.routing.learner
    version = recommendation.policy_version if recommendation is not None else start.policy_version
    policy = _published(journal, state.name, position, version)
    if policy is None:
        raise ExplainError(f"no policy was published in scope {state.name!r} by request {request_id!r}")
    loaded = [arm.track for arm in policy.arms if arm.load is not None]
    flying = _running([row for row in rows if row[0] < position], start, state.config.intervals.join_s) if loaded else {}
    decided = _Decided(start, recommendation, context, {track: flying.get(track, 0) for track in loaded}, (learner.sample.get(), learner.sample.in_flight()))
    return _explanation(decided, policy, doubts(learner))


def _starts(rows: Iterable[tuple[int, bytes]], request_id: str, conversation_id: str | None = None) -> list[tuple[int, RequestStarted]]:
    """The starts of a request, or of a conversation, or all; only lines that may be one are decoded."""
    words = [json.dumps(name, ensure_ascii=False).encode("utf-8", "replace") for name in (request_id, conversation_id) if name]
    likely = ((place, decode(line)) for place, line in rows if b'"request.started/1"' in line and all(word in line for word in words))
    return [
        (place, event)
        for place, event in likely
        if isinstance(event, RequestStarted) and request_id in ("", event.request_id) and conversation_id in (None, event.conversation_id)
    ]


def _running(rows: Iterable[tuple[int, bytes]], start: RequestStarted, wait: float) -> dict[str, int]:
    """How many requests were in flight on each track when a request left, of those that left at most `wait` seconds before it."""
    flying: dict[tuple[str, str], float] = {}
    ended: set[tuple[str, str]] = set()
    for _, line in rows:
        event = decode(line) if b'"request.' in line else None
        if isinstance(event, RequestCompleted):
            ended.add((event.request_id, event.track))
            flying.pop((event.request_id, event.track), None)
        elif isinstance(event, RequestStarted) and event.track is not None and (event.request_id, event.track) not in ended:
            flying.setdefault((event.request_id, event.track), event.occurred_at)
    return Counter(track for (_, track), since in flying.items() if since + wait > start.occurred_at)


def _published(journal: Recent, scope: str, position: int, version: int | None) -> PolicyPublished | None:
    """The policy of that version; where there is none, the one in force before the start, else the one that it brought about."""
    last = None
    for cause, line in journal.newest_outputs(position):
        if b'"policy.published/1"' not in line:
            continue
        output = decode_output(line)
        if not isinstance(output, PolicyPublished) or output.scope != scope:
            continue
        if output.version == version:
            return output
        if last is None or last[0] == position:
            last = cause, output
        if cause < position and (version is None or output.version < version):
            break
    return last[1] if last is not None else None


def _previous(earlier: list[tuple[int, RequestStarted]], start: RequestStarted) -> str | None:
    """The track that the conversation took last; a second copy of a request does not count."""
    own = [event for _, event in earlier if event.track is not None and event.request_id != start.request_id]
    return next((event.track for event in own if event.request_id == own[-1].request_id), None)


def _explanation(decided: _Decided, policy: PolicyPublished, sure: Doubts) -> Explanation:
    start, recommendation, version = decided.start, decided.recommendation, decided.version
    taken = recommendation.track if recommendation is not None else start.track
    said = recommendation.propensity if recommendation is not None else start.propensity
    context = _context(decided, policy, taken, said)
    explained = taken_apart(policy, context, start.scope, start.request_id, taken, sure, decided.traffic)
    by: Literal["pointsman", "another policy", "no policy yet"] = "another policy" if version is None else "pointsman" if version else "no policy yet"
    return Explanation(
        scope=start.scope,
        request_id=start.request_id,
        occurred_at=start.occurred_at,
        track=taken,
        propensity=said,
        decided_by=by,
        decided_version=version,
        notes=_notes(by, version, taken, said, explained),
        request=_request(start, decided.context),
        explained=explained,
    )


def _context(decided: _Decided, policy: PolicyPublished, taken: str | None, said: float | None) -> Context:
    """The context that gives the logged probability: with what was in flight, as the optimizer decides, or with what the policy says of it, as routers do."""
    flying = replace(decided.context, running=tuple(decided.running.items()))
    if decided.recommendation is not None:
        return decided.context
    for context in (flying, decided.context):
        if Evaluator(policy).propensities(context)[0].get(taken or "") == said:
            return context
    return flying


def _notes(by: str, version: int | None, taken: str | None, said: float | None, explained: Explained) -> list[str]:
    """What a reader must know before believing the figures."""
    shown = f"policy {explained.policy_version}"
    mine = next((track.propensity for track in explained.tracks if track.track == taken), None)
    notes = []
    if by == "another policy":
        how = f" with probability {said:.4g}" if said is not None else ""
        notes.append(f"another policy took {taken}{how}; {shown}, in force at that moment, is shown and would have drawn {explained.drawn}")
    elif by == "no policy yet":
        notes.append(f"no policy was published yet and the first track was taken; {shown}, the first, is shown")
    elif version != explained.policy_version:
        notes.append(f"policy {version} decided, which this recording and configuration do not give; {shown}, in force when the request started, is shown")
    elif mine is None:
        notes.append(f"{taken} was taken, which {shown} does not have: another configuration decided")
    elif said is not None and abs(said - mine) > 1e-9:
        load = "it was asked at another load, or " if any(track.running is not None for track in explained.tracks) else ""
        notes.append(f"the request was logged with probability {said:.6g}, {shown} gives {mine:.6g}: {load}another configuration or version decided")
    elif explained.drawn != taken:
        notes.append(f"the draw gives {explained.drawn}, but {taken} was taken")
    elif taken != explained.best and explained.mode != "bypass":
        notes.append(f"{taken} was explored: {explained.best} leads")
    if explained.mode == "bypass":
        notes.append("mode bypass: every request takes the default track, whatever its utility")
    elif explained.mode == "observe":
        notes.append("mode observe: the router was not asked to follow")
    return notes


def _request(start: RequestStarted, context: Context) -> dict[str, Any]:
    """What was known of the request, in names."""
    sketch = start.sketch
    attributes: Mapping[str, Any] = start.attributes or {}
    return {
        "input_tokens": context.input_tokens,
        "max_output_tokens": context.max_output_tokens,
        "category": context.category,
        "script": sketch.script if sketch is not None else None,
        "language": sketch.language if sketch is not None else None,
        "conversation_track": context.previous,
        "attributes": dict(attributes),
    }


__all__ = ["ExplainError", "Explanation", "explain_recent", "explain_recording"]
