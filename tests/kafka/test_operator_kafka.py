"""The operator's scope on a real broker: scopes, worker, reporter, and back into the journal."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deployment import Deployment, stop
from test_operator import CONFIG, failing

from pointsman.schemas import IncidentOpened, decode_output
from pointsman.schemas.settings import KafkaSettings

pytestmark = pytest.mark.kafka
DEADLINE_S = 60.0


def reporter(settings: KafkaSettings, folder: Path) -> subprocess.Popen[bytes]:
    """`pointsman operator` as a process."""
    environment = os.environ | {"POINTSMAN_KAFKA": settings.model_dump_json(exclude_none=True), "POINTSMAN_OPERATOR__SCOPE": "operator"}
    with (folder / "operator.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "pointsman.streams.cli", "operator"], env=environment, stdout=log, stderr=log)


def opened(deployment: Deployment, enough: int) -> list[IncidentOpened]:
    """The incidents that were opened in the operator's scope, once there are so many."""
    end, known = time.monotonic() + DEADLINE_S, 1
    while True:
        outputs = deployment.outputs(known)
        lines = [line for (topic, scope), rows in outputs.items() if (topic, scope) == ("incidents", "operator") for line in rows]
        found = [one for one in map(decode_output, lines) if isinstance(one, IncidentOpened)]
        if len(found) >= enough or time.monotonic() > end:
            return found
        known = sum(map(len, outputs.values()))


def test_what_two_scopes_see_is_opened_for_the_operator_and_not_twice_after_a_restart(bootstrap: str, tmp_path: Path) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    with Deployment(bootstrap, "operator", tmp_path, CONFIG) as deployment:
        try:
            deployment.start("one")
            deployment.publish(failing(("chat", "mail")))
            processes.append(reporter(deployment.settings, tmp_path))
            (incident,) = opened(deployment, 1)
            assert incident.scopes == ("chat", "mail") and incident.tracks == ("api",)
            assert stop(processes[0]) == 0
            processes.append(reporter(deployment.settings, tmp_path))
            deployment.publish([event.model_copy(update={"occurred_at": event.occurred_at + 7200.0}) for event in failing(("code", "batch"))])
            assert [one.scopes for one in opened(deployment, 2)] == [("chat", "mail"), ("batch", "code")]
            assert stop(processes[1]) == 0
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                process.wait()


def test_without_a_scope_it_says_what_to_add(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pointsman.streams.cli", "operator"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2 and "[operator]" in done.stderr
