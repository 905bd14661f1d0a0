"""Which track a request should take: the learned policy, health, pacing and hedging of one scope, and what of it is published."""

import hashlib
from typing import Any

from pointsman.models import objective
from pointsman.models.arrays import short
from pointsman.models.bandit import LOG_LATENCY, QUALITY
from pointsman.models.context import FEATURES_NAME, Context, Vector
from pointsman.models.decision import Decision, Evaluator
from pointsman.models.health import Health
from pointsman.models.hedging import SINGLE, Candidate, HedgeBudget, HedgeSettings, Plan, Worth, plan
from pointsman.models.policy import Policy
from pointsman.models.slo import is_beyond, is_broken
from pointsman.models.track import TrackState
from pointsman.schemas import OptimizationConfig, PolicyLoad, PolicyObjective, PolicyPublished, RequestCompleted, RequestStarted, Strategy, Track

MOST_CONVERSATIONS = 1024
FEWEST_OUTCOMES = 8
MOST_OUTCOMES = 64
HEDGE_NEEDS = 50
MOST_SECONDS = 2
HEDGED = 1e-3


class Routing:
    """The state behind the decisions of one scope; the scope calls it and emits what follows."""

    def __init__(self, config: OptimizationConfig) -> None:
        self.config = config
        self.learner = Policy(config.tracks, config)
        self.health = Health(track.name for track in config.tracks)
        self.hedges = HedgeBudget(_hedging(config))
        self.strategy: Strategy = _first_strategy(config)
        self.policy: PolicyPublished | None = None
        self.version = 0
        self.unpublished = 0
        self.is_urgent = False
        self.conversations: dict[int, str] = {}
        self._evaluator: Evaluator | None = None
        self._draft: Evaluator | None = None

    # what happens

    def add(self, track: Track) -> None:
        """A track appears, or starts again with other settings."""
        self.learner.add(track, self.config)
        self.health.keep(self.learner.priors)
        self.is_urgent = True

    def configure(self, config: OptimizationConfig, tracks: dict[str, TrackState], changed: set[str]) -> None:
        """From here on this configuration holds; tracks that `changed` start again."""
        for name in [name for name in self.learner.priors if name not in tracks]:
            self.learner.remove(name)
        for name, track in tracks.items():
            if name in changed or name not in self.learner.priors:
                self.learner.add(track.settings, config)
        self.learner.configure(config)
        if config.hedging.share != self.config.hedging.share:
            self.hedges = HedgeBudget(_hedging(config))
        self.is_urgent = True
        self.config = config
        self.health.keep(self.learner.priors)
        self.strategy = _first_strategy(config)

    def context(self, event: RequestStarted) -> Context:
        """What is known of a request, the last track of its conversation included."""
        previous = self.previous(event.conversation_id)
        return Context.of(event.input_tokens, event.max_output_tokens, event.category, event.sketch, event.attributes, previous)

    def previous(self, conversation_id: str | None) -> str | None:
        """The track that this conversation took last."""
        return self.conversations.get(_digest(conversation_id)) if conversation_id else None

    def started(self, event: RequestStarted, context: Context, running: dict[str, int], *, is_copy: bool) -> None:
        """A request goes its way, or asks for one, `running` being in flight on the tracks that slow down."""
        if self.learner.accounts and not is_copy:
            self.learner.sample.note(context.vector(), event.occurred_at, running)
        if event.track is None:
            return
        self.hedges.observe(extra=is_copy)
        if event.conversation_id and not is_copy:
            digest = _digest(event.conversation_id)
            self.conversations.pop(digest, None)
            if len(self.conversations) >= MOST_CONVERSATIONS:
                del self.conversations[next(iter(self.conversations))]
            self.conversations[digest] = event.track

    def ended(self, event: RequestCompleted, now: float, *, is_own: bool, started_at: float | None) -> None:
        """A completion, before it is joined: health and money count at once."""
        before = self.health.share(event.track, now)
        self.health.observe(event.track, now, event.success, event.failure_class, event.error_type, started_at)
        if self.health.share(event.track, now) != before:
            self.is_urgent = True
        for slo in self.learner.slos:
            broken = is_broken(slo.objective, event)
            if broken is not None:
                slo.observe(is_broken=broken)
        for account in self.learner.accounts:
            account.spend(event.cost_usd or 0.0, now, is_own=is_own, gap_s=self.learner.sample.gap_s)
            if self.config.budget.hard and account.remaining(0.0) < 0.1 * account.limit:
                self.is_urgent = True

    def recognise(self, event: RequestCompleted, now: float) -> None:
        """A completion that came before its start turns out to be of a decision of ours: budgets per request count it now."""
        for account in self.learner.accounts:
            if account.kind == "usd_per_request":
                account.spend(event.cost_usd or 0.0, now, is_own=True, gap_s=self.learner.sample.gap_s)

    def usual_quality(self, track: str) -> float:
        """What a usual request would get on a track whose level had not changed."""
        predicted = self._predicted(track, Context(500, 500).vector())
        return predicted[QUALITY] if predicted is not None else self.learner.priors[track].quality

    def learn(self, event: RequestCompleted, context: Context, track: TrackState, now: float) -> str | None:
        """A joined outcome; says what the drift detector said."""
        if event.is_excused:
            return None
        x = context.vector()
        ratio = objective.log_latency(event.latency_ms, self.config) if event.success and event.latency_ms is not None else None
        predicted = self._predicted(event.track, x)
        if ratio is not None and predicted is not None:
            track.note_latency_error(ratio - predicted[LOG_LATENCY], now)
        said = self.learner.learn(
            event.track, x, predicted, quality=event.quality_score, log_latency=ratio, cost_usd=event.cost_usd, success=float(event.success)
        )
        self.unpublished += 1
        self.is_urgent |= said is not None
        return said

    def learn_quality(self, track: str, context: Context, score: float) -> str | None:
        """A judgement that came after its completion."""
        for slo in self.learner.slos:
            if slo.objective.metric == "quality_score":
                slo.observe(is_broken=is_beyond(slo.objective, score))
        x = context.vector()
        said = self.learner.learn_quality(track, x, self._predicted(track, x), score)
        self.unpublished += 1
        self.is_urgent |= said is not None
        return said

    def lose(self, track: str, context: Context) -> None:
        """An attempt that never completed."""
        x = context.vector()
        self.learner.learn(track, x, self._predicted(track, x), quality=None, log_latency=None, cost_usd=None, success=0.0)
        self.unpublished += 1

    def _predicted(self, track: str, x: Vector) -> list[float] | None:
        return self._evaluator.targets(track, x) if self._evaluator is not None else None

    # what is published

    def is_due(self) -> bool:
        """Whether enough was learned since the last policy: at first every 8 outcomes, later every 64; at once where a track has changed."""
        return self.is_urgent or self.unpublished >= max(FEWEST_OUTCOMES, min(MOST_OUTCOMES, self.learner.bandit.count // 100))

    def fields(
        self, tracks: dict[str, TrackState], pressures: dict[str, float], limits: dict[str, int], in_flight_usd: float, now: float
    ) -> dict[str, Any] | None:
        """The fields of the next policy; None where it would say what the one in force says. `limits` has what may be in flight on a track that has one.

        Between two rounds of learning only penalties and health are brought up to date.
        """
        value = objective.worth(self.strategy)
        learner, last = self.learner, self.policy
        loads = {name: self._load(track, limits.get(name)) for name, track in tracks.items() if track.load is not None}
        penalties = {
            name: value.latency * ((0.0 if loads.get(name) else max(track.latency_drift_at(now), 0.0)) + track.overdue)
            + value.resource * pressures.get(name, 0.0)
            + value.success * max(0.0, 1.0 - track.recent_success_at(now))
            for name, track in tracks.items()
        }
        admitted = self.health.shares(now)
        hard = self.config.budget.hard
        if last is None or self.is_due() or last.strategy != self.strategy:
            arms = learner.arms(value, penalties, admitted, loads)
            self.unpublished, self.is_urgent = 0, False
        else:
            arms = learner.refreshed(last.arms, penalties, admitted, loads)
            if arms == last.arms and not self._has_moved(last.worth.objectives) and last.expires_at > now + 0.5 * self.config.intervals.expiry_s:
                return None
        self.version += 1
        policy: dict[str, Any] = {
            "version": self.version,
            "features": FEATURES_NAME,
            "arms": arms,
            "worth": learner.worth(value, self.config, 0.0),
            "ceiling_usd": short(ceiling) if (ceiling := learner.ceiling()) is not None else None,
            "hard_ceiling_usd": short(min(account.remaining(in_flight_usd) for account in learner.accounts)) if hard and learner.accounts else None,
            "strategy": self.strategy,
            "mode": self.config.mode,
            "default_track": self.config.tracks[0].name if self.config.tracks else next(iter(tracks)),
            "expires_at": round(now + self.config.intervals.expiry_s, 6),
        }
        if learner.accounts:
            self._draft = Evaluator(PolicyPublished.model_construct(event_id="", scope="", occurred_at=now, caused_by="", **policy), self._evaluator)
            policy["worth"] = learner.worth(value, self.config, learner.price(self._draft))
        return policy

    def _has_moved(self, published: tuple[PolicyObjective, ...]) -> bool:
        """Whether the price of an objective is another by more than a tenth of a unit."""
        now, then = (sum(prices) for prices in ([slo.price for slo in self.learner.slos], [one.price for one in published]))
        return abs(now - then) > 0.1

    def _load(self, track: TrackState, most: int | None) -> PolicyLoad | None:
        """How a track slows down under load, as it was published before where that still holds."""
        last = next((arm.load for arm in self.policy.arms if arm.track == track.name), None) if self.policy is not None else None
        if track.load is None or (last is not None and track.load.is_as_published(last, most)):
            return last
        return track.load.published(last, most)

    def take_up(self, policy: PolicyPublished) -> None:
        """From here on this policy decides."""
        self.policy, self._evaluator, self._draft = policy, Evaluator(policy, self._draft or self._evaluator), None

    # what is asked

    def evaluator(self) -> Evaluator:
        """The evaluator of the policy in force; raises `LookupError` before there is one."""
        if self._evaluator is None:
            raise LookupError("there is no policy yet: configure tracks, or report a request")
        return self._evaluator

    def plan(self, context: Context, decision: Decision, tracks: dict[str, TrackState], queues: dict[str, float], now: float) -> Plan:
        """Whether a second copy of this request is worth its cost, by what the tracks are expected to give."""
        shares = self.health.shares(self.policy.occurred_at if self.policy is not None else 0.0)
        able = [name for name, track in tracks.items() if shares.get(name, 1.0) == 1.0 and track.completed >= HEDGE_NEEDS]
        hedging, level = self.config.hedging, self.hedges.level() if self.config.hedging.share > 0.0 else None
        if decision.track not in able or len(able) < 2 or self._evaluator is None or (level is None and not hedging.parallel):
            return SINGLE
        able = [decision.track, *sorted((name for name in able if name != decision.track), key=lambda name: -decision.utilities[name])[:MOST_SECONDS]]
        worth = self._evaluator.policy.worth
        price = worth.shadow_price + worth.cost / worth.max_cost_usd
        found = {}
        for name, expected in self._evaluator.expected(context).items():
            if name in able:
                value = worth.quality * expected.quality - expected.penalty
                latency = tracks[name].latency_quantile(context, queues.get(name, 0.0), now)
                found[name] = Candidate(name, latency, value, expected.spread, min(max(expected.success, 0.0), 1.0), expected.cost_usd)
        first = found.pop(decision.track)
        chosen = plan(first, found.values(), Worth(worth.latency, worth.success, price), level, parallel=hedging.parallel)
        return chosen if chosen.gain > HEDGED else SINGLE

    # state

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values, in parts; the policy in force is kept beside it."""
        now = {
            "health": self.health.snapshot(),
            "hedges": self.hedges.snapshot(),
            "now": [self.strategy, self.version, self.unpublished, self.is_urgent],
            "conversations": [[digest, track] for digest, track in self.conversations.items()],
        }
        return {"now": now} | self.learner.snapshot()

    def restore(self, state: dict[str, Any], policy: PolicyPublished | None) -> None:
        """Take up the state of a snapshot."""
        self.learner = Policy.restore(state, self.config)
        state = state["now"]
        self.health = Health.restore(state["health"])
        self.hedges = HedgeBudget.restore(state["hedges"], _hedging(self.config))
        self.strategy, self.version, self.unpublished, self.is_urgent = state["now"]
        self.conversations = {digest: track for digest, track in state["conversations"]}
        if policy is not None:
            self.take_up(policy)


def _digest(conversation: str) -> int:
    return int.from_bytes(hashlib.blake2b(conversation.encode("utf-8", "replace"), digest_size=6).digest(), "big")


def _first_strategy(config: OptimizationConfig) -> Strategy:
    """The configured strategy; `adaptive` starts as balanced."""
    return "balanced" if config.strategy == "adaptive" else config.strategy


def _hedging(config: OptimizationConfig) -> HedgeSettings:
    return HedgeSettings(share=max(config.hedging.share, 1e-3))
