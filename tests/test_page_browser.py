"""The page in a real headless Chromium before a real server: what it shows, and that it goes on through whatever happens to the server."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import chromium, opened
from events import START, completed, sampled, started
from playwright.sync_api import Browser, Page, expect
from serving import TOKEN, serving

from pointsman.schemas import Budget, Constraints, Event, OptimizationConfig, RequestCompleted, RequestStarted, Track, encode

CONFIG = OptimizationConfig(
    tracks=(Track(name="local", max_concurrency=8), Track(name="api", cost_per_1k_output_tokens=0.6)),
    constraints=Constraints(max_cost_usd=0.001, max_cpu_percent=80.0),
    budget=Budget(usd_per_hour=1.0),
    learners="light",
)
AXE = (Path(__file__).parent / "data" / "axe" / "axe.min.js").read_text()
HOSTILE = [
    "<script>document.title='x'</script>",
    "\"quoted\" 'name' & <b>bold</b>",
    "\u202eright to left\u202c שלום",
    "long-" * 40,
]  # a scope; a track has 128 characters at most


def minutes(first: int, last: int, scope: str = "chat") -> list[Event]:
    """So many minutes of two tracks: ten requests a minute on each, and a host that reports."""
    events: list[Event] = []
    for number in range(first * 10, last * 10):
        at = number * 6.0
        for track, latency, cost in (("local", 400.0 + number % 7 * 50.0, 0.0), ("api", 1500.0 + number % 5 * 100.0, 0.004)):
            name = f"{track}-{number}"
            events.append(started(name, at, track, input_tokens=100 + number % 9))
            events.append(completed(name, at + latency / 1000.0, track, latency, ttft_ms=latency / 8, output_tokens=50, cost_usd=cost, quality_score=0.8))
        events.append(sampled(at, cpu_percent=60.0 + number % 30))
    return [event.model_copy(update={"scope": scope}) for event in sorted(events, key=lambda event: event.occurred_at)]


def post(client: httpx.Client, events: Sequence[Event]) -> None:
    body = b"\n".join(encode(event) for event in events)
    assert client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"}).json()["rejected"] == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(config=CONFIG) as found:
        post(found, minutes(0, 12))
        yield found


def visit(page: Page, client: httpx.Client, more: str = "", token: str = TOKEN) -> None:
    page.goto(f"{client.base_url}/{more}#token={token}")
    expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=15_000)


def board(client: httpx.Client, scope: str = "chat") -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/status", params={"scope": scope}).json()[scope]["board"]
    return found


def shows(page: Page, selector: str, value: Any) -> None:
    """Wait until an element's raw number is this one."""
    page.wait_for_function(
        "([selector, value]) => { const said = document.querySelector(selector)?.dataset.value;"
        " return value === null ? said === undefined : Number(said) === value; }",
        arg=[selector, value],
        timeout=15_000,
    )


def test_the_numbers_on_the_page_are_the_status_apis(browser: Browser, client: httpx.Client) -> None:
    with opened(browser) as page:
        visit(page, client)
        view = board(client)
        for name in ("rate_per_s", "success_share", "latency_p50_ms", "latency_p95_ms", "cost_usd_per_hour"):
            assert view[name] is not None
            shows(page, f'#headline [data-metric="{name}"]', view[name])
        shows(page, '[data-metric="alerts"]', len(view["alerts"]))
        for row in view["tracks"]:
            for name in ("share", "rate_per_s", "success_share", "latency_p50_ms", "cost_usd", "quality", "in_flight"):
                shows(page, f'tr[data-track="{row["track"]}"] [data-metric="{name}"]', row[name])
            shows(page, f'tr[data-track="{row["track"]}"] [data-metric="coverage"]', row["coverage"].get("latency_ms"))
            shows(page, f'tr[data-track="{row["track"]}"] [data-metric="predicted"]', row["predicted"]["latency_ms"]["median"])
        expect(page.locator("#recommended")).to_have_attribute("data-track", view["recommended"]["track"])
        expect(page.locator("#recommended .reasons li")).to_have_text(view["recommended"]["reasons"])
        for row in view["resources"]:
            shows(page, f'[data-gauge="{row["gauge"]}"] [data-metric="value"]', row["value"])
        for row in view["budgets"]:
            shows(page, f'#budgets [data-name="{row["name"]}"] [data-metric="value"]', row["spent"])
        for row in (row for row in view["forecasts"] if row["metric"] == "arrival_rate" and row["track"] is None):
            shows(page, f'#horizons [data-horizon="{row["horizon_s"]:g}"] td:nth-child(2)', row["median"])
        assert {alert["fingerprint"] for alert in view["alerts"]} == set(
            page.locator("#alerts .alert").evaluate_all("nodes => nodes.map(node => node.dataset.fingerprint)")
        )


def test_every_chart_is_drawn_and_says_what_it_shows(browser: Browser, client: httpx.Client) -> None:
    with opened(browser, viewport={"width": 1280, "height": 900}) as page:
        visit(page, client)
        for place, said in (("#traffic", "local"), ('#latency [data-track="api"]', "predicted"), ("#forecast", "90 % between")):
            page.locator(place).scroll_into_view_if_needed()
            expect(page.locator(f"{place} canvas")).to_be_visible()
            expect(page.locator(f"{place} .plot")).to_have_attribute("aria-label", re.compile(said))
        page.locator("#traffic .as-table").press("Enter")
        series = client.get("/v1/series", params={"scope": "chat"}).json()
        expect(page.locator("#traffic tbody tr")).to_have_count(len(series["tracks"]["api"]["end"]))


def test_what_happens_is_shown_without_a_reload(browser: Browser) -> None:
    with serving(config=CONFIG) as client, opened(browser) as page:
        page.goto(f"{client.base_url}/#token={TOKEN}")
        expect(page.locator("#asof")).to_contain_text("No events yet")
        expect(page.locator("#no-tracks")).to_be_visible()
        post(client, minutes(0, 3))
        expect(page.locator("#tracks tbody tr")).to_have_count(2, timeout=20_000)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        post(client, minutes(3, 6))
        expect(page.locator("#feed")).to_contain_text("local: 10 requests in 60", timeout=15_000)
        shows(page, '[data-metric="rate_per_s"]', board(client)["rate_per_s"])
        page.get_by_role("checkbox", name="Windows").uncheck()
        expect(page.locator("#feed")).not_to_contain_text("10 requests in 60")


def test_a_paused_list_counts_what_waits(browser: Browser) -> None:
    with serving(config=CONFIG) as client, opened(browser) as page:
        post(client, minutes(0, 3))
        visit(page, client)
        page.get_by_role("button", name="Pause").click()
        before = page.locator("#feed li").all_inner_texts()
        post(client, minutes(3, 6))
        expect(page.locator("#kinds button")).to_contain_text("new)", timeout=15_000)
        assert page.locator("#feed li").all_inner_texts() == before
        page.locator("#kinds button").click()
        expect(page.locator("#feed")).to_contain_text("10 requests in 60")


def test_it_goes_on_when_the_server_comes_back(browser: Browser, tmp_path: Path) -> None:
    with opened(browser) as page:
        with serving(tmp_path / "p.db", CONFIG) as client:
            port = client.base_url.port
            post(client, minutes(0, 3))
            visit(page, client)
            expect(page.locator("#tracks tbody tr")).to_have_count(2)
        expect(page.locator("#live")).not_to_have_attribute("data-state", "live", timeout=15_000)
        with serving(tmp_path / "p.db", CONFIG, port=port or 0) as client:
            expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=30_000)
            post(client, minutes(3, 8))
            shows(page, '[data-metric="rate_per_s"]', board(client)["rate_per_s"])
            expect(page.locator("#feed")).to_contain_text("10 requests in 60", timeout=15_000)


def test_a_new_token_is_asked_for_in_a_clear_sentence(browser: Browser, tmp_path: Path) -> None:
    with opened(browser) as page:
        with serving(tmp_path / "p.db", CONFIG) as client:
            port = client.base_url.port
            post(client, minutes(0, 3))
            visit(page, client)
        with serving(tmp_path / "p.db", CONFIG, port=port or 0, token="another one") as client:
            expect(page.get_by_role("dialog")).to_contain_text("does not take this token", timeout=30_000)
            page.get_by_label("Token", exact=True).fill("another one")
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=15_000)
            post(client, minutes(3, 8))
            shows(page, '[data-metric="rate_per_s"]', board(client)["rate_per_s"])


def test_the_token_is_asked_for_once_and_kept_for_the_tab(browser: Browser, client: httpx.Client) -> None:
    with opened(browser) as page:
        page.goto(str(client.base_url))
        page.get_by_label("Token", exact=True).fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("dialog")).to_contain_text("does not take this token")
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#tracks tbody tr")).to_have_count(2)
        page.reload()
        expect(page.locator("#tracks tbody tr")).to_have_count(2)
        assert page.evaluate("[sessionStorage.length, localStorage.length]") == [1, 0]


def test_a_token_in_the_address_is_taken_out_of_it(browser: Browser, client: httpx.Client) -> None:
    with opened(browser) as page:
        visit(page, client, "?scope=chat")
        assert page.url == f"{client.base_url}/?scope=chat"


def test_signed_in_for_longer_means_kept_on_the_device(browser: Browser, client: httpx.Client) -> None:
    with opened(browser) as page:
        page.goto(str(client.base_url))
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.get_by_label("Keep me signed in").check()
        page.keyboard.press("Enter")
        expect(page.locator("#tracks tbody tr")).to_have_count(2)
        with page.context.new_page() as other:
            other.goto(str(client.base_url))
            expect(other.locator("#tracks tbody tr")).to_have_count(2)


def test_a_request_is_looked_up_by_the_keyboard_alone(browser: Browser, client: httpx.Client) -> None:
    with opened(browser) as page:
        visit(page, client)
        page.keyboard.press("/")
        page.keyboard.type("api-42")
        page.keyboard.press("Enter")
        shown = page.get_by_role("dialog")
        expected = client.get("/v1/requests/api-42", params={"scope": "chat"}).json()
        expect(shown.locator(".verdict")).to_contain_text("api was chosen by another policy")
        expect(shown.locator("#explanation")).to_contain_text(expected["notes"][0])
        expect(shown.locator("tr.best")).to_have_attribute("data-track", expected["explained"]["best"])
        expect(shown.locator("#explanation")).to_contain_text("What would have changed it")
        page.keyboard.press("Escape")
        expect(shown).to_be_hidden()
        expect(page.locator("#request-id")).to_be_focused()


def test_why_a_request_is_not_found_is_said_as_the_server_says_it(browser: Browser, client: httpx.Client) -> None:
    with opened(browser) as page:
        visit(page, client)
        page.locator("#request-id").fill("no/such <request>")
        page.keyboard.press("Enter")
        said = client.get("/v1/requests/no%2Fsuch%20%3Crequest%3E", params={"scope": "chat"}).json()["message"]
        expect(page.locator("#explanation .error")).to_have_text(said)


def test_hostile_names_are_text(browser: Browser) -> None:
    said: list[str] = []
    with serving(config=OptimizationConfig(learners="light")) as client, opened(browser, said=said, viewport={"width": 360, "height": 780}) as page:
        for scope in HOSTILE:
            track = scope[:128]
            renamed = {"local": "plain", "api": track}
            requests = [event for event in minutes(0, 3, scope) if isinstance(event, RequestStarted | RequestCompleted)]
            post(client, [event.model_copy(update={"track": renamed[event.track or ""]}) for event in requests])
        visit(page, client)
        for scope in HOSTILE:
            page.locator("#scope").select_option(scope)
            expect(page.locator("#main")).to_have_attribute("data-scope", scope)
            expect(page.locator("#tracks .name", has_text=scope[:128])).to_have_text(scope[:128])
            assert page.title() == f"{scope} · Pointsman"
            assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert said == []
        assert page.locator("main script, main b:not([data-metric])").count() == 0


@pytest.mark.parametrize("width", [360, 390, 768])
def test_a_request_can_be_typed_on_a_phone(browser: Browser, client: httpx.Client, width: int) -> None:
    with opened(browser, viewport={"width": width, "height": 800}) as page:
        visit(page, client)
        box = page.locator("#request-id").bounding_box()
    assert box is not None and box["width"] > width * 0.8


def test_a_chart_below_the_window_does_not_say_that_it_has_no_data(browser: Browser, client: httpx.Client) -> None:
    with opened(browser, viewport={"width": 390, "height": 400}) as page:
        visit(page, client)
        expect(page.locator("#latency .plot")).to_have_count(2)
        assert page.locator("#latency canvas").count() == 0  # nothing is drawn that cannot be seen
        expect(page.locator("#latency .nothing").filter(visible=True)).to_have_count(0)
        expect(page.locator('#latency .plot:not([aria-label="no data yet"])')).to_have_count(2)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (820, "light"), (360, "light"), (360, "dark")])
def test_it_is_accessible_fits_and_breaks_no_rule_of_its_policy(browser: Browser, client: httpx.Client, width: int, scheme: Any) -> None:
    said: list[str] = []
    with opened(browser, said=said, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        visit(page, client)
        expect(page.locator("#traffic canvas")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.evaluate(AXE)
        assert violations(page) == []
        page.locator("#request-id").fill("api-42")
        page.locator("#request-id").press("Enter")
        expect(page.locator("#explanation .verdict")).to_be_visible()
        assert violations(page) == []
    assert said == []


def violations(page: Page) -> list[Any]:
    found: list[Any] = page.evaluate(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
        ".then(({violations}) => violations.map(({id, nodes}) => [id, nodes.map(({target, failureSummary}) => [target, failureSummary])]))"
    )
    return found


def test_the_theme_is_the_systems_until_it_is_chosen(browser: Browser, client: httpx.Client) -> None:
    with opened(browser, color_scheme="dark") as page:
        visit(page, client)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Colours").click()
        expect(page.get_by_role("button", name="Colours: light")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
        page.reload()
        expect(page.get_by_role("button", name="Colours: light")).to_be_visible()


def test_every_control_is_reached_and_seen_by_tab(browser: Browser, client: httpx.Client) -> None:
    with opened(browser) as page:
        visit(page, client)
        expect(page.locator("#traffic canvas")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            tag, where, outline = page.evaluate(
                "(node => [node.tagName, node.id || node.textContent.trim(), getComputedStyle(node).outlineStyle])(document.activeElement)"
            )
            assert tag == "BODY" or outline != "none", where
            reached.add(where)
        assert {"scope", "request-id", "theme", "forecast-series", "forecast-ahead", "Pause", "feed"} <= reached


def test_nothing_moves_when_the_same_numbers_come_again(browser: Browser, client: httpx.Client) -> None:
    with opened(browser, viewport={"width": 1280, "height": 900}) as page:
        visit(page, client)
        expect(page.locator("#traffic canvas")).to_be_visible()
        moved = page.evaluate(
            """async () => {
                const changes = [];
                new MutationObserver((found) => changes.push(...found.map((one) => one.target.outerHTML?.slice(0, 200) ?? one.target.textContent)))
                    .observe(document.querySelector("main"), {subtree: true, childList: true, characterData: true, attributes: true});
                const asked = () => performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/v1/status")).length;
                const before = asked();
                while (asked() < before + 1) await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
                return changes;
            }"""
        )
        assert moved == []


def test_the_time_is_local_with_the_utc_beside_it(browser: Browser, client: httpx.Client) -> None:
    with opened(browser, timezone_id="Asia/Tokyo", locale="en-GB") as page:
        visit(page, client)
        shows(page, "#asof", board(client)["clock"])
        expect(page.locator("#asof")).to_contain_text("15 Nov 2023")
        assert START == 1_700_000_000.0 and "UTC" in (page.locator("#asof").get_attribute("title") or "")
