"""Builders of what incidents hear: alerts, outcomes beside what is usual, series that deviate."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from events import START

from pointsman.models.findings import Deviation, Judged
from pointsman.models.suspect_places import Seen
from pointsman.schemas import AlertRaised, AlertResolved

ONSET = START + 3600.0


def raised(metric: str, track: str | None = None, host: str | None = None, at: float = 10.0, since: float = 0.0, **fields: Any) -> AlertRaised:
    """An alert `at` seconds after the onset of the trouble, of something that began at `since`."""
    name = f"{host or track or 'scope'}/{metric}/anomaly"
    given: dict[str, Any] = {"kind": "anomaly", "severity": "warning", "observed": 2000.0, "expected": 1000.0, "fingerprint": name, "subject": name} | fields
    identity = f"{given['fingerprint']}/{at}"
    return AlertRaised(
        event_id=identity, scope="chat", occurred_at=ONSET + at, caused_by="c", metric=metric, track=track, host=host, since=ONSET + since, **given
    )


def resolved(alert: AlertRaised, at: float) -> AlertResolved:
    """The same alert, over."""
    fields = alert.model_dump(exclude={"type", "event_id", "occurred_at"})
    return AlertResolved(event_id=f"{alert.event_id}/over", occurred_at=ONSET + at, **fields)


def deviation(
    metric: str, track: str | None = None, host: str | None = None, effect: float = 9.0, since: float = 0.0, values: tuple[float, float] = (2000.0, 1000.0)
) -> Deviation:
    """A series that is off since so many seconds after the onset."""
    return Deviation(metric, track, host, effect, ONSET + since, 0.99, *values)


def outcomes(
    off: Callable[[dict[str, Any]], dict[str, float]], seconds: float = 60.0, before: float = 300.0, tracks: Sequence[str] = ("local", "api")
) -> list[Judged]:
    """Two requests a second around the onset, five clients and two categories; from the onset on `off` says what is off, by the request."""
    draw = random.Random(7)
    found = []
    for number in range(int(2 * (before + seconds))):
        at = ONSET - before + number / 2.0
        attributes = {"client": f"c{draw.randrange(5)}", "tier": "gold"}
        track, category = draw.choice(tracks), draw.choice(("chat", "code"))
        usual = {metric: draw.gauss(0.0, 1.0) for metric in ("latency_ms", "input_tokens", "output_tokens", "cost_usd", "error")}
        wrong = off({**attributes, "track": track, "category": category, "draw": draw.random()}) if at >= ONSET else {}
        deviations = {metric: value + wrong.get(metric, 0.0) for metric, value in usual.items()}
        success = wrong.get("error", 0.0) == 0.0
        found.append(Judged(at, f"r{number}", track, category, attributes, success, deviations, 0.001))
    return found


def fine(_: dict[str, Any]) -> dict[str, float]:
    """Nothing is off."""
    return {}


def seen(recent: Sequence[Judged] = (), *deviations: Deviation) -> Seen:
    """What is seen of the scope."""
    return Seen(recent, deviations)
