"""What stands in docker-compose.yml and the Dockerfile is what the program knows; no engine runs here."""

import json
from pathlib import Path
from typing import Any

import click
import yaml

from pointsman.schemas.settings import KafkaSettings
from pointsman.streams.cli import main

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_compose_sets_only_what_the_settings_read() -> None:
    for service in ("topics", "worker"):
        for name, value in COMPOSE["services"][service]["environment"].items():
            field = name.removeprefix("POINTSMAN_KAFKA__").lower()
            assert KafkaSettings.model_validate({field: value})


def test_compose_calls_commands_and_options_that_exist() -> None:
    for service in ("topics", "worker"):
        command, *options = COMPOSE["services"][service]["command"]
        found = main.get_command(click.Context(main), command)
        assert found is not None
        known = {option for parameter in found.params for option in parameter.opts}
        assert {option for option in options if option.startswith("--")} <= known


def test_ports_are_published_on_loopback_only() -> None:
    assert all(port.startswith("127.0.0.1:") for service in COMPOSE["services"].values() for port in service.get("ports", ()))


def test_the_image_is_made_of_files_that_are_there() -> None:
    lines = (ROOT / "ops" / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    entry = next(line for line in lines if line.startswith("ENTRYPOINT"))
    assert json.loads(entry.removeprefix("ENTRYPOINT ")) == ["pointsman"]
