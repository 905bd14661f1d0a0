"""The pictures in the documentation: the page before a real server that has heard most of the demo's recording.

`PYTHONPATH=tests python -m benchmarks.screenshots [--folder docs/images] [--quick]` writes them; `--quick` has light learners. Needs Chromium.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import httpx
from browsing import chromium, opened
from playwright.sync_api import Browser, expect
from serving import TOKEN, serving

from pointsman.schemas import Budget, OptimizationConfig
from pointsman.streams.demo import CONFIG, RECORDING
from pointsman.streams.recording import read_lines

HEARD = 0.78  # of the recording: a moment at which there is something to see
BATCH = 1000
SHOTS = {"page-light": ("light", 1440, 1000, 1.0), "page-dark": ("dark", 1440, 1000, 1.0), "page-phone": ("light", 360, 780, 2.0)}
REQUEST = "api-400"


def record(client: httpx.Client, share: float) -> None:
    """Send so much of the recording, as a gateway would."""
    lines = [line for _, line in read_lines(RECORDING)]
    lines = lines[: int(len(lines) * share)]
    for first in range(0, len(lines), BATCH):
        answer = client.post("/v1/events", content=b"\n".join(lines[first : first + BATCH]), headers={"content-type": "application/x-ndjson"}, timeout=120)
        answer.raise_for_status()


def shoot(browser: Browser, client: httpx.Client, folder: Path) -> None:
    """Take every picture."""
    for name, (scheme, width, height, scale) in SHOTS.items():
        size = {"width": width, "height": height}
        with opened(browser, color_scheme=scheme, viewport=size, device_scale_factor=scale, locale="en-GB", timezone_id="UTC") as page:
            page.goto(f"{client.base_url}/#token={TOKEN}")
            expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=20_000)
            expect(page.locator("#traffic canvas")).to_be_visible(timeout=20_000)
            page.screenshot(path=folder / f"{name}.png")
            if name == "page-light":
                page.locator("section.latency").scroll_into_view_if_needed()
                page.evaluate("document.querySelector('section.latency').scrollIntoView()")
                expect(page.locator("#forecast canvas")).to_be_visible(timeout=20_000)
                page.screenshot(path=folder / "page-more.png")
                page.locator("#request-id").fill(REQUEST)
                page.keyboard.press("Enter")
                expect(page.locator("#explanation .verdict")).to_be_visible(timeout=20_000)
                page.screenshot(path=folder / "page-request.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pictures and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("docs/images"))
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    config: OptimizationConfig = CONFIG.model_copy(update={"budget": Budget(usd_per_hour=1.5)} | ({"learners": "light"} if given.quick else {}))
    with serving(config=config) as client, chromium() as browser:
        record(client, HEARD)
        shoot(browser, client, given.folder)
    for path in sorted(given.folder.glob("page-*.png")):
        print(f"{path}: {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
