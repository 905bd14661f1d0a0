"""A real headless Chromium for tests and benchmarks of the page; whatever it writes to its console, and whatever its policy refuses, is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from programs import program

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]  # as root, and in containers


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; the test is skipped (in CI: fails) where there is none."""
    path = program("chromium", ["chromium"])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, *, said: list[str] | None = None, **options: Any) -> Iterator[Page]:
    """A page of its own, without what another one kept; `said` collects errors and warnings, which are the policy's as well."""
    with browser.new_context(**options) as context:
        page = context.new_page()
        if said is not None:
            page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: said.append(str(error)))
        yield page


__all__ = ["chromium", "opened"]
