"""A fault in the demo's recording becomes one incident with its cause: in the terminal, in a webhook and on the page."""

from pathlib import Path
from typing import Any

import pytest
from browsing import chromium, opened
from click.testing import CliRunner
from hooking import hook, whole
from playwright.sync_api import expect
from serving import TOKEN, serving

from pointsman.schemas import encode
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.demo import CONFIG, RECORDING
from pointsman.streams.inject import read_events

DEMO = CONFIG.model_copy(update={"learners": "light"})


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that has lived through the demo's recording with a slow endpoint towards its end, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("fault")
    words = ["inject", str(RECORDING), "--fault", "latency", "--track", "api", "--factor", "3", "--at", "31m", "--for", "5m"]
    result = CliRunner().invoke(main, [*words, "--output", str(folder / "faulty.jsonl.gz")])
    assert result.exit_code == 0, result.output
    with Optimizer.open(str(folder / "demo.db"), DEMO) as optimizer:
        said = optimizer.record_many(read_events(folder / "faulty.jsonl.gz"))
    (folder / "said.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in said))
    return folder


def cause(incident: dict[str, Any]) -> tuple[str, str, str]:
    """The first suspect: kind, name and metric."""
    first = incident["suspects"][0]
    return first["kind"], first["name"], first["metric"]


@pytest.mark.parametrize("place", ["demo.db", "said.jsonl"])
def test_the_terminal_has_one_incident_and_names_its_cause(faulty: Path, place: str) -> None:
    listed = CliRunner().invoke(main, ["incidents", str(faulty / place)])
    one = CliRunner().invoke(main, ["incidents", str(faulty / place), "incident-1"])
    assert listed.exit_code == one.exit_code == 0, listed.output + one.output
    assert listed.output.count("incident-") == 1
    assert "track api" in one.output


def test_the_webhook_is_told_of_one_incident_with_its_cause(faulty: Path) -> None:
    with hook() as receiver:
        result = whole(faulty / "said.jsonl", [{"url": receiver.url}])
        opened = [said["data"] for said in receiver.taken if said["type"] == "incident.opened/1"]
    assert result.returncode == 0, result.stderr
    assert [(one["incident"], cause(one)) for one in opened] == [("incident-1", ("track", "api", "latency_ms"))]


def test_the_page_shows_one_incident_with_its_cause(faulty: Path) -> None:
    with serving(faulty / "demo.db", DEMO) as client, chromium() as browser, opened(browser) as page:
        page.goto(f"{client.base_url}/#token={TOKEN}")
        expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=15_000)
        incident = page.locator("#incidents [data-incident]")
        expect(incident).to_have_count(1)
        expect(incident.locator("[data-part=Suspected] li").first).to_contain_text("track api")
