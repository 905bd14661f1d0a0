"""What `/metrics`, the rules and the dashboard are worth to a real Prometheus that scrapes a real server after real traffic."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from alertmanaging import alertmanager, until
from documents import blocks
from metrics_table import table
from programs import program
from prometheus_client.parser import text_string_to_metric_families
from prometheus_process import Prometheus, prometheus
from serving import TOKEN, serving

from pointsman.schemas import Budget
from pointsman.streams.demo import CONFIG, RECORDING
from pointsman.streams.recording import read_lines

ROOT = Path(__file__).parents[1]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "ops/grafana/pointsman.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# What the demo's traffic has nothing of: advice without [[scaling]], a limit in sight, a subscriber cut off.
EMPTY = ("pointsman_scaling_", "pointsman_objective_", "pointsman_forecast_time_to_limit_seconds", "ALERTS")


def extras(at: float, part: int) -> list[dict[str, Any]]:
    """What the demo's recording has nothing of: failures, quality, cache hits, a laptop's resources, and an event that is refused."""
    done = {"type": "request.completed/1", "scope": "demo", "occurred_at": at, "track": "api", "latency_ms": 900.0}
    host = {"cpu_percent": 40.0, "memory_used_mb": 3000.0, "battery_percent": 80.0, "temperature_c": 50.0}
    return [
        done | {"event_id": f"f{part}", "request_id": f"f{part}", "success": False, "failure_class": "provider"},
        done | {"event_id": f"q{part}", "request_id": f"q{part}", "success": True, "quality_score": 0.75, "cache_hit": True},
        {"type": "resource.sampled/1", "event_id": f"h{part}", "scope": "demo", "occurred_at": at, "host": "laptop", **host},
        {"type": "nonsense/1", "event_id": f"n{part}"},
    ]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Prometheus]]:
    """A server with a quarter of the demo's traffic, and a Prometheus that saw it come in three parts."""
    lines = [line for _, line in read_lines(RECORDING)][:2400]
    config = CONFIG.model_copy(update={"budget": Budget(usd_per_hour=2.0)})
    with serving(config=config) as client, prometheus(tmp_path_factory.mktemp("prometheus"), client.base_url.netloc.decode(), TOKEN) as asked:
        sent = 0.0
        for part in range(3):
            batch = lines[800 * part : 800 * (part + 1)]
            added = [json.dumps(event).encode() for event in extras(json.loads(batch[-1])["occurred_at"], part)]
            posted = client.post("/v1/events", content=b"\n".join([*batch, *added]), headers={"content-type": "application/x-ndjson"}).json()
            assert posted["rejected"] == 1
            sent += posted["accepted"]
            until(lambda: asked.number("pointsman_events_accepted_total") == sent)  # noqa: B023
        yield client, asked


@pytest.fixture(scope="module")
def exposition(live: tuple[httpx.Client, Prometheus]) -> str:
    client, _ = live
    return client.get("/metrics").raise_for_status().text


def queries(panel: dict[str, Any]) -> list[str]:
    """The panel's queries with everything chosen, as Grafana asks them."""
    found = [target["expr"] for target in panel["targets"]]
    return [text.replace("$__rate_interval", "1m").replace("$scope", ".*").replace("$track", ".*") for text in found]


def test_promtool_finds_nothing_to_say_of_the_exposition(exposition: str) -> None:
    checked = subprocess.run([program("promtool", ["prometheus"]), "check", "metrics"], input=exposition, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_every_metric_has_help_and_a_unit_of_the_base_units(exposition: str) -> None:
    families = [family for family in text_string_to_metric_families(exposition) if family.name.startswith("pointsman_")]
    assert all(family.documentation.endswith(".") for family in families)
    assert not [family.name for family in families if re.search(r"_(ms|mb|percent|minutes|hours)$", family.name)]


def test_what_is_counted_is_what_was_sent(live: tuple[httpx.Client, Prometheus]) -> None:
    _, asked = live
    completed = [json.loads(line) for _, line in list(read_lines(RECORDING))[:2400] if b'"request.completed/1"' in line]
    api = [event for event in completed if event["track"] == "api"]
    assert asked.number('sum(pointsman_requests_total{track="local"})') == len(completed) - len(api)
    assert asked.number('pointsman_requests_total{track="api",outcome="provider"}') == 3
    assert asked.number('pointsman_cost_usd_total{track="api"}') == pytest.approx(sum(event["cost_usd"] for event in api))
    assert asked.number('pointsman_request_latency_seconds_sum{track="api"}') == pytest.approx(sum(event["latency_ms"] for event in api) / 1000.0 + 2.7)
    assert asked.number('pointsman_request_quality_ratio_sum{track="api"}') == 2.25
    assert asked.number('pointsman_resource_memory_used_bytes{host="laptop"}') == 3e9
    assert asked.number("pointsman_limit_gpu_memory_bytes") == 24.5e9
    assert asked.number('pointsman_budget_limit_usd{budget="usd_per_hour"}') == 2.0
    assert asked.number('pointsman_events_rejected_total{code="unknown_type"}') == 3


def test_requests_in_flight_are_those_that_the_server_has_in_flight(live: tuple[httpx.Client, Prometheus]) -> None:
    client, asked = live
    tracks = client.get("/v1/status", params={"scope": "demo"}).json()["demo"]["tracks"]
    assert {name: asked.number(f'pointsman_requests_in_flight{{track="{name}"}}') for name in tracks} == {
        name: track["in_flight"] for name, track in tracks.items()
    }


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_every_query_of_the_dashboard_gives_data(live: tuple[httpx.Client, Prometheus], panel: dict[str, Any]) -> None:
    _, asked = live
    for expression in queries(panel):
        found = asked.ask(expression)
        assert found or any(name in expression for name in EMPTY), expression


def test_every_metric_that_the_rules_name_is_exposed_or_listed_as_absent(exposition: str) -> None:
    text = (ROOT / "ops/prometheus/alerts.yml").read_text()
    named = set(re.findall(r"(?<![:\w])pointsman_\w+", "\n".join(line for line in text.splitlines() if "record:" not in line)))
    assert {name for name in named if f"{name}{{" not in exposition and f"{name} " not in exposition and not name.startswith(EMPTY)} == set()


def test_the_rules_evaluate_and_none_fires_on_healthy_traffic(live: tuple[httpx.Client, Prometheus]) -> None:
    _, asked = live
    until(lambda: asked.ask("scope_track:pointsman_success:ratio_rate5m"))
    rules = [rule for group in httpx.get(f"{asked.url}/api/v1/rules").json()["data"]["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] == "err"} == {}
    assert not [rule["name"] for rule in rules if rule.get("state") == "firing"]


@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_the_rules_pass_promtool(command: list[str]) -> None:
    checked = subprocess.run([program("promtool", ["prometheus"]), *command], cwd=ROOT / "ops/prometheus", capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_rule_has_a_unit_test() -> None:
    groups = yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())["groups"]
    tests = yaml.safe_load((ROOT / "ops/prometheus/alerts_test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule} == fired


def test_the_configurations_pass_their_own_tools(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "compose.yml"):
        text = (ROOT / "ops/prometheus" / name).read_text().replace("/run/secrets/token", "token")
        (tmp_path / name).write_text(text.replace('"alerts.yml"', f'"{ROOT / "ops/prometheus/alerts.yml"}"'))
        (tmp_path / "token").touch()
        subprocess.run([program("promtool", ["prometheus"]), "check", "config", tmp_path / name], check=True, capture_output=True)
    subprocess.run(
        [program("amtool", ["prometheus-alertmanager"]), "check-config", ROOT / "ops/alertmanager/alertmanager.yml"], check=True, capture_output=True
    )


def test_the_documentation_has_the_table_of_metrics_and_every_rule() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    groups = yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())["groups"]
    assert table() in text
    assert all(f"| `{rule['alert']}` |" in text for group in groups for rule in group["rules"] if "alert" in rule)


def test_the_example_of_the_documentation(live: tuple[httpx.Client, Prometheus], tmp_path: Path) -> None:
    client, _ = live
    program("promtool", ["prometheus"])
    program("amtool", ["prometheus-alertmanager"])
    (example,) = blocks("bash", ROOT / "docs" / "monitoring.md")
    (tmp_path / "pointsman").write_text(f'#!/bin/sh\nexec {sys.executable} -m pointsman.streams.cli "$@"\n')
    (tmp_path / "pointsman").chmod(0o755)
    with alertmanager(tmp_path / "alertmanager") as (manager, _):
        own = {"URL": str(client.base_url).rstrip("/"), "POINTSMAN_TOKEN": TOKEN, "ALERTMANAGER": manager.url, "PYTHONPATH": os.pathsep.join(sys.path)}
        env = os.environ | own | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
        said = subprocess.run(["bash", "-c", example.text], env=env, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.count('"accepted":1') == 2 and "PointsmanConstraint" in said and "gpu-1/cpu_percent in scope chat is 97" in said


def test_the_dashboard_is_what_its_generator_prints() -> None:
    printed = subprocess.run([sys.executable, ROOT / "ops/grafana/dashboard.py"], capture_output=True, check=True)
    assert printed.stdout == (ROOT / "ops/grafana/pointsman.json").read_bytes()


def test_the_dashboard_comes_back_unchanged_through_grafanas_own_schema() -> None:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))
    assert missing(DASHBOARD, read) == []


def missing(written: Any, read: Any, place: str = "") -> list[str]:
    """Where something that was written is not there, or is another value."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [found for key, value in written.items() for found in missing(value, read.get(key), f"{place}.{key}")]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [found for number, value in enumerate(written) for found in missing(value, read[number], f"{place}[{number}]")]
    return [] if written == read else [f"{place}: {written!r} became {read!r}"]


def test_panels_have_a_description_a_unit_and_a_place_of_their_own() -> None:
    assert all(panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS)
    taken = [(x, y) for panel in DASHBOARD["panels"] for x, y in cells(panel["gridPos"])]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def cells(grid: dict[str, int]) -> list[tuple[int, int]]:
    """The cells of the grid that a panel covers."""
    return [(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])]
