"""Two real recordings as one stream on one clock: a vLLM server (track `local`) and a hosted 70B endpoint (track `api`).

They were recorded apart and are played side by side here; nothing in them is simulated but the clock, and the price of the endpoint.
"""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .recording import naming

RUNS = (100, 200, 400, 600, 800, 1000, 1500, 100)
BEGINNING = 1_704_067_200.0  # 2024-01-01T00:00:00Z
PAUSE_S = 60.0
SAMPLE_S = 2.0
CHARACTERS_PER_TOKEN = 4.8  # output lengths were recorded in characters; 1,024 tokens at most gave about 4,900
API_EVERY_S = 4.0
API_USD_PER_1K = 0.001  # a stated price: a dollar per million tokens in or out


def _rows(path: Path) -> list[dict[str, str]]:
    with naming(path), gzip.open(path, "rt") as stream:
        return list(csv.DictReader(stream))


def _request(identity: str, track: str, start: float, latency_s: float, fields: dict[str, Any], started: dict[str, Any]) -> Iterator[dict[str, Any]]:
    common = {"scope": "demo", "source": f"recording/{track}", "request_id": identity, "track": track}
    yield {"type": "request.started/1", "event_id": f"{identity}/started", "occurred_at": round(start, 6), **common, **started}
    done = {"latency_ms": round(1000.0 * latency_s, 3), **fields}
    yield {"type": "request.completed/1", "event_id": f"{identity}/completed", "occurred_at": round(start + latency_s, 6), **common, **done}


def _local(folder: Path) -> Iterator[dict[str, Any]]:
    requests: dict[int, list[dict[str, str]]] = {}
    for row in _rows(folder / "requests.csv.gz"):
        requests.setdefault(int(row["scale"]), []).append(row)
    clock = BEGINNING
    for place, scale in enumerate(RUNS):
        rows = requests[scale]
        begin = min(float(row["start"]) for row in rows)
        end = max(float(row["start"]) + float(row["total_chunk_time"]) for row in rows)
        for row in rows:
            start = clock + float(row["start"]) - begin
            tokens = max(1, round(int(row["out_len"]) / CHARACTERS_PER_TOKEN))
            done = {"ttft_ms": round(1000.0 * float(row["first_chunk_time"]), 3), "output_tokens": tokens, "cost_usd": 0.0, "success": True}
            yield from _request(
                f"vllm-{place}-{scale}-{row['event_id']}",
                "local",
                start,
                float(row["total_chunk_time"]),
                done,
                {"input_tokens": int(row["in_len"]), "max_output_tokens": 1024},
            )
        yield from _samples(folder, scale, place, clock - begin, begin, end)
        clock += end - begin + PAUSE_S


def _samples(folder: Path, scale: int, place: int, shift: float, begin: float, end: float) -> Iterator[dict[str, Any]]:
    path = folder / f"gpu_scale{scale}.json.gz"
    with naming(path), gzip.open(path, "rt") as stream:
        gpu = sorted(json.load(stream).values(), key=lambda sample: sample["record_time"])
    last, index = 0.0, 0
    for row in _rows(folder / f"engine_scale{scale}.csv.gz"):
        moment = float(row["timestamp"])
        while index + 1 < len(gpu) and gpu[index + 1]["record_time"] <= moment:
            index += 1
        if moment - last < SAMPLE_S or not begin <= moment <= end:
            continue
        last = moment
        sample = gpu[index]
        yield {
            "type": "resource.sampled/1",
            "event_id": f"vllm-{place}-{scale}-sample-{moment:.3f}",
            "scope": "demo",
            "occurred_at": round(moment + shift, 6),
            "source": "recording/local",
            "host": "gpu-server",
            "gpu_percent": float(sample["GPU_utilization"]),
            "gpu_memory_used_mb": round(sample["GPU_used_mem"] * 1.048576, 1),
            "temperature_c": float(sample["GPU_temperature"]),
            "gauges": {
                "running": float(row["num_running"]),
                "pending": float(row["num_pending"]),
                "kv_cache_percent": round(float(row["gpu_kvcache_usage"]), 3),
                "generation_tokens_per_s": round(float(row["generation_throughput"]), 1),
            },
        }


def _api(file: Path, until: float) -> Iterator[dict[str, Any]]:
    with naming(file), gzip.open(file, "rt") as stream:
        rows = json.load(stream)
    number, start = 0, BEGINNING
    while start < until:
        row = rows[number % len(rows)]
        is_success = row["error_code"] is None
        tokens = {"input_tokens": row["number_input_tokens"], "output_tokens": row["number_output_tokens"]}
        done: dict[str, Any] = {"success": is_success, "cost_usd": round(sum(tokens.values()) / 1000.0 * API_USD_PER_1K, 9), **tokens}
        if is_success:
            done["ttft_ms"] = round(1000.0 * row["ttft_s"], 3)
        else:
            done |= {"error_type": str(row["error_code"]), "failure_class": "provider"}
        yield from _request(
            f"api-{number}", "api", start, row["end_to_end_latency_s"], done, {"input_tokens": row["number_input_tokens"], "max_output_tokens": 200}
        )
        number, start = number + 1, start + API_EVERY_S


def convert(vllm: Path, endpoint: Path) -> list[dict[str, Any]]:
    """All events in the order of their times: eight vLLM runs with a minute between them (the calmest again at the end), the endpoint alongside."""
    local = list(_local(vllm))
    events = local + list(_api(endpoint, max(event["occurred_at"] for event in local)))
    return sorted(events, key=lambda event: (event["occurred_at"], event["event_id"]))
