"""The callback in LiteLLM's proxy, by its YAML configuration: the real application, its own process."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gateway
import httpx
import yaml
from gateway import experienced, journaled, until
from programs import lacking
from serving import TOKEN, serving
from test_litellm_docs import block

from pointsman.schemas import OptimizationConfig, RequestCompleted, RequestStarted, Track

TESTS = Path(__file__).parent


def needs_proxy() -> None:
    """Fail in CI, skip elsewhere, where the proxy's packages are not installed."""
    if importlib.util.find_spec("websockets") is None or importlib.util.find_spec("apscheduler") is None:
        lacking("litellm's proxy is not here: pip install 'litellm[proxy]'")


def proxied(folder: Path, **settings: str) -> dict[str, Any]:
    """What the proxy answers, with the callback as the page names it."""
    needs_proxy()
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


@contextmanager
def listening(folder: Path, config: dict[str, Any], **settings: str) -> Iterator[httpx.Client]:
    """`litellm --config` on a socket of its own."""
    (folder / "proxy.yaml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    environment = os.environ | {"PYTHONPATH": paths, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": "sk-test-of-some-length"}
    command = [sys.executable, "-c", "from litellm import run_server; run_server()", "--config", "proxy.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment | settings, stdout=log, stderr=subprocess.STDOUT)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": "Bearer sk-test-of-some-length"}, timeout=60) as client:
                until(lambda: _lives(client, process), 180.0)
                yield client
        finally:
            process.kill()
            process.wait(20)


def _lives(client: httpx.Client, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise RuntimeError("the proxy ended before it served")
    try:
        return client.get("/health/liveliness").status_code == 200
    except httpx.TransportError:
        return False


def test_a_proxy_on_a_socket_reports_calls_and_streams_with_their_trace(tmp_path: Path) -> None:
    needs_proxy()
    config = yaml.safe_load(block("yaml"))
    for deployment in config["model_list"]:
        deployment["litellm_params"] |= {"api_key": "none", "mock_response": "An answer."}
    tracks = OptimizationConfig(tracks=(Track(name="api"), Track(name="local")))
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with (
        serving(tmp_path / "p.db", tracks) as server,
        listening(tmp_path, config, POINTSMAN_LITELLM__PLACE=str(server.base_url), POINTSMAN_TOKEN=TOKEN) as client,
    ):
        asked = {"model": "chat", "messages": gateway.MESSAGES}
        client.post("/v1/chat/completions", json=asked, headers={"traceparent": trace}).raise_for_status()
        client.post("/v1/chat/completions", json=asked | {"stream": True}).raise_for_status()
        until(lambda: sum(row["completed"] for row in server.get("/v1/status").json()["litellm"]["tracks"].values()) == 2, 60.0)
    events = journaled(tmp_path / "p.db")
    first, second = (event for event in events if isinstance(event, RequestStarted))
    ended = {event.request_id: event for event in events if isinstance(event, RequestCompleted)}
    assert first.traceparent == trace and all(end.success for end in ended.values())
    assert (ended[first.request_id].ttft_ms is None, ended[second.request_id].ttft_ms is None) == (True, False)
