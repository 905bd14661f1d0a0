"""The examples in docs run against a real server: curl, and TypeScript on Node."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from serving import TOKEN, caught_up, node, serving

DOCS = Path(__file__).parent.parent / "docs"


def run(command: list[str], url: str) -> str:
    """What a program says, which must succeed."""
    env = os.environ | {"POINTSMAN_URL": url, "URL": url, "POINTSMAN_TOKEN": TOKEN, "TOKEN": TOKEN}
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_example_with_curl() -> None:
    with serving() as client:
        said = run(["sh", str(DOCS / "examples" / "serve.sh")], str(client.base_url).rstrip("/"))
        state = client.get("/v1/status").json()["chat"]
    assert said.startswith("track: ") and '{"accepted":2,"rejected":0' in said and "id: chat/1/0" in said
    assert state["in_flight"] == 0 and sum(track["completed"] for track in state["tracks"].values()) == 1


def test_the_example_in_typescript() -> None:
    command = [node(), str(DOCS / "examples" / "router.ts")]
    with serving() as client:
        said = run(command, str(client.base_url).rstrip("/"))
        state, rows = client.get("/v1/status").json()["chat"], caught_up(client, "0")
    assert said.count("routed to") == 10 and f"'prediction.issued/1': {sum(data['type'] == 'prediction.issued/1' for *_, data in rows)}" in said
    assert sum(track["completed"] for track in state["tracks"].values()) == 10


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_lines_in_the_documentation() -> None:
    text = (DOCS / "http.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("curl ")]
    with serving() as client:
        answers = [run(["sh", "-c", line], str(client.base_url).rstrip("/")) for line in lines]
    assert json.loads(answers[0]) == {"status": "ok"} and json.loads(answers[1])["track"] in ("local", "api")
    assert [json.loads(answer)["accepted"] for answer in answers[2:4]] == [1, 1]
    assert json.loads(answers[4])["chat"]["events"] == 2 and json.loads(answers[5])["track"] == "local"
    assert "id: chat/1/0" in answers[6]


def test_the_documentation_has_every_endpoint_and_setting() -> None:
    text = (DOCS / "http.md").read_text()
    with serving() as client:
        paths = client.get("/openapi.json").json()["paths"]
        assert all(re.sub(r"{\w+}", "{id}", path) in text for path in paths)
    from pointsman.schemas.settings import ServeSettings

    shown = dict(line.split("#")[0].split(" = ") for line in text.partition("[serve]\n")[2].partition("```")[0].splitlines())
    assert {name.strip(): json.loads(value) for name, value in shown.items()} == ServeSettings().model_dump()
