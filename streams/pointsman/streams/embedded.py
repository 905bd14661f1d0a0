"""The embedded optimizer: the core on an SQLite journal, in one process, for any number of threads."""

import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from pointsman.models.context import Context
from pointsman.models.sketch import describe
from pointsman.schemas import (
    AnyInput,
    Capacity,
    CapacityAllocated,
    ConfigChanged,
    Constraints,
    Event,
    EventRejected,
    Expectation,
    ForecastIssued,
    Mode,
    OptimizationConfig,
    PolicyPublished,
    QualityAssessed,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
    Sketch,
    Strategy,
    Tick,
    TrackAdvice,
    WindowClosed,
    dead_letter,
    decode,
    decode_output,
    encode,
)

from .capacity import Allocator, check, released, resumed
from .core import Core
from .emitted import Emitted, EmittedLog
from .explain import Explanation, explain_recent
from .intake import accept
from .journal import Journal
from .operator import Reporter
from .recall import recalled
from .shadow import Shadow, ShadowError, follow, refused_places, report

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Answer = TypeVar("Answer")
Follower = Callable[[Emitted, Sequence[tuple[Event, bytes]]], None]
Witness = Callable[[Event], object]
Bounds = tuple[Constraints, dict[str, dict[str, float]]]
SNAPSHOT_EVENTS = 10_000
SNAPSHOT_SHARE = 0.05
BATCH = 500


@dataclass(frozen=True, slots=True)
class Recommended:
    """The track to take for one request, with everything a router needs to act on it and to account for it."""

    track: str
    propensity: float
    timeout_ms: float
    ttft_timeout_ms: float
    expected: Expectation
    reasons: tuple[str, ...]
    policy_version: int
    recommendation_id: str
    input_tokens: int | None
    max_output_tokens: int | None
    category: str | None
    sketch: Sketch | None
    conversation_id: str | None
    attributes: Mapping[str, Any] | None
    strategy: Strategy
    mode: Mode
    tracks: tuple[TrackAdvice, ...]
    expires_at: float
    plan: Literal["single", "hedged", "parallel"] = "single"
    hedge_delay_ms: float | None = None
    second_track: str | None = None
    duplicate_of: str | None = None
    max_concurrency: int | None = None


class Optimizer:
    """Record what happens, ask what to do next; everything recorded is on disk when the call returns.

    Durability is SQLite's WAL with `synchronous=NORMAL`: what was recorded outlives the process; a power cut may take the last moments.
    """

    def __init__(self, journal: Journal, config: OptimizationConfig, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._config = config
        self._clock = clock
        self._lock = threading.RLock()
        self._core = Core(config)
        self._latest = config
        self._fresh = Core(config)
        self._position = 0
        self._closed = threading.Event()
        self._ticker: threading.Thread | None = None
        self._since_snapshot = 0
        self._snapshot_cost = 0.0
        self._last_snapshot = time.monotonic()
        self._dirty: set[str] = set()
        self._shadow: Shadow | None = None
        self._capacities: tuple[Capacity, ...] = ()
        self._allocator: Allocator | None = None
        self._reporter: Reporter | None = None
        self._followers: list[Follower] = []
        self._witnesses: list[Witness] = []

    @classmethod
    def open(
        cls,
        path: str,
        config: OptimizationConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
        shadow: OptimizationConfig | None = None,
        capacity: Iterable[Capacity] = (),
        operator: str | None = None,
    ) -> "Optimizer":
        """Open a database, or start one; `:memory:` leaves no file. Raises `JournalError` for a file it cannot use.

        The first configuration of a file is its base; another one given later is journaled as `config.changed` for every scope in it,
        and ahead of the first event of every scope that comes. On the wall clock a thread journals a tick where something is due and
        nothing else happens; with a clock of your own, call `tick`. `shadow` is a second configuration that only watches: `status` has its
        estimated gain, `promote` makes it the active one. Its first opening folds the whole journal. `capacity` of tracks that several scopes use together
        is divided between them by priority and need, journaled as `capacity.allocated`. `operator` names the scope that is told of the incidents of all others,
        journaled as `incident.reported`.
        """
        journal = Journal.open(path)
        stored = journal.noted("config")
        base = OptimizationConfig.model_validate_json(stored) if stored else config or OptimizationConfig()
        optimizer = cls(journal, base, clock)
        optimizer._capacities = tuple(capacity)
        optimizer._reporter = Reporter(operator) if operator is not None else None
        check(optimizer._capacities, (config or base).tracks)
        if stored is None:
            journal.begin()
            journal.note("config", base.model_dump_json())
            journal.note("latest", base.model_dump_json())
            journal.commit()
        optimizer._recover()
        freed = released(optimizer._capacities, optimizer._core)
        if freed:
            optimizer._fold([*freed])
        if config is not None and config.model_dump_json() != journal.noted("latest"):
            optimizer.adopt(config)
        latest = journal.noted("latest")
        if latest is not None:
            optimizer._latest = OptimizationConfig.model_validate_json(latest)
            optimizer._fresh = Core(optimizer._latest)
        if shadow is not None:
            optimizer._watch(shadow)
        if clock is time.time:
            optimizer._ticker = threading.Thread(target=optimizer._keep_ticking, name="pointsman-ticks", daemon=True)
            optimizer._ticker.start()
        return optimizer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # asking

    def recommend(
        self,
        scope: str,
        query: str | None = None,
        request_id: str = "",
        *,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        category: str | None = None,
        conversation_id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        sketch: Sketch | None = None,
        embedding: Sequence[float] | None = None,
        occurred_at: float | None = None,
    ) -> Recommended:
        """The track for one request. Reads state only, never the disk; asked twice at the same state it answers the same.

        `query` is sketched and dropped, or you give its `sketch`; an `embedding` of your own takes the place of its hashed features.
        """
        del occurred_at  # the state's own clock decides; accepted so that a simulation can pass the same arguments everywhere
        fields: dict[str, Any] = {"input_tokens": input_tokens, "sketch": sketch}
        describe(fields, query, embedding)
        tokens, sketched = fields["input_tokens"], fields.get("sketch")
        with self._lock:
            core = self._core if scope in self._core else self._fresh
            state = core.peek(scope)
            previous = state.routing.previous(conversation_id)
            context = Context.of(tokens, max_output_tokens, category, sketched, attributes, previous, state.running())
            decision = core.decide(scope, context, request_id)
            rows = state.advice(context, decision)
            row = next(row for row in rows if row.track == decision.track)
            reasons = state.reasons(decision)
            plan = state.plan(context, decision)
        identity = f"{scope[:100]}/{decision.policy_version}/{request_id[:100]}"
        return Recommended(
            decision.track,
            decision.propensity,
            row.timeout_ms,
            row.ttft_timeout_ms,
            row.expected,
            reasons,
            decision.policy_version,
            identity,
            tokens,
            max_output_tokens,
            category,
            sketched,
            conversation_id,
            attributes,
            state.strategy,
            state.config.mode,
            rows,
            state.policy.expires_at if state.policy is not None else state.clock,
            plan.kind,
            plan.delay_ms,
            plan.second,
            max_concurrency=row.max_concurrency,
        )

    def status(self, scope: str | None = None) -> dict[str, Any]:
        """Per scope what is known, as plain values; with a shadow its estimated gain over what happened, with 95 % intervals, under `shadow`.

        Of one scope only, where it is named; raises `LookupError` where it has had no event.
        """
        with self._lock:
            found = {name: self._core.status(name) for name in (self._core.scopes() if scope is None else [scope])}
            views = {name: self._shadow.view(name) for name in self._shadow.scopes()} if self._shadow is not None else {}
        for name, view in views.items():
            if name in found:
                found[name]["shadow"] = report(view).as_dict()
        return found

    @property
    def config(self) -> OptimizationConfig:
        """The configuration on which new scopes start."""
        return self._latest

    def bounds(self, most: int) -> dict[str, Bounds]:
        """Of at most so many scopes the constraints of the configuration, and how every budget stands."""
        with self._lock:
            states = {name: self._core.scope(name) for name in islice(self._core.scopes(), most)}
            return {name: (state.config.constraints, state.routing.learner.budgets(state.clock)) for name, state in states.items()}

    def policy(self, scope: str) -> PolicyPublished | None:
        """The policy in force in a scope, if there is one yet; raises `LookupError` where the scope has had no event."""
        with self._lock:
            return self._core.scope(scope).policy

    def explain(self, scope: str, request_id: str) -> Explanation:
        """Why a recent request took its track, by the policy that decided it; `str()` of it is text. Raises `LookupError` where it is not in the journal.

        Among the scope's last 10,000 events; `pointsman explain` finds any. Intervals are as wide as the published policy's, shared out among the
        targets as the learner has it now.
        """
        with self._lock:
            return explain_recent(self._journal, self._core.scope(scope), request_id)

    def outputs(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Numbers and lines of the outputs emitted after a number."""
        with self._lock:
            rows = list(self._journal.outputs(after))
        yield from rows

    def emitted(self, question: Callable[[EmittedLog], Answer]) -> Answer:
        """What the log of outputs and dead letters, in one order, answers."""
        with self._lock:
            return question(self._journal.emitted)

    def last_output(self) -> tuple[int, str]:
        """Number and id of the newest output; 0 and nothing where there is none."""
        with self._lock:
            return self._journal.last_output()

    def output_number(self, event_id: str) -> int | None:
        """The number of the output with this id."""
        with self._lock:
            return self._journal.output_number(event_id)

    def follow(self, follower: Follower) -> None:
        """Call `follower` with what every transaction caused, outputs and dead letters with their lines, and how far that goes.

        In order, inside the lock and on the thread that recorded: it must be quick.
        """
        with self._lock:
            self._followers.append(follower)

    def scopes(self) -> list[str]:
        """The scopes that had an event, in the order of their first one."""
        with self._lock:
            return self._core.scopes()

    def witness(self, witness: Witness, newest: int = 0) -> None:
        """Call `witness` with every event from here on, in order: inputs that are not refused, outputs and dead letters.

        Before, with what the file has of the newest outputs and dead letters, so many of each, and with the resource samples among as many events. Inside
        the lock and on the thread that recorded: it must be quick.
        """
        with self._lock:
            for event in recalled(self._journal, newest) if newest else ():
                witness(event)
            self._witnesses.append(witness)

    # recording

    def record_request_start(
        self,
        request_id: str,
        *,
        scope: str,
        decision: Recommended | None = None,
        track: str | None = None,
        propensity: float | None = None,
        query: str | None = None,
        embedding: Sequence[float] | None = None,
        occurred_at: float | None = None,
        event_id: str | None = None,
        **fields: Any,
    ) -> list[Event]:
        """A request was sent, by our decision or by another policy's; `query` is sketched and dropped."""
        if decision is not None:
            track = decision.track
            fields = {
                "input_tokens": decision.input_tokens,
                "max_output_tokens": decision.max_output_tokens,
                "category": decision.category,
                "sketch": decision.sketch,
                "conversation_id": decision.conversation_id,
                "attributes": decision.attributes,
                "policy_version": decision.policy_version,
                "recommendation_id": decision.recommendation_id,
            } | fields
            propensity = decision.propensity or None
        describe(fields, query, embedding)
        moment = self._now(occurred_at)
        identity = event_id or _identity(f"{request_id}/{track or ''}/started", propensity, fields)
        return self.record(
            RequestStarted(
                event_id=identity, scope=scope, occurred_at=moment, source="embedded", request_id=request_id, track=track, propensity=propensity, **fields
            )
        )

    def record_request_completion(
        self,
        request_id: str,
        *,
        scope: str,
        track: str,
        success: bool,
        latency_ms: float | None = None,
        occurred_at: float | None = None,
        event_id: str | None = None,
        **fields: Any,
    ) -> list[Event]:
        """An attempt ended. Reported again with the same content it is a repeat, whenever that is; `event_id` overrides this."""
        identity = event_id or _identity(f"{request_id}/{track}/completed", success, latency_ms, fields)
        moment = self._now(occurred_at)
        event = RequestCompleted(
            event_id=identity,
            scope=scope,
            occurred_at=moment,
            source="embedded",
            request_id=request_id,
            track=track,
            success=success,
            latency_ms=latency_ms,
            **fields,
        )
        return self.record(event)

    def record_quality(
        self, request_id: str, *, scope: str, track: str, score: float, assessor: str | None = None, occurred_at: float | None = None
    ) -> list[Event]:
        """An answer was judged; the same score by the same assessor again is a repeat."""
        moment = self._now(occurred_at)
        identity = _identity(f"{request_id}/{track}/assessed", score, assessor)
        return self.record(
            QualityAssessed(
                event_id=identity, scope=scope, occurred_at=moment, source="embedded", request_id=request_id, track=track, score=score, assessor=assessor
            )
        )

    def record_resources(self, *, scope: str, host: str, occurred_at: float | None = None, **fields: Any) -> list[Event]:
        """A host was sampled."""
        moment = self._now(occurred_at)
        return self.record(ResourceSampled(event_id=f"{host}/{moment!r}", scope=scope, occurred_at=moment, source="embedded", host=host, **fields))

    def change_config(self, config: OptimizationConfig, *, scope: str, occurred_at: float | None = None) -> list[Event]:
        """From here on the scope follows this configuration."""
        return self.record(_change(config, scope, self._now(occurred_at)))

    def adopt(self, config: OptimizationConfig) -> list[Event]:
        """From here on every scope follows this configuration, and so do those that come."""
        with self._lock:
            scopes, text = self._core.scopes(), config.model_dump_json()
            changes = [_change(config, scope, max(self._clock(), self._core.scope(scope).clock)) for scope in scopes]
            outputs = self._fold([*changes], {"latest": text} if scopes else {"latest": text, "config": text})
            if not scopes:
                self._config, self._core = config, Core(config)
                if self._shadow is not None:
                    self._watch(self._shadow.config)
            self._latest, self._fresh = config, Core(config)
        return outputs

    def promote(self) -> list[Event]:
        """The shadow's configuration becomes the active one, by a `config.changed` in every scope. Raises `ShadowError` where there is no shadow."""
        with self._lock:
            if self._shadow is None:
                raise ShadowError("there is no shadow to promote: give one to Optimizer.open(path, config, shadow=...)")
            config, self._shadow = self._shadow.config, None
            return self.adopt(config)

    def tick(self, scope: str, occurred_at: float | None = None) -> list[Event]:
        """Time has passed, and nothing else may have said so."""
        moment = self._now(occurred_at)
        return self.record(Tick(event_id=f"tick/{moment!r}", scope=scope, occurred_at=moment, source="embedded"))

    def record(self, event: AnyInput) -> list[Event]:
        """Journal and fold one event; what it caused. Raises `ValueError` where it is refused, and nothing is recorded."""
        with self._lock:
            core = self._core if event.scope in self._core else self._fresh
            refusal = core.refusal(event)
            if refusal is not None:
                raise ValueError(refusal.message)
            return self._fold([event])

    def record_many(self, events: Iterable[AnyInput]) -> list[Event]:
        """The same for many, in transactions of up to 500; a refused one becomes a dead letter, which is answered and kept."""
        outputs: list[Event] = []
        with self._lock:
            for batch in _batched(events):
                outputs += self._fold(batch)
        return outputs

    def record_lines(self, lines: Iterable[bytes]) -> list[Event]:
        """The same for JSON as producers send it: prompts are sketched, and what is no event becomes a dead letter."""
        outputs: list[Event] = []
        for batch in _batched(lines):
            now = self._clock()
            accepted = [accept(line, place=f"recorded at {now:.3f}/{number}", now=now) for number, line in enumerate(batch)]
            outputs += [output for caused in self.record_each(accepted) for output in caused]
        return outputs

    def record_each(self, items: Sequence[AnyInput | EventRejected]) -> list[list[Event]]:
        """Fold events and keep the dead letters among them, in one transaction; what each of them caused, a refused one its dead letter."""
        with self._lock:
            return self._fold_each(items)

    def dead_letters(self) -> list[EventRejected]:
        """What was refused so far, with the reasons and the bytes."""
        with self._lock:
            lines = list(self._journal.dead_letters())
        return [letter for line in lines if isinstance(letter := decode_output(line), EventRejected)]

    def tick_due(self) -> int:
        """Journal a tick for every scope in which something is due, if its last event is at most 5 minutes old; how many."""
        with self._lock:
            now = self._clock()
            due = [scope for scope in self._core.scopes() if self._core.is_due(scope, now)]
            for scope in due:
                self.tick(scope, now)
            return len(due)

    def _keep_ticking(self) -> None:
        while not self._closed.wait(1.0):
            try:
                self.tick_due()
            except sqlite3.Error as error:
                log.warning("a tick was not recorded (%s): trying again", error)

    def close(self) -> None:
        """Leave a snapshot and let go of the file."""
        self._closed.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            if self._dirty:
                self._journal.begin()
                self._save()
                self._journal.commit()
            self._journal.close()

    # inside the lock

    def _now(self, occurred_at: float | None) -> float:
        return self._clock() if occurred_at is None else occurred_at

    def _fold(self, events: Sequence[AnyInput], notes: Mapping[str, str] | None = None) -> list[Event]:
        """Journal and fold events, and keep notes, all in one transaction."""
        return [output for caused in self._fold_each(events, notes) for output in caused]

    def _fold_each(self, items: Sequence[AnyInput | EventRejected], notes: Mapping[str, str] | None = None) -> list[list[Event]]:
        caused: list[list[Event]] = []
        heard: list[tuple[Event, bytes]] = []
        happened: list[Event] = []
        try:
            self._journal.begin()
            entries: list[tuple[int, str, bytes]] = []
            rows: list[tuple[int, str, bytes]] = []
            letters: list[tuple[int, bytes]] = []
            for item in items:
                outputs: list[Event] = []
                caused.append(outputs)
                if isinstance(item, EventRejected):
                    outputs.append(item)
                    heard.append((item, encode(item)))
                    letters.append((len(rows), heard[-1][1]))
                    happened.append(item)
                    continue
                waiting: deque[AnyInput] = deque(self._introduced(item))
                while waiting:
                    event = waiting.popleft()
                    line = encode(event)
                    self._position = position = self._position + 1
                    entries.append((position, event.scope, line))
                    emitted = self._core.step(event)
                    if not any(isinstance(output, EventRejected) for output in emitted):
                        happened.append(event)
                        self._cast(event)
                    for output in emitted:
                        if isinstance(output, EventRejected):
                            place, moment = f"journal:{position}", output.occurred_at
                            letter = dead_letter(place, line, output.reason, occurred_at=moment, scope=output.scope)
                            heard.append((letter, encode(letter)))
                            letters.append((len(rows), heard[-1][1]))
                        else:
                            rows.append((position, output.event_id, encode(output)))
                            heard.append((output, rows[-1][2]))
                            waiting += self._allocated(output)
                            waiting += self._reporter.observe(output) if self._reporter is not None else []
                        outputs.append(heard[-1][0])
                        happened.append(heard[-1][0])
                    self._dirty.add(event.scope)
            self._journal.append(entries)
            for name, value in (notes or {}).items():
                self._journal.note(name, value)
            self._journal.emitted.add(rows, letters)
            self._since_snapshot += len(entries)
            if self._is_snapshot_due():
                self._save()
            self._journal.commit()
        except BaseException:
            self._journal.rollback()
            self._core = Core(self._config)
            self._recover()
            if self._shadow is not None:
                self._watch(self._shadow.config)
            raise
        if heard and self._followers:
            self._tell(heard)
        for witness in self._witnesses:
            self._show(witness, happened)
        return caused

    @staticmethod
    def _show(witness: Witness, happened: Sequence[Event]) -> None:
        failed: Exception | None = None
        for event in happened:
            try:
                witness(event)
            except Exception as error:  # said once for all of them
                failed = failed or error
        if failed is not None:
            log.error("a witness of the events failed: what is recorded stays recorded", exc_info=failed)

    def _tell(self, heard: list[tuple[Event, bytes]]) -> None:
        end = self._journal.emitted.end()
        for follower in self._followers:
            try:
                follower(end, heard)
            except Exception:
                log.exception("a follower of the outputs failed: what is recorded stays recorded")

    def _allocated(self, output: Event) -> list[CapacityAllocated]:
        """Whose share of a capacity changes by this output."""
        if self._allocator is None or not isinstance(output, WindowClosed | ForecastIssued):
            return []
        self._allocator.prioritise(output.scope, self._core.scope(output.scope).config.priority)
        return self._allocator.observe(output)

    def _cast(self, event: AnyInput) -> None:
        """Let the shadow see an event; whatever goes wrong there, the active policy goes on."""
        try:
            if self._shadow is not None:
                self._shadow.step(event)
        except Exception:
            log.exception("the shadow has stopped: open the database again to have it back")
            self._shadow = None

    def _watch(self, config: OptimizationConfig) -> None:
        """Take up the shadow where its snapshot left it, or at the journal's beginning, and bring it to the end."""
        shadow, position = Shadow(config, self._config), 0
        self._journal.keep_shadows()
        known = json.loads(self._journal.noted("shadow") or "{}")
        if known.get("fingerprint") == shadow.fingerprint():
            snapshots = self._journal.snapshots("shadows")
            position = known["position"]
            if not all(shadow.restore(scope, parts) for scope, parts in snapshots.items()):
                shadow, position = Shadow(config, self._config), 0
        lines = ((f"journal:{place}", line) for place, line in self._journal.read(position))
        follow(shadow, lines, refused_places(self._journal.dead_letters()))
        self._shadow = shadow
        self._dirty |= set(self._core.scopes())

    def _introduced(self, event: AnyInput) -> Iterator[AnyInput]:
        """The event; where it begins a scope, behind the configuration in force, if that is not the file's first one."""
        if event.scope not in self._core and not isinstance(event, ConfigChanged) and self._latest != self._config:
            identity = f"config/{event.event_id}"[:256]
            yield ConfigChanged(event_id=identity, scope=event.scope, occurred_at=event.occurred_at, source="embedded", config=self._latest)
        yield event

    def _is_snapshot_due(self) -> bool:
        """Every 10,000 events, or sooner where that takes at most 5 % of the time."""
        waited = time.monotonic() - self._last_snapshot
        return self._since_snapshot >= SNAPSHOT_EVENTS or (self._since_snapshot >= 100 and waited * SNAPSHOT_SHARE > max(self._snapshot_cost, 0.05))

    def _save(self) -> None:
        began = time.monotonic()
        for scope in sorted(self._dirty):
            self._journal.save(scope, self._core.snapshot(scope))
            if self._shadow is not None and scope in self._shadow.scopes():
                self._journal.save(scope, self._shadow.snapshot(scope), "shadows")
        self._journal.note("position", str(self._position))
        if self._shadow is not None:
            self._journal.note("shadow", json.dumps({"fingerprint": self._shadow.fingerprint(), "position": self._position}))
        self._dirty.clear()
        self._since_snapshot = 0
        self._last_snapshot = time.monotonic()
        self._snapshot_cost = self._last_snapshot - began

    def _recover(self) -> None:
        """Snapshots, then the tail of the journal; where a snapshot is another version's, the whole journal."""
        snapshots: Mapping[str, dict[str, bytes]] = self._journal.snapshots()
        position = int(self._journal.noted("position") or 0)
        if not all(self._core.restore(scope, parts) for scope, parts in snapshots.items()):
            self._core, position = Core(self._config), 0
        self._position = position
        self._dirty = set()
        for place, line in self._journal.read(position):
            event = decode(line)
            self._core.step(event)
            self._dirty.add(event.scope)
            self._position = place
        if self._capacities:
            self._allocator = resumed(self._capacities, self._core)


def _change(config: OptimizationConfig, scope: str, moment: float) -> ConfigChanged:
    identity = _identity(f"config/{moment!r}", config.model_dump_json())
    return ConfigChanged(event_id=identity, scope=scope, occurred_at=moment, source="embedded", config=config)


def _identity(what: str, *content: Any) -> str:
    """An event id that is the same for the same report, and another for another of the same attempt."""
    digest = hashlib.blake2b(json.dumps([what, content], sort_keys=True, default=str).encode(), digest_size=6).hexdigest()
    return f"{what[:240]}/{digest}"


def _batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch
