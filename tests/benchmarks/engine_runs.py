"""Recorded runs of a vLLM server as one stream of starts, engine samples and completions, in the order of time."""

import csv
import gzip
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from .policies import EPOCH

PAUSE_S = 60.0
AROUND_S = 5.0
CHARACTERS_PER_TOKEN = 4.8
STARTED, SAMPLED, COMPLETED = 2, 1, 0


@dataclass(frozen=True, slots=True)
class Served:
    """A recorded request: what it asked and what came of it."""

    scale: int
    input_tokens: int
    output_tokens: int
    ttft_s: float
    latency_s: float


class Happening(NamedTuple):
    """A start, a sample of the engine or a completion; at the same moment completions come first."""

    at: float
    kind: int
    request_id: str
    gauges: Mapping[str, float]


@dataclass(slots=True)
class Stream:
    """Happenings in the order of time, and the requests in them."""

    happenings: list[Happening] = field(default_factory=list)
    requests: dict[str, Served] = field(default_factory=dict)


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def load(folder: Path) -> dict[int, Stream]:
    """Each run by its load, on a clock that begins with its first request."""
    by_scale: dict[int, list[dict[str, str]]] = {}
    for row in _rows(folder / "requests.csv.gz"):
        by_scale.setdefault(int(row["scale"]), []).append(row)
    return {scale: _run(folder, scale, rows) for scale, rows in by_scale.items()}


def _run(folder: Path, scale: int, rows: Sequence[Mapping[str, str]]) -> Stream:
    begin = min(float(row["start"]) for row in rows)
    stream = Stream()
    for place, row in enumerate(rows):
        name, start, latency = f"{scale}-{place}", float(row["start"]) - begin, float(row["total_chunk_time"])
        tokens = max(1, round(int(row["out_len"]) / CHARACTERS_PER_TOKEN))
        stream.requests[name] = Served(scale, int(row["in_len"]), tokens, float(row["first_chunk_time"]), latency)
        stream.happenings += [Happening(start, STARTED, name, {}), Happening(start + latency, COMPLETED, name, {})]
    end = max(happening.at for happening in stream.happenings)
    for sample in _rows(folder / f"engine_scale{scale}.csv.gz"):
        at = float(sample["timestamp"]) - begin
        if -AROUND_S <= at <= end + AROUND_S:
            gauges = {name: float(value) for name, value in sample.items() if name != "timestamp"}
            stream.happenings.append(Happening(at, SAMPLED, "", gauges))
    stream.happenings.sort(key=lambda one: (one.at, one.kind))
    return stream


def joined(runs: Mapping[int, Stream], scales: Sequence[int], begin: float = EPOCH) -> Stream:
    """Runs one after the other, a minute apart."""
    whole, clock = Stream(), begin
    for place, scale in enumerate(scales):
        for one in runs[scale].happenings:
            whole.happenings.append(one._replace(at=one.at + clock, request_id=f"{place}/{one.request_id}"))
        whole.requests |= {f"{place}/{name}": request for name, request in runs[scale].requests.items()}
        clock = whole.happenings[-1].at + PAUSE_S
    return whole


def shuffled(stream: Stream, seed: int = 1) -> Stream:
    """The same with the lengths of the prompts dealt anew: they say nothing of the answers any more."""
    lengths = [request.input_tokens for request in stream.requests.values()]
    random.Random(seed).shuffle(lengths)
    dealt = {name: replace(request, input_tokens=length) for (name, request), length in zip(stream.requests.items(), lengths, strict=True)}
    return Stream(stream.happenings, dealt)


def without_gauges(stream: Stream) -> Stream:
    """The same without a word from the engine."""
    return Stream([one for one in stream.happenings if one.kind != SAMPLED], stream.requests)
