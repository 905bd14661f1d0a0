"""The callback in LiteLLM's proxy, by its YAML configuration: the real application, its own process."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gateway
import yaml
from gateway import experienced, journaled
from programs import lacking
from serving import TOKEN, serving
from test_litellm_docs import block

from pointsman.schemas import OptimizationConfig, RequestCompleted, RequestStarted, Track

TESTS = Path(__file__).parent


def proxied(folder: Path, **settings: str) -> dict[str, Any]:
    """What the proxy answers, with the callback as the page names it."""
    if importlib.util.find_spec("websockets") is None or importlib.util.find_spec("apscheduler") is None:
        lacking("litellm's proxy is not here: pip install 'litellm[proxy]'")
    config = yaml.safe_load(block("yaml"))
    config["model_list"] = [
        gateway.deployment("good"),
        gateway.deployment("poor"),
        gateway.deployment("bad", "broken", "litellm.InternalServerError"),
        gateway.deployment("spare", "backup"),
    ]
    config["litellm_settings"] |= {"fallbacks": [{"broken": ["backup"]}], "num_retries": 1}
    config["general_settings"] = {"master_key": "sk-test"}
    (folder / "proxy.yaml").write_text(yaml.safe_dump(config))
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    environment = os.environ | {"PYTHONPATH": paths, "LITELLM_LOCAL_MODEL_COST_MAP": "True"} | {f"POINTSMAN_{name}": value for name, value in settings.items()}
    command = [sys.executable, str(TESTS / "litellm_proxy.py"), str(folder / "proxy.yaml")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_proxy_reports_every_attempt_and_follows_the_policy(tmp_path: Path) -> None:
    experienced(tmp_path / "p.db")
    before = len(journaled(tmp_path / "p.db"))
    told = proxied(
        tmp_path,
        LITELLM__PLACE=str(tmp_path / "p.db"),
        LITELLM__MODE="apply",
        TRACKS='[{"name": "good"}, {"name": "poor"}, {"name": "bad"}, {"name": "spare"}]',
    )
    assert told["counts"] == [28, 0, 0, 0]
    events = journaled(tmp_path / "p.db")[before:]
    starts = [event for event in events if isinstance(event, RequestStarted)]
    ends = {(event.request_id, event.track): event for event in events if isinstance(event, RequestCompleted)}
    assert [(start.request_id, start.track) for start in starts[:10]] == [tuple(pair) for pair in told["found"]]
    assert sum(start.track == "good" for start in starts[:11]) >= 9 and all(start.category == "mail" for start in starts[:10])
    assert [end.ttft_ms is not None for end in ends.values()].count(True) == 1
    failed, _ = told["failed_over"]
    assert [(start.request_id, start.track) for start in starts[11:]] == [(failed, "bad"), (f"{failed}~2", "bad"), (failed, "spare")]
    assert [ends[failed, "bad"].failure_class, ends[f"{failed}~2", "bad"].failure_class, ends[failed, "spare"].success] == ["provider", "provider", True]
    assert not any(b"launch" in file.read_bytes() for file in tmp_path.glob("p.db*"))


def test_a_proxy_reports_to_a_server(tmp_path: Path) -> None:
    config = OptimizationConfig(tracks=tuple(Track(name=name) for name in ("good", "poor", "bad", "spare")))
    with serving(config=config) as client:
        told = proxied(tmp_path, LITELLM__PLACE=str(client.base_url), TOKEN=TOKEN)
        tracks = client.get("/v1/status?scope=litellm").json()["litellm"]["tracks"]
    assert told["counts"] == [28, 0, 0, 0]
    assert sum(track["completed"] for track in tracks.values()) == 14 and tracks["bad"]["completed"] == 2
