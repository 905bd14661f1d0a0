"""The recorded runs of an engine as events through the whole core, full learners: what it published before each outcome, and its alerts."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    AnyInput,
    OptimizationConfig,
    PredictionIssued,
    RequestCompleted,
    RequestStarted,
    ResourceSampled,
    Track,
)
from pointsman.streams.core import Core

from .engine_runs import SAMPLED, STARTED, Stream
from .predicting import Scorer

TRACK = "vllm"
CONFIG = OptimizationConfig(learners="full", tracks=(Track(name=TRACK, uses_local_resources=True),))
UNKNOWN = f"{TRACK}/load/unknown"
SHOWN = {"ttft_ms": "TTFT", "latency_ms": "end to end"}


def events(stream: Stream) -> Iterator[AnyInput]:
    """Starts, samples and completions as a producer would publish them."""
    for number, (at, kind, name, gauges) in enumerate(stream.happenings):
        common: dict[str, Any] = {"event_id": f"{number}", "scope": "engine", "occurred_at": at}
        if kind == SAMPLED:
            yield ResourceSampled(host=TRACK, gauges=dict(gauges), **common)
            continue
        request = stream.requests[name]
        common |= {"request_id": name, "track": TRACK, "input_tokens": request.input_tokens}
        if kind == STARTED:
            yield RequestStarted(**common)
        else:
            took: dict[str, Any] = {"latency_ms": 1000.0 * request.latency_s, "ttft_ms": 1000.0 * request.ttft_s}
            yield RequestCompleted(success=True, output_tokens=request.output_tokens, **took, **common)


def scores(stream: Stream, tested: tuple[int, ...]) -> list[dict[str, Any]]:
    """Error, coverage and interval score (s) of what was published of the tested runs; the share of their starts at which the load's alert stood."""
    core, scorer = Core(CONFIG), Scorer(lambda event: stream.requests[event.request_id].scale in tested)
    stands, alerted = False, dict.fromkeys(tested, 0)
    for event in events(stream):
        if isinstance(event, RequestCompleted):
            scorer.ended(event)
        for output in core.step(event):
            if isinstance(output, PredictionIssued):
                scorer.issued(output)
            elif isinstance(output, AlertRaised | AlertResolved) and output.fingerprint == UNKNOWN:
                stands = isinstance(output, AlertRaised)
        if isinstance(event, RequestStarted) and (scale := stream.requests[event.request_id].scale) in alerted:
            alerted[scale] += stands
    starts = {scale: sum(request.scale == scale for request in stream.requests.values()) for scale in tested}
    shares = {f"alert {scale}": alerted[scale] / starts[scale] for scale in tested}
    found = {score.metric: score.row() for score in scorer.scores.values() if score.metric in SHOWN}
    return [_shown(label, found[metric]) | shares for metric, label in SHOWN.items()]


def _shown(label: str, row: Mapping[str, Any]) -> dict[str, Any]:
    lowest = row["worst 500"]
    return {
        "policy": f"{label}, through the core",
        "outcomes": row["outcomes"],
        "WAPE %": row["WAPE %"],
        "held": row["coverage"],
        "worst 500": math.nan if lowest is None else lowest,
        "Winkler s": row["Winkler"] / 1000.0,
    }
