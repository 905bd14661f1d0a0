"""Prompts that every model answered as a stream of full information: a random policy's choice of each, and what the other models gave beside it.

A line of the source is one prompt: `prompt`, and `arms` with `reward` (0..1) and `cost` (US dollars) by model. Latencies were not recorded there:
every answer takes `LATENCY_MS` here, so that no track is quicker than another.
"""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointsman.models.sketch import sketch

from .recording import naming

SCOPE = "assistant"
BEGINNING = 1_704_067_200.0  # 2024-01-01T00:00:00Z
EVERY_S = 4.0
LATENCY_MS = 1000.0
NAMES = {"meta-llama/llama-3.1-8b-instruct": "llama-8b", "mistralai/mistral-large-2512": "mistral-large", "google/gemini-2.5-pro": "gemini-pro"}


def track_of(model: str) -> str:
    """A short name: the known ones', else what follows the provider's."""
    return NAMES.get(model, model.rpartition("/")[2])


def _request(identity: str, prompt: dict[str, Any], models: list[str], start: float) -> Iterator[dict[str, Any]]:
    """The first of the models is the logged choice, drawn uniformly; the others' starts carry no propensity."""
    common = {"scope": SCOPE, "source": "recording/paretobandit", "request_id": identity}
    kept = sketch(prompt["prompt"]).model_dump(mode="json", exclude_none=True)
    for place, model in enumerate(models):
        event = {"type": "request.started/1", "event_id": f"{identity}/{track_of(model)}/started", "occurred_at": start, **common, "track": track_of(model)}
        yield event | {"input_tokens": kept["tokens"], "sketch": kept} | ({} if place else {"propensity": round(1.0 / len(models), 9)})
    for model in models:
        arm, event_id = prompt["arms"][model], f"{identity}/{track_of(model)}/completed"
        done = {"success": True, "latency_ms": LATENCY_MS, "cost_usd": arm["cost"], "quality_score": arm["reward"]}
        yield {"type": "request.completed/1", "event_id": event_id, "occurred_at": start + LATENCY_MS / 1000.0, **common, "track": track_of(model), **done}


def convert_routing(prompts: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """The events of `count` prompts in a random order, one every four seconds; a request is named by its line in the source, from 1."""
    with naming(prompts), gzip.open(prompts, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    draw = random.Random(seed)
    picked = draw.sample(range(len(rows)), min(count, len(rows)))
    events: list[dict[str, Any]] = []
    for number, place in enumerate(picked):
        models = list(rows[place]["arms"])
        chosen = models.pop(draw.randrange(len(models)))
        events += _request(f"val-{place + 1}", rows[place], [chosen, *models], BEGINNING + EVERY_S * number)
    return events
