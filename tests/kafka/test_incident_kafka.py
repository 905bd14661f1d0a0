"""An incident through a real broker: a fault, what people say of it, and a worker that is killed while it is open."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from deployment import Deployment, count, stop
from signalling import CONFIG
from test_signal_laws import course

from pointsman.schemas import IncidentOpened, IncidentResolved, decode_output
from pointsman.streams.cli import main
from pointsman.streams.topics import specs

pytestmark = pytest.mark.kafka


def test_an_incident_outlives_the_worker_that_opened_it(bootstrap: str, tmp_path: Path) -> None:
    whole = course()
    opened = next(place for place, said in enumerate(whole.said) if any(isinstance(one, IncidentOpened) for one in said))
    with Deployment(bootstrap, "incident", tmp_path, CONFIG, snapshot_interval_s=0.0, commit_interval_s=0.1) as deployment:
        expected = deployment.expected(whole.events)
        deployment.publish(whole.events[: opened + 40])
        worker = deployment.start("one")
        deployment.outputs(count(deployment.expected(whole.events[: opened + 40])))
        worker.kill()
        worker.wait()
        deployment.publish(whole.events[opened + 40 :])
        again = deployment.start("one")
        found = deployment.outputs(count(expected))
        assert found == expected
        assert stop(again) == 0
        assert {IncidentOpened, IncidentResolved} <= {type(decode_output(line)) for line in found["incidents", "chat"]}


def test_the_topics_of_incidents_and_controls_are_made(bootstrap: str, tmp_path: Path) -> None:
    made = Deployment(bootstrap, "topics", tmp_path, CONFIG)
    checked = said(made, "topics", "--check")
    assert "missing" not in checked
    names = {spec.name.removeprefix(made.settings.topic_prefix) for spec in specs(made.settings)}
    assert {"controls", "alerts", "incidents", "objectives", "bottlenecks"} <= names


def said(deployment: Deployment, *words: str) -> str:
    """What a command says in the deployment's environment."""
    result = CliRunner().invoke(main, [*words], env=deployment.environment())
    assert result.exit_code == 0, result.output
    return result.output
