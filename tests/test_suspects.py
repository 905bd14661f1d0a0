"""Who is suspected: every kind of fault is told from the others, and no name matters."""

from typing import Any

import pytest
from incidenting import ONSET, deviation, fine, outcomes, raised, seen

from pointsman.models.contrast import contrasts, usual_rates
from pointsman.models.deployments import Deployments
from pointsman.models.findings import Change
from pointsman.models.incident_relations import Relations
from pointsman.models.incidents import Incidents
from pointsman.models.suspect_places import Seen
from pointsman.schemas import AlertRaised, OptimizationConfig, Suspect, Track

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")))
SLOW = raised("latency_ms", "local")


def suspected(alert: AlertRaised, look: Seen, *changes: Change, config: OptimizationConfig = CONFIG) -> tuple[Suspect, ...]:
    """The suspects of an incident that this alert opens."""
    incidents = Incidents(config)
    for change in changes:
        incidents.change(change)
    told = incidents.hear(alert, lambda now: look)
    suspects: tuple[Suspect, ...] = told[0][1]["suspects"]
    return suspects


def named(suspects: tuple[Suspect, ...]) -> list[str]:
    return [f"{one.kind} {one.name}" for one in suspects]


def changed(kind: Any, before: float, track: str | None = None, name: str = "e1") -> Change:
    return Change(kind, name, track, ONSET - before, "it was changed")


def slow_track(request: dict[str, Any]) -> dict[str, float]:
    return {"latency_ms": 6.0} if request["track"] == "local" else {}


def test_a_slow_track_is_suspected_itself() -> None:
    found = suspected(SLOW, seen(outcomes(slow_track), deviation("latency_ms", "local")))
    assert named(found) == ["track local"] and found[0].score > 0.9 and "2000 where 1000 is usual" in found[0].evidence


def test_a_failing_track_is_suspected_itself() -> None:
    look = seen(outcomes(lambda one: {"error": 6.0} if one["track"] == "api" and one["draw"] < 0.2 else {}), deviation("error", "api", values=(0.2, 0.01)))
    assert named(suspected(raised("error", "api", observed=0.2, expected=0.01), look))[0] == "track api"


def test_a_throttled_host_goes_before_the_local_track_that_it_slows() -> None:
    look = seen(outcomes(slow_track), deviation("throttled", host="gpu", values=(1.0, 0.0)), deviation("latency_ms", "local", since=5.0))
    found = suspected(SLOW, look)
    assert named(found) == ["host gpu", "track local"] and found[0].score > 2 * found[1].score and "local depends on it" in found[0].evidence


def test_a_host_that_is_off_long_after_the_track_is_not_the_cause() -> None:
    look = seen(outcomes(slow_track), deviation("latency_ms", "local"), deviation("cpu_percent", host="gpu", effect=4.0, since=200.0))
    assert named(suspected(SLOW, look))[0] == "track local"


def test_a_host_explains_no_track_that_does_not_run_on_it() -> None:
    look = seen(outcomes(fine), deviation("throttled", host="gpu", values=(1.0, 0.0)), deviation("latency_ms", "api"))
    assert named(suspected(raised("latency_ms", "api"), look))[0] == "track api"


def test_a_client_whose_tokens_explode_goes_before_the_track() -> None:
    def off(one: dict[str, Any]) -> dict[str, float]:
        return {"output_tokens": 8.0, "input_tokens": 8.0, "cost_usd": 5.0, "latency_ms": 4.0} if one["client"] == "c3" else {}

    look = seen(outcomes(off), deviation("cost_usd", "api"), deviation("latency_ms", "api"), deviation("input_tokens", "api"), deviation("latency_ms", "local"))
    found = suspected(raised("cost_usd", "api"), look)
    assert named(found)[0] == "attribute client=c3" and found[0].score > 2 * found[1].score


@pytest.mark.parametrize(("share", "metric"), [(0.05, "cost_usd"), (0.2, "latency_ms")])
def test_a_client_with_few_requests_goes_first_whatever_the_alert_is_of(share: float, metric: str) -> None:
    """Its requests are off by less than two standard deviations."""
    rows = outcomes(fine, seconds=300.0)
    told = []
    for number, row in enumerate(rows):
        is_own = number % round(1.0 / share) == 0
        more = 1.7 if is_own and row.at >= ONSET else 0.0
        deviations = {name: value + (more if name in ("output_tokens", "input_tokens", metric) else 0.0) for name, value in row.deviations.items()}
        told.append(row._replace(attributes={"client": "few" if is_own else row.attributes["client"]}, deviations=deviations))
    found = suspected(raised(metric, "local"), seen(told, deviation(metric, "local", effect=4.0)))
    assert named(found)[0] == "attribute client=few" and found[0].score > found[1].score


def test_a_client_that_is_always_like_that_explains_nothing() -> None:
    rows = [row._replace(deviations={"latency_ms": 6.0 if row.attributes["client"] == "c3" else row.deviations["latency_ms"]}) for row in outcomes(fine)]
    assert contrasts(rows, ONSET, usual_rates(rows, ONSET), {"latency_ms"}) == []


def test_a_category_that_fails_is_named() -> None:
    look = seen(outcomes(lambda one: {"error": 6.0} if one["category"] == "code" else {}, seconds=30.0), deviation("error", "local", values=(0.5, 0.01)))
    assert named(suspected(raised("error", "local"), look))[0] == "category code"


def test_a_value_that_all_requests_share_explains_nothing() -> None:
    rows = outcomes(lambda one: {"latency_ms": 6.0})
    assert contrasts(rows, ONSET, usual_rates(rows, ONSET), {"latency_ms"}) == []


@pytest.mark.parametrize("kind", ["configuration", "version"])
def test_a_change_shortly_before_the_onset_goes_first(kind: Any) -> None:
    look = seen(outcomes(slow_track)[:620], deviation("latency_ms", "local"))
    found = suspected(SLOW, look, changed(kind, 20.0, "local" if kind == "version" else None))
    assert named(found) == [f"{kind} e1", "track local"] and "20 s before the onset" in found[0].evidence


def test_a_change_long_before_is_none_and_one_after_neither() -> None:
    look = seen(outcomes(slow_track), deviation("latency_ms", "local"))
    assert named(suspected(SLOW, look, changed("configuration", 3000.0), changed("configuration", -90.0))) == ["track local"]
    assert named(suspected(SLOW, look, changed("configuration", 900.0)))[0] == "track local"


def test_a_change_of_another_track_does_not_fit() -> None:
    look = seen(outcomes(slow_track), deviation("latency_ms", "local"))
    assert named(suspected(SLOW, look, changed("version", 20.0, "api"))) == ["track local"]


def test_what_is_changed_all_the_time_says_little() -> None:
    look = seen(outcomes(slow_track), deviation("latency_ms", "local"))
    often = [changed("policy", 60.0 * number + 30.0, name=f"p{number}") for number in range(30)]
    assert named(suspected(SLOW, look, *reversed(often)))[0] == "track local"


def test_an_ejection_follows_from_errors_of_its_track_and_may_burden_another() -> None:
    failing = seen(outcomes(fine), deviation("error", "api", values=(0.5, 0.01)))
    assert named(suspected(raised("error", "api"), failing, changed("ejection", -5.0, "api", "api")))[0] == "track api"
    burdened = seen(outcomes(slow_track), deviation("latency_ms", "local"), deviation("arrival_rate", "local", values=(4.0, 2.0)))
    assert named(suspected(SLOW, burdened, changed("ejection", 10.0, "api", "api")))[0] == "ejection api"


def test_more_traffic_explains_a_slow_track() -> None:
    look = seen(outcomes(slow_track), deviation("latency_ms", "local"), deviation("arrival_rate", "local", values=(8.0, 2.0)))
    assert named(suspected(SLOW, look)) == ["traffic local", "track local"]


def test_two_slow_tracks_of_a_provider_are_the_providers() -> None:
    config = OptimizationConfig(tracks=(Track(name="a", provider="p"), Track(name="b", provider="p"), Track(name="c")))
    look = seen(outcomes(fine, tracks=("a", "b", "c")), deviation("latency_ms", "a"), deviation("latency_ms", "b"))
    assert named(suspected(raised("latency_ms", "a"), look, config=config))[0] == "provider p"
    one = seen(outcomes(fine, tracks=("a", "b", "c")), deviation("latency_ms", "a"))
    assert named(suspected(raised("latency_ms", "a"), one, config=config)) == ["track a"]


def test_one_slow_stage_goes_before_its_track_and_the_track_where_all_are_slow() -> None:
    edges = [("local", "local/queue"), ("local", "local/prefill"), ("local", "local/decode")]
    one = seen(outcomes(slow_track), deviation("latency_ms", "local"), deviation("stages.queue", "local"))._replace(calls=edges)
    assert named(suspected(SLOW, one)) == ["stage local/queue", "track local"]
    stages = [deviation(f"stages.{name}", "local") for name in ("queue", "prefill", "decode")]
    every = seen(outcomes(slow_track), deviation("latency_ms", "local"), *stages)._replace(calls=edges)
    assert named(suspected(SLOW, every))[0] == "track local"


def test_a_stuck_gauge_is_the_hosts() -> None:
    found = suspected(raised("kv_cache_percent", host="gpu", observed=40.0, expected=41.0), seen(outcomes(fine)))
    assert named(found) == ["host gpu"] and found[0].metric == "kv_cache_percent"


def test_names_do_not_matter() -> None:
    """The same trouble with other names: the same scores."""
    config = OptimizationConfig(tracks=(Track(name="x", uses_local_resources=True), Track(name="a")))
    first = suspected(SLOW, seen(outcomes(slow_track), deviation("throttled", host="gpu"), deviation("latency_ms", "local")))
    rows = [judged._replace(track={"local": "x", "api": "a"}[judged.track]) for judged in outcomes(slow_track)]
    other = suspected(raised("latency_ms", "x"), seen(rows, deviation("throttled", host="zz"), deviation("latency_ms", "x")), config=config)
    assert [(one.kind, one.score) for one in first] == [(one.kind, one.score) for one in other]


def test_a_new_version_is_seen_in_the_attributes() -> None:
    deployments = Deployments()
    early = [deployments.observe("local", {"version": "1"}, ONSET + number) for number in range(40)]
    found = deployments.observe("local", {"version": "2"}, ONSET + 40.0)
    assert not any(early) and [(one.kind, one.name, one.track) for one in found] == [("version", "version=2", "local")]


def test_a_version_that_takes_over_is_a_deployment_too() -> None:
    deployments = Deployments()
    values = ["1", "1", "1", "2"] * 30 + ["2"] * 30
    found = [change for at, value in enumerate(values) for change in deployments.observe("local", {"version": value}, float(at))]
    assert found and {one.name for one in found} == {"version=2"} and " % after " in found[0].said
    again = Deployments()
    again.restore(deployments.snapshot())
    assert again.snapshot() == deployments.snapshot()


def test_calls_that_are_configured_lead_to_the_callee() -> None:
    config = OptimizationConfig.model_validate({"tracks": [{"name": "web"}, {"name": "db"}], "signals": {"calls": [("web", "db")]}})
    look = seen(outcomes(fine, tracks=("web", "db")), deviation("latency_ms", "web"), deviation("latency_ms", "db"))
    assert named(suspected(raised("latency_ms", "web"), look, config=config)) == ["track db", "track web"]
    assert Relations(config).provider("web") is None
