"""Spans a second through the OpenTelemetry adapter, beside parsing the same bytes and nothing else.

PYTHONPATH=tests python -m benchmarks.otel [--json FILE] [--quick]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from spans import CHAT, as_json, export, span

from pointsman.streams.otel import Adapter
from pointsman.streams.otlp import decode

SPANS = 500
QUESTION = "Write a Python function that sorts a list of names by their last letter. " * 4
MESSAGES = json.dumps([{"role": "user", "parts": [{"type": "text", "content": QUESTION}]}])
OTHER = {"http.request.method": "GET", "url.full": "https://example.org/items/1", "http.response.status_code": 200, "network.protocol.version": "1.1"}


def bodies() -> dict[str, ExportTraceServiceRequest]:
    """One export of 500 spans each: GenAI spans, the same with content, and spans that are none."""
    return {
        "GenAI spans": export(*[span() for _ in range(SPANS)]),
        "GenAI spans with content (sketched)": export(*[span({**CHAT, "gen_ai.input.messages": MESSAGES}) for _ in range(SPANS)]),
        "other spans": export(*[span(OTHER) for _ in range(SPANS)]),
    }


def measured(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median spans a second of each, in alternation."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    return {name: SPANS / statistics.median(taken) for name, taken in times.items()}


def run(rounds: int) -> list[dict[str, Any]]:
    """A row for each export and encoding."""
    rows = []
    for name, request in bodies().items():
        for encoding, body, parse in (("protobuf", request.SerializeToString(), ExportTraceServiceRequest.FromString), ("JSON", as_json(request), json.loads)):
            found = measured(
                {
                    "parse": lambda body=body, parse=parse: parse(body),  # type: ignore[misc]
                    "decode": lambda body=body: decode(body),  # type: ignore[misc]
                    "adapt": lambda body=body: Adapter().adapt(decode(body)),  # type: ignore[misc]
                },
                rounds,
            )
            rows.append({"case": name, "encoding": encoding, "bytes": len(body), **{f"{part}_spans_per_s": round(rate) for part, rate in found.items()}})
    return rows


def main() -> None:
    """Print the table, and write it as JSON where told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    rows = run(3 if given.quick else 15)
    print("| export of 500 spans | encoding | KB | parsing alone | to neutral spans | to events |\n| --- | --- | ---: | ---: | ---: | ---: |")
    for row in rows:
        rates = " | ".join(f"{row[f'{part}_spans_per_s']:,}" for part in ("parse", "decode", "adapt"))
        print(f"| {row['case']} | {row['encoding']} | {row['bytes'] / 1000:.0f} | {rates} |")
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
