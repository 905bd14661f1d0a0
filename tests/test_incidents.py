"""Incidents: what belongs together is one, what does not is another; when they are opened, told of and over; the state is a fold."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from incidenting import ONSET, deviation, fine, outcomes, raised, resolved, seen

from pointsman.models.findings import Change, Told
from pointsman.models.incidents import MOST_OPEN, Incidents
from pointsman.models.suspect_places import Seen
from pointsman.schemas import AlertAcknowledged, AlertRaised, AlertResolved, IncidentOpened, IncidentResolved, IncidentUpdated, OptimizationConfig, Track

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api", provider="p"), Track(name="large", provider="p"), Track(name="other")))


class Room:
    """Incidents, with what they said and what they see."""

    def __init__(self, look: Seen | None = None, config: OptimizationConfig = CONFIG) -> None:
        self.look = look or Seen()
        self.incidents = Incidents(config)
        self.told: list[Told] = []

    def hear(self, *alerts: AlertRaised | AlertResolved) -> list[Told]:
        found: list[Told] = []
        for alert in alerts:
            found += self.incidents.advance(alert.occurred_at, lambda now: self.look)
            found += self.incidents.hear(alert, lambda now: self.look)
        self.told += found
        return found

    def tick(self, at: float) -> list[Told]:
        found = self.incidents.advance(ONSET + at, lambda now: self.look)
        self.told += found
        return found

    def count(self, model: Any) -> int:
        return sum(told[0] is model for told in self.told)


def test_the_first_alert_opens_an_incident_at_once_and_says_what_is_wrong() -> None:
    room = Room(seen(outcomes(lambda one: {"latency_ms": 6.0} if one["track"] == "local" else {}), deviation("latency_ms", "local")))
    ((model, fields),) = room.hear(raised("latency_ms", "local"))
    assert model is IncidentOpened and fields["title"] == "latency_ms of local is 2 x what is usual since 23:13:20; suspected: track local"
    assert fields["tracks"] == ("local",) and fields["since"] == ONSET and 40 < fields["requests"] < 80
    IncidentOpened(event_id="e", scope="chat", occurred_at=ONSET, caused_by="c", **fields)


def test_alerts_of_one_track_its_host_its_provider_and_the_scope_are_one_incident() -> None:
    for first, *others in (
        [raised("latency_ms", "local"), raised("ttft_ms", "local", at=20.0), raised("throttled", host="gpu", at=30.0), raised("latency_ms", at=40.0)],
        [raised("error", "api"), raised("error", "large", at=100.0, since=90.0)],
    ):
        room = Room()
        room.hear(first, *others)
        assert room.count(IncidentOpened) == 1 and room.count(IncidentUpdated) == len(others)


def test_what_has_nothing_to_do_with_each_other_are_two_incidents_unless_it_began_at_the_same_time() -> None:
    apart, together = Room(), Room()
    apart.hear(raised("error", "api"), raised("latency_ms", "other", at=150.0, since=140.0))
    together.hear(raised("error", "api"), raised("latency_ms", "other", at=20.0, since=3.0))
    assert (apart.count(IncidentOpened), together.count(IncidentOpened)) == (2, 1)


def test_after_a_long_silence_another_trouble_of_a_related_place_is_another_incident_but_a_burn_rate_follows() -> None:
    room = Room()
    room.hear(raised("latency_ms", "local"), raised("latency_ms", "local", at=2000.0, since=900.0, kind="slo_burn", fingerprint="slo/1", observed=14.4))
    assert room.count(IncidentOpened) == 1
    room.hear(raised("kv_cache_percent", host="gpu", at=4000.0, since=3990.0))
    assert room.count(IncidentOpened) == 2


def test_four_faults_one_after_the_other_are_four_incidents() -> None:
    room = Room()
    for number, (metric, track) in enumerate([("latency_ms", "local"), ("error", "api"), ("cost_usd", "other"), ("error", "local")]):
        alert = raised(metric, track, at=700.0 * number + 10.0, since=700.0 * number)
        room.hear(alert, resolved(alert, 700.0 * number + 300.0))
    room.tick(9000.0)
    assert (room.count(IncidentOpened), room.count(IncidentResolved)) == (4, 4)


def test_an_incident_is_over_some_minutes_after_its_last_alert_and_what_rises_again_before_is_the_same() -> None:
    room = Room()
    alert = raised("latency_ms", "local")
    room.hear(alert, resolved(alert, 100.0), raised("latency_ms", "local", at=300.0), resolved(alert, 400.0))
    assert room.incidents.next_due() == ONSET + 700.0 and not room.tick(699.0)
    ((model, fields),) = room.tick(700.0)
    assert model is IncidentResolved and fields["ended_at"] == ONSET + 400.0 and room.count(IncidentOpened) == 1
    assert room.incidents.next_due() is None


def test_good_news_alerts_of_our_own_models_and_bounds_open_none_and_join_without_a_word() -> None:
    room = Room()
    bound: dict[str, Any] = {"kind": "constraint", "fingerprint": "local/latency_p95_ms"}
    room.hear(raised("coverage", "local", kind="drift", fingerprint="local/coverage"), raised("latency_p95_ms", "local", **bound))
    room.hear(raised("latency_ms", "local", severity="info", observed=500.0))
    assert room.told == []
    alert = raised("error", "local")
    room.hear(alert, raised("latency_p95_ms", "local", at=30.0, **bound), resolved(alert, 60.0))
    assert [model for model, _ in room.told] == [IncidentOpened] and len(room.incidents.open["incident-1"].alerts) == 2
    ((model, fields),) = room.tick(360.0)
    assert model is IncidentResolved and fields["ended_at"] == ONSET + 60.0


def test_maintenance_is_no_incident_and_a_silence_is_one() -> None:
    room = Room()
    room.hear(raised("latency_ms", "local", muted="maintenance"))
    assert room.told == []
    room.hear(raised("latency_ms", "local", muted="silenced"))
    assert room.count(IncidentOpened) == 1


def test_an_incident_that_stands_long_does_not_take_up_what_begins_later_nearby() -> None:
    room = Room()
    room.hear(
        raised("ttft_ms", "local", kind="drift"), raised("throttled", host="gpu", at=630.0, since=600.0), raised("latency_ms", "local", at=640.0, since=601.0)
    )
    assert [sorted(one.alerts) for one in room.incidents.open.values()] == [
        ["local/ttft_ms/anomaly"],
        ["gpu/throttled/anomaly", "local/latency_ms/anomaly"],
    ]


def test_a_change_stays_the_cause_as_more_joins_and_what_took_it_back_is_told_at_the_end() -> None:
    room = Room(seen(outcomes(fine), deviation("latency_ms", "local"), deviation("ttft_ms", "local")))
    room.incidents.change(Change("configuration", "e1", None, ONSET - 5.0, "the configuration was changed"))
    first, second = raised("latency_ms", "local"), raised("ttft_ms", "local", at=90.0, since=70.0)
    room.hear(first, second)
    room.incidents.change(Change("configuration", "e2", None, ONSET + 250.0, "the configuration was changed"))
    room.hear(resolved(first, 300.0), resolved(second, 310.0))
    ((model, fields),) = room.tick(700.0)
    top = fields["suspects"][0]
    assert model is IncidentResolved and top.name == "e1" and top.evidence.endswith("then the configuration was changed, 60 s before the end")


def test_kindred_trouble_of_the_same_place_follows_the_last_news() -> None:
    room = Room()
    room.hear(raised("ttft_ms", "local"), raised("ttft_ms", "local", at=400.0), raised("latency_ms", "local", at=500.0, since=450.0))
    assert room.count(IncidentOpened) == 1


def test_what_began_with_an_incident_joins_however_late_it_is_noticed() -> None:
    room = Room()
    room.hear(raised("error", "local"), raised("latency_ms", "local", at=500.0, since=10.0))
    assert room.count(IncidentOpened) == 1


def test_what_shares_the_suspected_value_joins_from_an_unrelated_track() -> None:
    rows = outcomes(lambda one: {"latency_ms": 6.0, "output_tokens": 8.0} if one["client"] == "c3" else {}, seconds=120.0, tracks=("local", "api"))
    room = Room(seen(rows, deviation("latency_ms", "api")))
    room.hear(raised("output_tokens", "api", at=60.0), raised("output_tokens", "local", at=100.0, since=40.0))
    assert room.count(IncidentOpened) == 1
    other = Room(seen(outcomes(fine, seconds=120.0)))
    other.hear(raised("output_tokens", "api", at=60.0), raised("output_tokens", "local", at=100.0, since=40.0))
    assert other.count(IncidentOpened) == 2


def test_it_is_told_of_again_where_there_is_news_and_else_not() -> None:
    room = Room(seen(outcomes(fine), deviation("latency_ms", "local")))
    room.hear(raised("latency_ms", "local"))
    assert not room.tick(40.0)
    room.look = seen(outcomes(fine), deviation("latency_ms", "local"), deviation("throttled", host="gpu"))
    ((model, fields),) = room.tick(130.0)
    assert model is IncidentUpdated and fields["reason"] == "the suspects are others" and fields["suspects"][0].name == "gpu"
    assert not room.tick(300.0)


def test_what_was_suspected_stays_when_the_evidence_has_faded() -> None:
    room = Room(seen(outcomes(fine), deviation("throttled", host="gpu"), deviation("latency_ms", "local")))
    alert = raised("latency_ms", "local")
    room.hear(alert, raised("ttft_ms", "local", at=20.0))
    room.look = Seen()
    room.hear(resolved(alert, 70.0))
    assert room.tick(100.0) == [] and next(iter(room.incidents.open.values())).suspects[0].name == "gpu"


def test_evidence_that_has_come_half_a_minute_later_is_told() -> None:
    room = Room()
    room.hear(raised("latency_ms", "local", at=10.0))
    room.look = seen(outcomes(fine), deviation("throttled", host="gpu"), deviation("latency_ms", "local"))
    assert room.incidents.next_due() == ONSET + 40.0 and room.tick(40.0)[0][1]["suspects"][0].kind == "host"


def test_the_more_requests_the_more_severe() -> None:
    room = Room()
    room.hear(raised("error", "local", at=1.0))
    for judged in outcomes(lambda one: {"error": 6.0} if one["track"] == "local" else {}):
        room.incidents.judged(judged)
    ((_, fields),) = room.tick(61.0)
    assert fields["severity"] == "critical" and "it is critical" in fields["reason"] and fields["requests_share"] > 0.3 and fields["cost_usd"] > 0.0


def test_who_looks_after_it_is_said() -> None:
    room = Room()
    room.hear(raised("latency_ms", "local"))
    event = AlertAcknowledged(event_id="a", scope="chat", occurred_at=ONSET + 30.0, fingerprint="local/latency_ms/anomaly", by="ops")
    ((model, fields),) = room.incidents.acknowledge(event)
    assert model is IncidentUpdated and fields["acknowledged_by"] == "ops"


def test_there_are_never_too_many() -> None:
    room = Room(config=OptimizationConfig())
    for number in range(3 * MOST_OPEN):
        room.hear(raised("error", f"t{number}", at=400.0 * number, since=400.0 * number - 20.0))
    for number in range(100):
        room.hear(raised(f"m{number}", "t47", at=20_000.0 + number, since=19_990.0))
    assert len(room.incidents.open) == MOST_OPEN and room.incidents.evicted >= 2 * MOST_OPEN
    assert max(len(one.alerts) for one in room.incidents.open.values()) <= 64
    assert room.count(IncidentOpened) == room.count(IncidentResolved) + MOST_OPEN


STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 400.0),
        st.sampled_from([("latency_ms", "local"), ("ttft_ms", "local"), ("error", "api"), ("error", "large"), ("cost_usd", "other"), ("arrival_rate", None)]),
        st.sampled_from(["raise", "resolve", "outcome", "tick"]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 30))
def test_restored_anywhere_the_rest_is_told_the_same(steps: list[tuple[float, tuple[str, str | None], str]], cut: int) -> None:
    rows = outcomes(lambda one: {"latency_ms": 6.0} if one["track"] == "local" else {}, seconds=20.0)
    whole, other = Room(seen(rows)), Room(seen(rows))
    at = 10.0
    for number, (wait, (metric, track), what) in enumerate(steps):
        at += wait
        if number == cut:
            state = json.loads(json.dumps(other.incidents.snapshot()))
            other.incidents = Incidents(CONFIG)
            other.incidents.restore(state)
            assert json.loads(json.dumps(other.incidents.snapshot())) == state
        for room in (whole, other):
            alert = raised(metric, track, at=at, since=at - 10.0)
            if what == "outcome":
                room.incidents.judged(rows[-1]._replace(at=ONSET + at))
            elif what == "tick":
                room.tick(at)
            else:
                room.hear(alert if what == "raise" else resolved(alert, at))
    assert whole.told == other.told
    names = [fields["incident"] for model, fields in whole.told if model is IncidentOpened]
    assert names == [f"incident-{number + 1}" for number in range(len(names))]
