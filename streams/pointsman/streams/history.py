"""Keeping a history: from a source into a target, in batches whose rows and positions become durable together."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pointsman.schemas import INPUTS, OUTPUTS, Event, EventRejected, Refused, decode_output
from pointsman.sinks.history import History, Unavailable, open_history
from pointsman.sinks.history_tables import BY_TYPE, Row, placed

from .history_sources import Piece, Source
from .intake import accept

POLL_S = 0.5
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
Say = Callable[[str], object]
Found = TypeVar("Found")


@dataclass(slots=True)
class Kept:
    """What was done: lines read, rows that were new, lines that are no event (an intake has made dead letters of them)."""

    lines: int = 0
    rows: int = 0
    refused: int = 0

    def __str__(self) -> str:
        return f"{self.lines} lines, {self.rows} new rows, {self.refused} refused"


class Keeper:
    """Fills one target; one that does not answer is waited for, which is said once."""

    def __init__(self, target: str, say: Say, sleep: Callable[[float], object] = time.sleep) -> None:
        self._say = say
        self._sleep = sleep
        self.kept = Kept()
        self._history: History = self._patiently(lambda: open_history(target))

    def _patiently(self, act: Callable[[], Found]) -> Found:
        pause = SHORTEST_PAUSE_S
        is_said = False
        while True:
            try:
                found = act()
            except Unavailable as error:
                if not is_said:
                    self._say(f"{error}; waiting for it, the source keeps what is to come")
                is_said = True
                self._sleep(pause)
                pause = min(2.0 * pause, LONGEST_PAUSE_S)
            else:
                if is_said:
                    self._say("the history goes on")
                return found

    def keep(self, source: Source, *, follow: bool = False) -> None:
        """Everything that the source has; with `follow` also what comes, without end."""
        positions = self._patiently(lambda: self._history.positions(source.name))
        batch = Batch()
        for piece in source.pieces(positions):
            batch.take(piece, self.kept)
            is_idle = not piece.lines and not piece.positions
            is_due = batch.size >= self._history.batch_rows or batch.age() >= self._history.linger_s or (is_idle and not follow)
            if batch.positions and is_due:
                full, batch = batch, Batch()
                self.kept.rows += self._patiently(partial(self._history.add, full.rows, source.name, full.positions))
            if is_idle and not follow:
                return
            if is_idle:
                self._sleep(POLL_S)

    def close(self) -> None:
        """Let go of the target."""
        self._history.close()


class Batch:
    """Rows by table and the positions after them, from the first piece on."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}
        self.positions: dict[str, int] = {}
        self.size = 0
        self._began = time.monotonic()

    def age(self) -> float:
        """Seconds since it was begun."""
        return time.monotonic() - self._began

    def take(self, piece: Piece, kept: Kept) -> None:
        """Add what a piece has."""
        for place, line in piece.lines:
            event = event_of(place, line)
            if isinstance(event, EventRejected):
                kept.refused += 1
            elif event is not None and (found := placed(event)) is not None:
                self.rows.setdefault(found[0], []).append(found[1])
        kept.lines += len(piece.lines)
        self.size += len(piece.lines)
        self.positions.update(piece.positions)


def event_of(place: str, line: bytes) -> Event | None:
    """The event in a line where a history keeps its type, as an intake would accept it; a line that is no event becomes its dead letter."""
    try:
        kind = json.loads(line)["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        kind = None
    if kind in BY_TYPE and kind in OUTPUTS:
        try:
            return decode_output(line)
        except Refused:
            return accept(line, place=place)
    if kind not in BY_TYPE and (kind in INPUTS or kind in OUTPUTS):
        return None
    return accept(line, place=place)


def keep_history(sources: Sequence[Source], target: str, say: Say, *, follow: bool = False) -> Kept:
    """Fill a target from sources, one after the other; the last may be followed."""
    keeper = Keeper(target, say)
    try:
        for source, is_last in _marked(sources):
            keeper.keep(source, follow=follow and is_last)
    finally:
        keeper.close()
    return keeper.kept


def _marked(sources: Sequence[Source]) -> Iterator[tuple[Source, bool]]:
    for number, source in enumerate(sources, start=1):
        yield source, number == len(sources)


__all__ = ["Keeper", "Kept", "event_of", "keep_history"]
