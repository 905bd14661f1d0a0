"""Scaling advice of one track, live: from its concurrency, row by row, to how many replicas to ask for, and what that was worth."""

import json
import math
from collections import deque
from typing import Any, NamedTuple

from pointsman.models.forecast import SeriesForecaster
from pointsman.models.scaling import Advice, Scaler, lead_rows
from pointsman.models.scaling_account import LEVELS
from pointsman.models.scaling_replicas import Replicas
from pointsman.models.scaling_score import Scorer
from pointsman.schemas import Scaling, ScalingRecommended, ScalingScored

ROW_S = 300.0
ROWS_A_DAY = 288
HOUR_S = 3600.0
SLOW_START = 2.0
Output = tuple[type[ScalingRecommended] | type[ScalingScored], dict[str, Any]]


class Load(NamedTuple):
    """One row of a track: mean requests in flight, and requests started a second."""

    concurrency: float
    rate_per_s: float


class Advisor:
    """Follows one `[[scaling]]` entry. What it says may be done at once: what is raised is there after the start delay, what is lowered stops now.

    The demand is the track's mean concurrency in five-minute rows. Scored is what would have run: of the last `lead` rows' advices the smallest, since a
    replica runs once it was asked for so long and for as long as it still is.
    """

    __slots__ = (
        "_advice",
        "_asked",
        "_begin",
        "_forecaster",
        "_most",
        "_rows",
        "_scaler",
        "_scorer",
        "_text",
        "_volume",
        "advised",
        "lead",
        "replicas",
        "said",
        "service_s",
        "settings",
    )

    def __init__(self, settings: Scaling) -> None:
        self.settings = settings
        self.lead = lead_rows(settings.start_delay_s, ROW_S)
        each = settings.concurrency_per_replica if settings.unit == "replicas" else 1.0
        self.replicas = Replicas(each, settings.target_utilisation, settings.minimum, settings.maximum, settings.usd_per_hour)
        quantum = self.replicas.demand_each
        self._scaler = Scaler(
            self.lead,
            ROWS_A_DAY,
            settings.unserved_share,
            cooldown_rows=max(math.ceil(settings.cooldown_s / ROW_S), 1),
            minimum=settings.minimum * quantum,
            maximum=settings.maximum * quantum,
            quantum=quantum,
        )
        self._forecaster = SeriesForecaster((self.lead,), ROWS_A_DAY, "light", LEVELS)
        self._scorer = Scorer(ROWS_A_DAY, settings.unserved_share)
        self._asked: deque[float] = deque(maxlen=self.lead)
        self._advice: Advice | None = None  # of the row that has just closed, until it is said
        self._begin: float | None = None
        self._volume = 0.0
        self._rows = 0
        self._most = 0.0
        self._text: str | None = None
        self.said: int | None = None
        self.service_s: float | None = None
        self.advised: dict[str, Any] | None = None

    def close(self, load: Load, end: float) -> None:
        """A row is over: book what ran in it, learn from it, and decide."""
        self._text = None
        if load.rate_per_s > 0.0 and load.concurrency > 0.0:
            fresh = load.concurrency / load.rate_per_s
            self.service_s = fresh if self.service_s is None else self.service_s + 0.2 * (fresh - self.service_s)
        if len(self._asked) == self.lead:
            self._begin = end - ROW_S if self._begin is None else self._begin
            self._scorer.observe(load.concurrency, min(self._asked))
            self._volume += load.concurrency
        self._forecaster.learn_one(load.concurrency)
        self._rows += 1
        self._most = max(self._most, load.concurrency)
        self._advice = self._scaler.observe(load.concurrency, self._quantiles())
        self._asked.append(self._advice.asked)

    def _quantiles(self) -> list[float]:
        """What may be in flight after the lead; before a day is known never more than twice what was, since the spread of a young series can be anything."""
        most = SLOW_START * self._most if self._rows < ROWS_A_DAY else math.inf
        return [min(value, most) for value in self._forecaster.forecast()[0].quantiles]

    def say(self, end: float) -> list[Output]:
        """What follows from the last row: an advice where the number is another, a score once an hour of it has passed and there was any demand."""
        found: list[Output] = []
        if self._advice is None:
            return found
        desired = self.replicas.needed(self._advice.asked)
        if desired != self.said:
            found.append((ScalingRecommended, self._recommended(self._advice, desired, end)))
            self.said = desired
        if self._begin is not None and end // HOUR_S > self._begin // HOUR_S and self._volume > 0.0:
            found.append((ScalingScored, self._scored(self._begin, end)))
            self._begin, self._volume = None, 0.0
        self._advice, self._text = None, None
        return found

    def _recommended(self, advice: Advice, desired: int, end: float) -> dict[str, Any]:
        settings = self.settings
        current = settings.minimum if self.said is None else self.said
        delay = settings.start_delay_s if desired > current else 0.0
        self.advised = {
            "track": settings.track,
            "unit": settings.unit,
            "current": current,
            "desired": desired,
            "demand": float(f"{advice.demand:.6g}"),
            "level": round(advice.level, 4),
            "service_time_ms": None if self.service_s is None else round(1000.0 * self.service_s, 3),
            "target_utilisation": settings.target_utilisation,
            "effective_at": end + delay,
            "cooldown_until": end + advice.hold_rows * ROW_S if advice.hold_rows else None,
            "usd_per_hour": round(self.replicas.cost(desired), 6),
            "reason": self._reason(advice, desired, current),
        }
        return self.advised

    def _reason(self, advice: Advice, desired: int, current: int) -> str:
        settings = self.settings
        each = f" of {settings.concurrency_per_replica:g}" if settings.unit == "replicas" else ""
        unit = "slots" if settings.unit == "concurrency" else "replicas"
        needed = self.replicas.needed(advice.demand)
        kept = ", held for what comes before" if desired > needed else ""
        bound = f", bounded by {advice.reason}" if advice.reason in ("minimum", "maximum") else kept
        return (
            f"{settings.track}: with {100 * advice.level:.3g} % no more than {advice.demand:.3g} are in flight in {settings.start_delay_s:g} s; "
            f"at {settings.target_utilisation:.0%} utilisation that takes {needed} {unit}{each}; {current} before, {desired} now{bound}"
        )

    def _scored(self, begin: float, end: float) -> dict[str, Any]:
        score = self._scorer.close()
        return {
            "track": self.settings.track,
            "start": begin,
            "end": end,
            "unserved_share": min(round(score.unserved_share, 6), 1.0),
            "over_provisioned_share": round(score.over_provisioned_share, 6),
            "target_unserved_share": self.settings.unserved_share,
            "changes": round(score.changes),
        }

    def status(self) -> dict[str, Any]:
        """The advice that stands and the record of the last 14 days."""
        record = self._scorer.record()
        return {
            "advice": self.advised,
            "record": {
                "rows": round(record.rows, 1),
                "unserved_share": round(record.unserved_share, 6),
                "over_provisioned_share": round(record.over_provisioned_share, 6),
            },
        }

    def snapshot(self) -> str:
        """The state as text that is made once a row."""
        if self._text is None:
            state = {
                "settings": self.settings.model_dump(),
                "scaler": self._scaler.snapshot(),
                "forecaster": self._forecaster.snapshot(),
                "scorer": self._scorer.snapshot(),
                "asked": list(self._asked),
                "now": [self._begin, self._volume, self._rows, self._most, self.said, self.service_s, self.advised],
            }
            self._text = json.dumps(state, separators=(",", ":"))
        return self._text

    @classmethod
    def restore(cls, text: str) -> "Advisor":
        """The advisor that left this snapshot."""
        state = json.loads(text)
        advisor = cls(Scaling.model_validate(state["settings"]))
        advisor._scaler.restore(state["scaler"])
        advisor._forecaster = SeriesForecaster.restore(state["forecaster"])
        advisor._scorer.restore(state["scorer"])
        advisor._asked.extend(state["asked"])
        advisor._begin, advisor._volume, advisor._rows, advisor._most, advisor.said, advisor.service_s, advisor.advised = state["now"]
        advisor._text = text
        return advisor


__all__ = ["Advisor", "Load", "Output"]
