"""An outage from its recording to where people look: one incident with its cause in the terminal, in a webhook, on the board and on the page."""

import json
from pathlib import Path

import outage
import pytest
from alertmanaging import until
from browsing import chromium, opened
from click.testing import CliRunner
from hooking import hook, telling, whole
from playwright.sync_api import expect
from serving import TOKEN, serving
from test_page_browser import AXE, post, violations, visit

from pointsman.schemas import AlertAcknowledged, encode
from pointsman.streams.cli import main


def test_a_replayed_outage_is_one_incident_with_its_cause_in_the_terminal_and_in_a_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in (*outage.before(), *outage.during(), *outage.after())))
    Path("config.toml").write_text('learners = "light"\n[[tracks]]\nname = "local"\n[[tracks]]\nname = "api"\n')
    run = CliRunner()
    assert run.invoke(main, ["replay", "in.jsonl", "--output", "out.jsonl", "--config", "config.toml"]).exit_code == 0
    (found,) = [json.loads(line) for line in run.invoke(main, ["incidents", "out.jsonl", "--json"]).output.splitlines()]
    assert (found["type"], found["suspects"][0]["kind"], found["suspects"][0]["name"]) == ("incident.resolved/1", "track", "local")
    page = run.invoke(main, ["incidents", "out.jsonl", found["incident"]], env={"COLUMNS": "200"}).output
    assert "1. track local" in page and "over  local/error/anomaly" in page and page.rstrip().endswith("resolved")
    with hook() as there:
        whole(tmp_path / "out.jsonl", [{"url": there.url}])
    assert [said["type"] for said in there.taken] == ["incident.opened/1", "incident.resolved/1"]
    assert there.taken[1]["data"] == found


def test_a_live_outage_is_told_by_webhook_and_shown_on_the_page_as_it_goes(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(config=outage.CONFIG) as client, hook() as there, chromium() as browser:
        post(client, outage.before())
        state = ("--from-start", "--state", tmp_path / "state.json")
        with (
            telling(client.base_url, [{"url": there.url}], *state, POINTSMAN_TOKEN=TOKEN),
            opened(browser, said=said, viewport={"width": 390, "height": 900}) as page,
        ):
            visit(page, client)
            expect(page.locator("#incidents")).to_have_text("No incident is open.")
            post(client, outage.during())
            until(lambda: there.taken)
            shown = page.locator('#incidents [data-incident="incident-1"]')
            expect(shown.locator("h3")).to_contain_text("error of local", timeout=15_000)
            expect(shown.locator('[data-part="Suspected"] li')).to_have_count(1)
            expect(shown.locator('[data-part="Suspected"] li').first).to_contain_text("track local")
            expect(shown.locator('[data-part="Alerts"] li').first).to_contain_text("local: error")
            expect(page.locator("#trouble")).to_have_text("◆ One incident is open, critical: track local is suspected. Nobody looks after it yet.")
            expect(page).to_have_title("◆ chat · Pointsman")
            now = outage.during()[-1]
            said_by = AlertAcknowledged(event_id="ack", scope=now.scope, occurred_at=now.occurred_at, incident="incident-1", by="Kim")
            post(client, [said_by])
            expect(page.locator("#trouble")).to_contain_text("Kim looks after it.", timeout=15_000)
            expect(shown.locator('[data-part="Looks like"]')).to_be_hidden()
            expect(page.locator("#feed")).to_contain_text("incident-1, ")
            page.evaluate(AXE)
            assert violations(page) == [] and page.evaluate("document.documentElement.scrollWidth") == 390
            post(client, outage.after())
            until(lambda: len(there.taken) == 3)
            expect(page.locator("#trouble")).to_be_hidden(timeout=15_000)
            expect(page.locator("#incidents")).to_have_text("No incident is open.", timeout=15_000)
            page.locator("#past-incidents-box summary").first.click()
            expect(page.locator("#past-incidents h3")).to_contain_text("resolved · error of local")
            expect(page.locator("#feed")).to_contain_text("incident-1 is over after")
            assert violations(page) == []
    assert [one["type"] for one in there.taken] == ["incident.opened/1", "incident.updated/1", "incident.resolved/1"] and said == []
