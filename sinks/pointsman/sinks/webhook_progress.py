"""How far each webhook has been told, in a file that is written anew after each delivery: whatever stops the program, it goes on there."""

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointsman.schemas import Event

from .standing_alerts import place

VERSION = 1
MOST_STREAMS = 20_000
MOST_LETTERS_BYTES = 16_000_000


class ProgressError(ValueError):
    """The state file cannot be used; the message says what to do."""


class Reached:
    """The last place of each stream of each scope: the sequence and ordinal of an output's id, and the newest time so far.

    What is at or before that place was there already, unless it is newer than everything that was: then the place was made anew, and counts from there.
    """

    def __init__(self, places: Mapping[str, Any] | None = None) -> None:
        self._places: OrderedDict[str, tuple[int, int, float]] = OrderedDict(
            (name, (int(one[0]), int(one[1]), float(one[2]))) for name, one in (places or {}).items()
        )

    def has(self, event: Event) -> bool:
        """Whether it is behind us."""
        known = self._places.get(_stream(event))
        return known is not None and place(event.event_id) <= known[:2] and event.occurred_at <= known[2]

    def advance(self, event: Event) -> None:
        """This far."""
        stream = _stream(event)
        _, _, newest = self._places.get(stream, (0, 0, 0.0))
        self._places[stream] = (*place(event.event_id), max(newest, event.occurred_at))
        self._places.move_to_end(stream)
        if len(self._places) > MOST_STREAMS:
            self._places.popitem(last=False)

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return dict(self._places)


def _stream(event: Event) -> str:
    """Kafka keeps the order of alerts and that of incidents, not that between them."""
    return f"{'incidents' if hasattr(event, 'incident') else 'alerts'}/{event.scope}"


class Progress:
    """One target's: what is behind it, and what stood when it began, as lines, and has still to be told."""

    def __init__(self, plain: Mapping[str, Any] | None = None) -> None:
        self.is_begun = plain is not None
        self.reached = Reached((plain or {}).get("reached"))
        self.waiting: list[str] = list((plain or {}).get("waiting", ()))

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return {"reached": self.reached.plain(), "waiting": self.waiting}


class ProgressFile:
    """The progress of all targets; without a path it is not kept. Targets are named by their host and a hash, so that no secret address is in it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._others: dict[str, Any] = _read(path) if path is not None and path.exists() else {}
        self._targets: dict[str, Progress] = {}

    def of(self, target: str) -> Progress:
        """The progress of a target, from the file where it has any."""
        self._targets[target] = Progress(self._others.get(target))
        return self._targets[target]

    def save(self) -> None:
        """Leave it as it is now: whole, or not at all."""
        if self._path is None:
            return
        begun = {name: progress.plain() for name, progress in self._targets.items() if progress.is_begun}
        text = json.dumps({"version": VERSION, "targets": self._others | begun}, separators=(",", ":"))
        new = self._path.with_name(self._path.name + ".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        targets: dict[str, Any] = found["targets"]
        for plain in targets.values():
            Progress(plain).plain()
        is_ours = found["version"] == VERSION
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        is_ours, targets = False, {}
    if not is_ours:
        raise ProgressError(f"{path}: this is no state of `pointsman webhook`: give another --state, or remove it to be told what stands once more")
    return targets


class DeadLetters:
    """What no target took, one JSON object a line: which target, why, and the event; 16 MB of them at most."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, letter: Mapping[str, Any]) -> bool:
        """Whether there was room."""
        if self.path.exists() and self.path.stat().st_size > MOST_LETTERS_BYTES:
            return False
        with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
            file.write(json.dumps(letter, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return True


__all__ = ["DeadLetters", "Progress", "ProgressError", "ProgressFile", "Reached"]
