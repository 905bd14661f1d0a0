"""What the page costs the browser with 20 tracks and 1,000 events a second arriving, and when it is first painted. Real headless Chromium, real server.

A machine with two cores does not fold 1,000 events a second beside a browser. So the events are folded first, by light learners, and their outputs are then
handed to the server's stream and board as fast as they came about: what reaches the browser is the same. Four hours of windows are made up before, so that
charts are full. `PYTHONPATH=tests python -m benchmarks.page [--json FILE] [--quick]` prints the tables.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import psutil
from browsing import chromium, opened
from events import START
from playwright.sync_api import Browser, Page
from serving import TOKEN

from pointsman.schemas import AnyInput, Event, OptimizationConfig, RequestCompleted, RequestStarted, ResourceSampled, Track, WindowClosed, encode
from pointsman.schemas.settings import ServeSettings
from pointsman.streams import Optimizer
from pointsman.streams.backend_embedded import Embedded
from pointsman.streams.database_history import heard
from pointsman.streams.emitted import Emitted
from pointsman.streams.serve import address, listen, serve

TRACKS = tuple(f"track-{number:02}" for number in range(20))
CONFIG = OptimizationConfig(tracks=tuple(Track(name=name, cost_per_1k_output_tokens=0.1) for name in TRACKS), learners="light")
SCOPE = "load"
BEGIN = START + 25.0  # a minute ends 15 s later: windows, forecasts and reports come while it is measured
MINUTE = START - 20.0  # a full minute before
REQUESTS_PER_S = 500
STEP_S = 0.05
WINDOWS = 240
PAINTS = 5
AIM_CPU, AIM_PAINT_MS = 10.0, 1000.0
Timed = tuple[float, Event, bytes]


def inputs(seconds: float, *, is_asked: bool) -> list[AnyInput]:
    """Two events a request, 500 requests a second over 20 tracks, and a host that reports; where it is asked, each request has a recommendation of its own."""
    draw, found = random.Random(1), list[AnyInput]()
    for number in range(int(seconds * REQUESTS_PER_S)):
        at, name, track = BEGIN + number / REQUESTS_PER_S, f"r{number}", TRACKS[number % len(TRACKS)]
        latency = draw.lognormvariate(6.0, 0.5)
        chosen = None if is_asked else track
        found.append(RequestStarted(event_id=f"{name}s", scope=SCOPE, occurred_at=at, request_id=name, track=chosen, input_tokens=draw.randrange(10, 2000)))
        done = RequestCompleted(
            event_id=f"{name}c",
            scope=SCOPE,
            occurred_at=at + latency / 1000,
            request_id=name,
            track=track,
            latency_ms=latency,
            success=draw.random() > 0.01,
            output_tokens=draw.randrange(1, 400),
            cost_usd=0.001,
        )
        found.append(done)
        if number % REQUESTS_PER_S == 0:
            found.append(ResourceSampled(event_id=f"{name}h", scope=SCOPE, occurred_at=at, host="gpu", gpu_percent=draw.uniform(20, 90)))
    return sorted(found, key=lambda event: event.occurred_at)


def history() -> list[WindowClosed]:
    """Four hours of windows of every track."""
    draw = random.Random(2)
    return [
        WindowClosed(
            event_id=f"{SCOPE}/w{minute}/{place}",
            scope=SCOPE,
            occurred_at=MINUTE - 60.0 * (WINDOWS - minute - 1),
            caused_by="-",
            track=track,
            start=MINUTE - 60.0 * (WINDOWS - minute),
            end=MINUTE - 60.0 * (WINDOWS - minute - 1),
            count=1500,
            rate_per_s=25.0 * draw.uniform(0.8, 1.2),
            success_share=0.99,
            latency_p50_ms=400.0 * draw.uniform(0.9, 1.1),
            latency_p95_ms=900.0 * draw.uniform(0.9, 1.1),
            latency_p99_ms=1300.0,
            cost_usd=1.5,
        )
        for minute in range(WINDOWS)
        for place, track in enumerate(TRACKS)
    ]


def outputs(seconds: float, *, is_asked: bool) -> list[Timed]:
    """What the events cause, with the seconds after the start at which they do."""
    found: list[Timed] = []
    with Optimizer.open(":memory:", CONFIG) as optimizer:
        events = inputs(seconds, is_asked=is_asked)
        for first in range(0, len(events), 64):
            found += [(event.occurred_at - BEGIN, event, encode(event)) for event in optimizer.record_many(events[first : first + 64])]
    return sorted(found, key=lambda row: row[0])


def publish(back: Embedded, rows: list[Timed], go: threading.Event, stop: threading.Event) -> None:
    """Hand the outputs on at the pace at which they came about."""
    go.wait()
    began, place = time.monotonic(), 0
    while place < len(rows) and not stop.wait(STEP_S):
        first, until = place, time.monotonic() - began
        while place < len(rows) and rows[place][0] <= until:
            back.board.hear(rows[place][1])
            place += 1
        if place > first:
            heard(back.ring, Emitted(place, 0), [(event, line) for _, event, line in rows[first:place]])


def wait_for_it(port: Connection, go: threading.Event) -> None:
    """Begin when the parent says so."""
    port.recv()
    go.set()


def serve_here(seconds: float, is_asked: bool, port: Connection) -> None:
    """The server's process: `pointsman serve` whose stream and board hear the rows when the parent says so."""
    import uvloop

    from pointsman.streams import http_api

    rows, go, stop = outputs(seconds, is_asked=is_asked), threading.Event(), threading.Event()
    plain = http_api.create_app

    def create_app(api: http_api.Api) -> Any:
        back = cast(Embedded, api.back)
        for window in history():
            back.board.hear(window)
        threading.Thread(target=publish, args=(back, rows, go, stop), daemon=True).start()
        return plain(api)

    http_api.create_app = create_app
    listening = listen("127.0.0.1", 0)
    with Optimizer.open(":memory:", CONFIG) as optimizer, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        optimizer.record_many(inputs(2.0, is_asked=False))
        counts = Counter(str(getattr(event, "type", "")) for _, event, _ in rows)
        kinds = {kind: many / seconds for kind, many in counts.items()}
        port.send((address(listening), kinds))
        threading.Thread(target=wait_for_it, args=(port, go), daemon=True).start()
        runner.run(serve(optimizer, ServeSettings(events_per_s=1e7, burst=1e7), TOKEN, listening))


def cpu_of(browser_pids: Sequence[int]) -> dict[str, float]:
    """CPU seconds so far of the browser's processes by their kind."""
    found: dict[str, float] = {}
    for pid in browser_pids:
        process = psutil.Process(pid)
        kind = next((part.removeprefix("--type=") for part in process.cmdline() if part.startswith("--type=")), "browser")
        times = process.cpu_times()
        found[kind] = found.get(kind, 0.0) + times.user + times.system
    return found


def chromium_pids() -> list[int]:
    """The processes of the browser that this process has started."""
    return [process.pid for process in psutil.Process().children(recursive=True) if "chrom" in process.name()]


def busy(page: Page, seconds: float) -> dict[str, float]:
    """Percent of a core over so many seconds: the page's main thread, its renderer process, all of the browser."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def task_s() -> float:
        return float(next(row["value"] for row in session.send("Performance.getMetrics")["metrics"] if row["name"] == "TaskDuration"))

    pids = chromium_pids()
    began, cpu, tasks = time.monotonic(), cpu_of(pids), task_s()
    page.wait_for_timeout(seconds * 1000)
    took, after, tasks_after = time.monotonic() - began, cpu_of(pids), task_s()
    part = {kind: 100.0 * (after[kind] - cpu[kind]) / took for kind in after}
    return {"main thread": 100.0 * (tasks_after - tasks) / took, "renderer": part.get("renderer", 0.0), "all processes": sum(part.values())}


def paints(browser: Browser, url: str, times: int) -> dict[str, float]:
    """Milliseconds to the first paint and to the first numbers, medians over pages that have nothing cached."""
    firsts, numbers = [], []
    for _ in range(times):
        with opened(browser, viewport={"width": 1440, "height": 900}) as page:
            page.goto(f"{url}/#token={TOKEN}")
            page.wait_for_selector("#tracks tbody tr")
            numbers.append(page.evaluate("performance.now()"))
            page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
            firsts.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    return {"first contentful paint": statistics.median(firsts), "first numbers": statistics.median(numbers)}


def run(seconds: float, times: int, *, is_asked: bool) -> dict[str, Any]:
    """One case: the idle page, the page under load, and the paints."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_here, args=(seconds + 8.0, is_asked, there), daemon=True)
    server.start()
    try:
        url, kinds = here.recv()
        with chromium() as browser:
            found = paints(browser, url, times)
            with opened(browser, viewport={"width": 1440, "height": 900}) as page:
                page.goto(f"{url}/#token={TOKEN}")
                page.wait_for_selector('#live[data-state="live"]')
                page.wait_for_selector("#traffic canvas")
                page.wait_for_timeout(2000)
                idle = busy(page, seconds)
                here.send("go")
                page.wait_for_timeout(4000)
                loaded = busy(page, seconds)
        return {"asked": is_asked, "outputs a second": kinds, **found, "idle": idle, "loaded": loaded}
    finally:
        server.kill()
        server.join()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what each case cost beside the aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    seconds = 5.0 if given.quick else 20.0
    cases = [run(seconds, 3 if given.quick else PAINTS, is_asked=is_asked) for is_asked in (False, True)]
    for case in cases:
        print(f"\n1,000 events a second, 20 tracks, {'every request asks' if case['asked'] else 'routers decide'}; outputs a second:")
        print("  " + ", ".join(f"{kind} {rate:.1f}" for kind, rate in sorted(case["outputs a second"].items())))
        print("| % of a core | idle | loaded | aim |\n| --- | ---: | ---: | ---: |")
        for name in case["idle"]:
            print(f"| {name} | {case['idle'][name]:.1f} | {case['loaded'][name]:.1f} | < {AIM_CPU:g} |")
        for name in ("first contentful paint", "first numbers"):
            print(f"{name}: {case[name]:.0f} ms (aim < {AIM_PAINT_MS:g})")
    print(f"\nload of the machine over the last minute: {psutil.getloadavg()[0]:.1f}, {psutil.cpu_count()} cores")
    if given.json:
        given.json.write_text(json.dumps(cases, indent=2) + "\n")


if __name__ == "__main__":
    main()
