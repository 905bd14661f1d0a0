"""What stands in docker-compose.yml and the Dockerfile is what the program knows; no engine runs here."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import yaml

from pointsman.schemas.settings import KafkaSettings
from pointsman.streams.cli import main

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "ops/prometheus/compose.yml").read_text())


def test_compose_sets_only_what_the_settings_read() -> None:
    for service in ("topics", "worker"):
        for name, value in COMPOSE["services"][service]["environment"].items():
            field = name.removeprefix("POINTSMAN_KAFKA__").lower()
            assert KafkaSettings.model_validate({field: value})


def test_compose_calls_commands_and_options_that_exist() -> None:
    for service in (name for name, found in COMPOSE["services"].items() if "build" in found):
        command, *options = COMPOSE["services"][service]["command"]
        found = main.get_command(click.Context(main), command)
        assert found is not None
        known = {option for parameter in found.params for option in parameter.opts}
        assert {option for option in options if option.startswith("--")} <= known


def test_compose_mounts_files_that_are_there_and_volumes_that_are_named() -> None:
    mounted = [volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", ())]
    assert all((ROOT / place).exists() if place.startswith("./") else place in COMPOSE["volumes"] for place in mounted)


def test_services_that_compose_names_to_each_other_are_there() -> None:
    targets = [target for job in PROMETHEUS["scrape_configs"] for target in job["static_configs"][0]["targets"]]
    targets += [target for found in PROMETHEUS["alerting"]["alertmanagers"] for target in found["static_configs"][0]["targets"]]
    (source,) = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    urls = [urlsplit(text).netloc for text in (*COMPOSE["services"]["alerts"]["command"], source["url"]) if "://" in text]
    assert {place.split(":")[0] for place in (*targets, *urls)} == {"serve", "alertmanager", "prometheus"}


def test_both_configurations_of_prometheus_differ_by_names_only() -> None:
    own = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())
    assert own["rule_files"] == PROMETHEUS["rule_files"] and own["scrape_configs"][0]["job_name"] == PROMETHEUS["scrape_configs"][0]["job_name"] == "pointsman"


def test_ports_are_published_on_loopback_only() -> None:
    assert all(port.startswith("127.0.0.1:") for service in COMPOSE["services"].values() for port in service.get("ports", ()))


def test_the_image_is_made_of_files_that_are_there() -> None:
    lines = (ROOT / "ops" / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    entry = next(line for line in lines if line.startswith("ENTRYPOINT"))
    assert json.loads(entry.removeprefix("ENTRYPOINT ")) == ["pointsman"]
