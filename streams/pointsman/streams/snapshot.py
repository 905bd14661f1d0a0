"""Snapshots of a scope: a cache of the fold, in parts of plain JSON, never pickle; another version's is not taken up."""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from pointsman.models.constraints import Constraints
from pointsman.models.join import Attempt, Done
from pointsman.models.limits import Limits
from pointsman.models.track import TrackState
from pointsman.schemas import OptimizationConfig, PolicyPublished, RequestCompleted, ResourceSampled, encode

from .scope import IDENTITY_BYTES, Scope
from .workload import Workload

FORMAT = 6
CHUNK = 500
PIECE = 200_000
WRITERS = " ".join(f"{name} {version(name)}" for name in ("pointsman", "river", "numpy"))


def fingerprint(config: OptimizationConfig) -> str:
    """What wrote a snapshot: its format, the versions of what computed it, and the base configuration."""
    stamp = f"{FORMAT} {WRITERS} {config.model_dump_json()}"
    return hashlib.blake2b(stamp.encode(), digest_size=16).hexdigest()


def take(scope: Scope, config: OptimizationConfig) -> dict[str, bytes]:
    """The parts of a scope's state; those that did not change have the same bytes as before."""
    join = scope.join
    flying = [[*key, attempt.snapshot()] for key, attempt in join.flying.items()]
    orphans = [json.loads(encode(event)) for event in join.orphans.values()]
    done = [[*key, one.snapshot() if one is not None else None] for key, one in join.done.items()]
    parts: dict[str, Any] = {f"track:{name}": track.snapshot() for name, track in scope.tracks.items()}
    for name, track in scope.tracks.items():
        parts |= {f"outlook:{part}:{name}": found for part, found in track.outlook.snapshot().items()}
    parts["hosts"] = [json.loads(encode(sample)) for sample in scope.hosts.values()]
    parts |= {f"routing:{name}": state for name, state in scope.routing.snapshot().items()}
    parts |= {f"workload:{name}": text for name, text in scope.workload.snapshot().items()}
    parts |= {f"signals:{name}": state for name, state in scope.signals.snapshot().items()}
    parts["policy"] = json.loads(encode(scope.policy)) if scope.policy else None
    every: dict[str, list[Any]] = {"seen": list(scope.seen), "flying": flying, "orphans": orphans, "done": done}
    for name, rows in every.items():
        for place in range(0, len(rows), CHUNK):
            chunk = rows[place : place + CHUNK]
            parts[f"{name}:{place // CHUNK}"] = _packed(chunk) if name == "seen" else chunk
    parts["head"] = {
        "fingerprint": fingerprint(config),
        "config": scope.config.model_dump(),
        "parts": sorted(parts),
        "tracks": list(scope.tracks),
        "sequence": scope.sequence,
        "clock": scope.clock,
        "duplicates": scope.duplicates,
        "evicted": join.evicted,
        "origins": scope.origins,
        "constraints": scope.constraints.snapshot(),
        "segments": scope.segments,
        "due": scope.due,
        "limits": scope.limits.snapshot(),
        "predictions": scope.predictions.snapshot(),
    }
    return {name: zlib.compress(piece, 1) for part, state in parts.items() for name, piece in _pieces(part, state)}


def restore(name: str, parts: Mapping[str, bytes], config: OptimizationConfig) -> Scope | None:
    """The scope whose snapshot this is; None where it is incomplete or was written by another version or configuration."""
    try:
        head = _whole("head", parts)
        if head["fingerprint"] != fingerprint(config):
            return None
        state = {part: _whole(part, parts) for part in head["parts"]}
        return _build(name, head, state)
    except (KeyError, ValueError, TypeError, IndexError, zlib.error):
        return None


def _build(name: str, head: dict[str, Any], state: dict[str, Any]) -> Scope:
    own = OptimizationConfig.model_validate(head["config"])
    scope = Scope(name, own)
    scope.tracks = {track: TrackState.restore(state[f"track:{track}"], own) for track in head["tracks"]}
    for name, track in scope.tracks.items():
        track.outlook.restore({part.split(":", 2)[1]: found for part, found in state.items() if part.startswith("outlook:") and part.split(":", 2)[2] == name})
    scope.hosts = {fields["host"]: ResourceSampled.model_validate(fields) for fields in state["hosts"]}
    routing = {part.removeprefix("routing:"): found for part, found in state.items() if part.startswith("routing:")}
    scope.routing.restore(routing, PolicyPublished.model_validate(state["policy"]) if state["policy"] is not None else None)
    scope.workload = Workload.restore({part.removeprefix("workload:"): found for part, found in state.items() if part.startswith("workload:")}, own)

    def rows(kind: str) -> list[Any]:
        return [row for part in _in_order(head["parts"], kind) for row in state[part]]

    packed = b"".join(base64.b64decode(state[part]) for part in _in_order(head["parts"], "seen"))
    scope.seen = dict.fromkeys(int.from_bytes(packed[place : place + IDENTITY_BYTES], "big") for place in range(0, len(packed), IDENTITY_BYTES))
    scope.join.flying = {(row[0], row[1]): Attempt.restore(row[2]) for row in rows("flying")}
    orphans = [RequestCompleted.model_validate(fields) for fields in rows("orphans")]
    scope.join.orphans = {(event.request_id, event.track): event for event in orphans}
    scope.join.done = {(row[0], row[1]): Done.restore(row[2]) if row[2] is not None else None for row in rows("done")}
    scope.join.evicted = head["evicted"]
    scope.sequence, scope.clock, scope.duplicates = head["sequence"], head["clock"], head["duplicates"]
    scope.origins, scope.segments, scope.due = head["origins"], head["segments"], head["due"]
    scope.limits = Limits.restore(head["limits"], own)
    scope.predictions.restore(head["predictions"])
    scope.constraints = Constraints.restore(head["constraints"])
    scope.signals.restore({part.removeprefix("signals:"): found for part, found in state.items() if part.startswith("signals:")})
    return scope


def _pieces(part: str, state: Any) -> Iterator[tuple[str, bytes]]:
    """A part as JSON, cut where it is long: `name`, `name#1`, ... until one is shorter than a piece."""
    text = json.dumps(state, separators=(",", ":")).encode()
    for number in range(len(text) // PIECE + 1):
        yield f"{part}#{number}" if number else part, text[number * PIECE : (number + 1) * PIECE]


def _whole(part: str, parts: Mapping[str, bytes]) -> Any:
    found = [zlib.decompress(parts[part])]
    while len(found[-1]) == PIECE:
        found.append(zlib.decompress(parts[f"{part}#{len(found)}"]))
    return json.loads(b"".join(found))


def _packed(identities: list[int]) -> str:
    return base64.b64encode(b"".join(identity.to_bytes(IDENTITY_BYTES, "big") for identity in identities)).decode("ascii")


def _in_order(parts: list[str], kind: str) -> list[str]:
    return [f"{kind}:{place}" for place in range(sum(part.startswith(f"{kind}:") for part in parts))]
