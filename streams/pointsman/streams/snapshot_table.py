"""Snapshots in a compacted table, so that a crash between two of its writes leaves a whole one."""

import json
from collections.abc import Mapping, MutableMapping
from typing import NamedTuple

from .shard import Shard

Change = tuple[bytes, bytes | None]


def encode_key(scope: str, writer: str, part: str, slot: int) -> bytes:
    """The key of one part."""
    return json.dumps([scope, writer, part, slot], separators=(",", ":")).encode()


def decode_key(key: bytes) -> tuple[str, str, str, int]:
    """Scope, writer, part and slot of a key; empty names for a key that is not ours."""
    try:
        scope, writer, part, slot = json.loads(key)
    except (ValueError, TypeError):
        return "", "", "", 0
    return scope, writer, part, slot


class Saved(NamedTuple):
    """What a snapshot of a scope says of itself: the last offset of its partition in it, and the slot of each part."""

    writer: str
    partition: int
    position: int
    slots: dict[str, int]


class Snapshots:
    """Snapshots of scopes in a key-value table whose single writes last, but not together.

    A part is written into the slot (0 or 1) that the standing manifest does not name, the manifest after all parts: whatever is
    there after a crash, the manifest names parts that belong together. Every owner of a partition writes under a name
    of its own, and the manifest with the highest position counts, so that a former owner which still writes overwrites nothing.
    """

    def __init__(self, data: MutableMapping[bytes, bytes], writer: str) -> None:
        self._data = data
        self._writer = writer
        self._standing: dict[str, Saved] = {}
        self._outdated: dict[str, list[bytes]] = {}

    def restore(self, shard: Shard) -> bool:
        """Take up the snapshots of a partition; False where one cannot be used, so that its scope must be folded from the start."""
        keys: dict[str, list[bytes]] = {}
        best: dict[str, Saved] = {}
        for key, value in list(self._data.items()):
            scope, writer, part, _ = decode_key(key)
            keys.setdefault(scope, []).append(key)
            saved = _manifest(writer, value) if part == "manifest" else None
            if saved is not None and saved.partition == shard.partition and (scope not in best or saved.position > best[scope].position):
                best[scope] = saved
        are_usable = [self._take_up(shard, scope, saved, keys[scope]) for scope, saved in best.items()]
        return all(are_usable)

    def _take_up(self, shard: Shard, scope: str, saved: Saved, keys: list[bytes]) -> bool:
        named = {part: encode_key(scope, saved.writer, part, slot) for part, slot in saved.slots.items()}
        parts = {part: self._data[key] for part, key in named.items() if key in self._data}
        is_usable = len(parts) == len(named) and shard.core.restore(scope, parts)
        self._standing.pop(scope, None)
        kept: set[bytes] = set()
        if is_usable:
            shard.ahead[scope] = saved.position
            shard.watch(scope)
            if saved.writer == self._writer:
                self._standing[scope] = saved
                kept = {*named.values(), encode_key(scope, saved.writer, "manifest", 0)}
        self._outdated[scope] = [key for key in keys if key not in kept]
        return is_usable

    def save(self, scope: str, partition: int, position: int, parts: Mapping[str, bytes]) -> list[Change]:
        """The writes, in order, that make these parts the scope's snapshot: changed parts, the manifest, and what it replaces."""
        before = self._standing.get(scope)
        own = before.slots if before is not None else {}
        slots: dict[str, int] = {}
        changes: list[Change] = []
        replaced: list[bytes] = []
        for part, value in parts.items():
            slot = own.get(part)
            if slot is not None and self._data.get(encode_key(scope, self._writer, part, slot)) == value:
                slots[part] = slot
                continue
            if slot is not None:
                replaced.append(encode_key(scope, self._writer, part, slot))
            slots[part] = 0 if slot is None else 1 - slot
            changes.append((encode_key(scope, self._writer, part, slots[part]), value))
        manifest = json.dumps({"partition": partition, "position": position, "slots": slots}, separators=(",", ":")).encode()
        changes.append((encode_key(scope, self._writer, "manifest", 0), manifest))
        replaced += [encode_key(scope, self._writer, part, slot) for part, slot in own.items() if part not in parts]
        written = {key for key, _ in changes}
        replaced += [key for key in self._outdated.pop(scope, ()) if key not in written]
        self._standing[scope] = Saved(self._writer, partition, position, slots)
        return [*changes, *((key, None) for key in replaced)]


def _manifest(writer: str, value: bytes) -> Saved | None:
    try:
        fields = json.loads(value)
        return Saved(writer, fields["partition"], fields["position"], dict(fields["slots"]))
    except (ValueError, TypeError, KeyError):
        return None


__all__ = ["Change", "Saved", "Snapshots", "decode_key", "encode_key"]
