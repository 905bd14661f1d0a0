"""LiteLLM with deployments that answer from mocks, and what Pointsman has heard of them."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from pointsman.schemas import AnyInput, InputEvent, OptimizationConfig, RequestCompleted, RequestStarted, Track, decode
from pointsman.schemas.settings import load
from pointsman.streams import Optimizer
from pointsman.streams.journal import Journal

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it fetches a price list at import
litellm: Any = import_module("litellm")  # it exports none of its names to type checkers
PointsmanCallback: Any = import_module("pointsman.streams.litellm").PointsmanCallback

SECRET = "the launch code is 4711"
MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Summarise this mail: {SECRET}"}]
CONFIG = OptimizationConfig(tracks=(Track(name="good"), Track(name="poor")))
MOST_S = 20.0


def deployment(name: str, group: str = "chat", answer: str = "An answer.", **params: Any) -> dict[str, Any]:
    """A deployment of a model group, whose id is `name`; an answer like `litellm.RateLimitError` is raised."""
    params = {"model": "openai/gpt-4o-mini", "api_key": "none", "mock_response": answer} | params
    return {"model_name": group, "litellm_params": params, "model_info": {"id": name}}


def router(*deployments: dict[str, Any], **options: Any) -> Any:
    """A Router that neither cools down nor waits before a retry."""
    return litellm.Router(list(deployments), retry_after=0, **({"num_retries": 0, "disable_cooldowns": True} | options))


@contextmanager
def calling(place: str | Path, token: str | None = None, flags: Sequence[str] = (), **options: Any) -> Iterator[Any]:
    """The callback, installed; closed at the end, with all that waits handed over."""
    callback = PointsmanCallback(str(place), settings=load(flags=[*flags, *([f"token={token}"] if token else [])]), **options)
    litellm.callbacks = [callback]
    try:
        yield callback
    finally:
        callback.close(MOST_S)
        _forget()


def _forget() -> None:
    """Take callbacks out of all the lists to which LiteLLM has copied them."""
    litellm.callbacks = []
    for name in ("input_callback", "success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback"):
        getattr(litellm, name).clear()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run calls, and wait until LiteLLM has told how they ended: it does so behind them."""

    async def whole() -> Any:
        found = await work
        async with asyncio.timeout(MOST_S):
            while any(one.in_flight for one in litellm.callbacks if isinstance(one, PointsmanCallback)):
                await asyncio.sleep(0.001)
        return found

    return asyncio.run(whole())


def until(is_so: Callable[[], object], most_s: float = MOST_S) -> None:
    """Wait for what another thread does; raises where it does not within 20 s, or what is given."""
    end = time.monotonic() + most_s
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"it did not happen within {most_s:g} s")
        time.sleep(0.005)


def journaled(database: Path) -> list[InputEvent]:
    """The requests' events in a database, in order."""
    journal = Journal.open(str(database))
    try:
        return [event for _, line in journal.read(0) if isinstance(event := decode(line), RequestStarted | RequestCompleted)]
    finally:
        journal.close()


def experience(scope: str = "litellm", count: int = 80) -> Iterator[AnyInput]:
    """Of two tracks one has answered well and quickly, the other badly and slowly."""
    now = time.time() - 2.0 * count
    for number in range(count):
        for track, latency_ms, quality in (("good", 300.0, 0.95), ("poor", 1900.0, 0.2)):
            name = f"{track}{number}"
            known: dict[str, Any] = {"scope": scope, "request_id": name, "track": track}
            yield RequestStarted(event_id=f"{name}/s", occurred_at=now + 0.5, input_tokens=12, **known)
            now += 1.0
            ended = {"success": True, "latency_ms": latency_ms, "output_tokens": 50, "quality_score": quality}
            yield RequestCompleted(event_id=f"{name}/c", occurred_at=now, **known, **ended)


def experienced(database: Path) -> None:
    """A database that has this experience."""
    with Optimizer.open(str(database), CONFIG, clock=lambda: 0.0) as optimizer:
        optimizer.record_many(experience())
