"""What the LiteLLM callback adds to a call: LiteLLM alone beside it, in alternating blocks of the same calls, answered by mocks.

`PYTHONPATH=tests python -m benchmarks.litellm_overhead [--json FILE] [--quick]`. A call comes every `--pause` ms, as calls that wait for a provider leave
the interpreter free; the pause is not counted. `added_p50` is the median over neighbouring blocks of the difference of their medians. `hooks` is the
time inside the hooks that a call waits for; `added_cpu` the CPU time of the calls' thread, with what LiteLLM tells behind a call. The server of the
HTTP rows is another process.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from gateway import MESSAGES, calling, deployment, experienced, litellm, router, until

BLOCK = 10
COLUMNS = ("alone_p50", "with_p50", "ratio_p50", "added_p50", "alone_p99", "with_p99", "added_p99", "hooks_p50", "hooks_p99", "added_cpu")
TOKEN = "bench"


async def block(target: Any, count: int, pause_s: float) -> list[float]:
    """The latencies of so many calls in ms."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        await target.acompletion("chat", MESSAGES)
        found.append(1000.0 * (time.perf_counter() - began))
        await asyncio.sleep(pause_s)
    return found


async def alternate(callback: Any, blocks: int, pause_s: float) -> tuple[list[float], list[float], list[float], list[float]]:
    """Latencies alone and with the callback, and the CPU time of the calls' thread in ms a call, one of each per block."""
    target = router(deployment("good"), deployment("poor"))
    alone: list[float] = []
    beside: list[float] = []
    cpu: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * (blocks + 2)):
        is_with = number % 2 == 1
        _install(callback if is_with else None)
        before = time.thread_time()
        found = await block(target, BLOCK, pause_s)
        for _ in range(200):
            await asyncio.sleep(0.01)
            if not callback.waiting:
                break
        if number >= 4:  # the first blocks warm both up
            (beside if is_with else alone).extend(found)
            cpu[is_with].append(1000.0 * (time.thread_time() - before) / BLOCK)
    return alone, beside, *cpu


def _install(callback: Any) -> None:
    """The callback, where one is given, in every list to which LiteLLM copies it."""
    litellm.callbacks = [callback] if callback is not None else []
    for name in ("input_callback", "success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback"):
        held = getattr(litellm, name)
        held[:] = [one for one in held if type(one).__name__ != "PointsmanCallback"] + ([callback] if callback is not None else [])


def watch(callback: Any) -> list[float]:
    """The time in ms inside the hooks that each call waits for, from here on."""
    spent: list[float] = []
    choose, leave = callback.async_filter_deployments, callback.async_pre_call_deployment_hook

    async def choosing(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        found = await choose(*given, **named)
        spent.append(1000.0 * (time.perf_counter() - began))
        return found

    async def leaving(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        found = await leave(*given, **named)
        spent[-1] += 1000.0 * (time.perf_counter() - began)
        return found

    callback.async_filter_deployments, callback.async_pre_call_deployment_hook = choosing, leaving
    return spent


@contextmanager
def server(database: Path) -> Iterator[str]:
    """A `pointsman serve` in another process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pointsman.streams.cli", "serve", "--database", str(database), "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"POINTSMAN_TOKEN": TOKEN}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def measure(place: str, mode: str, blocks: int, pause_s: float, token: str | None = None) -> dict[str, float]:
    """Percentiles of both, and what the callback adds."""
    with calling(place, token, mode=mode) as callback:
        callback.start()
        if mode == "apply":
            until(callback.policy_version)
        hooks = watch(callback)
        alone, beside, cpu_alone, cpu_with = asyncio.run(alternate(callback, blocks, pause_s))
    row = {f"{name}_p{share}": float(np.percentile(values, share)) for name, values in (("alone", alone), ("with", beside)) for share in (50, 99)}
    pairs = zip(np.array(alone).reshape(-1, BLOCK), np.array(beside).reshape(-1, BLOCK), strict=True)
    row["added_p50"] = float(np.median([np.median(one) - np.median(other) for other, one in pairs]))
    row["ratio_p50"] = row["with_p50"] / row["alone_p50"]
    row["added_p99"] = row["with_p99"] - row["alone_p99"]
    row |= {f"hooks_p{share}": float(np.percentile(hooks[2 * BLOCK :], share)) for share in (50, 99)}
    row["added_cpu"] = float(np.median(cpu_with) - np.median(cpu_alone))
    return row | {"calls": len(beside), "dropped": callback.dropped, "errors": callback.errors}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--blocks", type=int, default=12, help=f"of {BLOCK} calls, with the callback and without")
    parser.add_argument("--pause", type=float, default=10.0, help="ms between calls")
    options = parser.parse_args()
    blocks, pause_s = (1 if options.quick else options.blocks), options.pause / 1000.0
    rows = {}
    print(f"ms, {BLOCK * blocks} calls each, one every {options.pause:g} ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| place, mode | " + " | ".join(COLUMNS) + " | dropped |\n| --- |" + " ---: |" * (len(COLUMNS) + 1), flush=True)

    def tell(name: str, row: dict[str, float]) -> None:
        rows[name] = row
        print(f"| {name} | " + " | ".join(f"{row[key]:.2f}" for key in COLUMNS) + f" | {row['dropped']:.0f} |", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        tell("off", measure(str(Path(folder) / "off.db"), "off", blocks, pause_s))
        for mode in ("observe", "apply"):
            database = Path(folder) / f"{mode}.db"
            experienced(database)
            tell(f"embedded, {mode}", measure(str(database), mode, blocks, pause_s))
            with server(database) as url:
                tell(f"http, {mode}", measure(url, mode, blocks, pause_s, TOKEN))
        tell("http, nobody there, observe", measure("http://127.0.0.1:9", "observe", blocks, pause_s))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
