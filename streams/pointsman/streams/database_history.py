"""The stream of an embedded optimizer: outputs and dead letters as they are recorded, and before that as the database has them, in the same order.

The id of an output is its `event_id`, that of a dead letter `dead-letter/NUMBER`. A dead letter stands behind the output after which it was kept.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import unquote

from pointsman.schemas import Event, EventRejected, decode_output

from .desk import Desk
from .embedded import Optimizer
from .emitted import Emitted, Row
from .event_stream import BEGINNING, MOST_RESUMED, RETRY, Filter, Reached, chunks, frame, here, letter_line, told
from .ring import Frame, Ring

PAGE = 500
LETTER = "dead-letter/"


def heard(ring: Ring, end: Emitted, outputs: Sequence[tuple[Event, bytes]]) -> None:
    """Put what one transaction caused into the ring."""
    letter = end.letters - sum(isinstance(event, EventRejected) for event, _ in outputs)
    frames = []
    for event, line in outputs:
        if isinstance(event, EventRejected):
            letter += 1
            data = frame(f"{LETTER}{letter}", letter_line(event))
        else:
            data = frame(event.event_id, line)
        frames.append(Frame(end.total, event.scope, str(getattr(event, "type", "")), data))
    ring.extend(frames)


class DatabaseHistory:
    """What the database has of the time before the ring, read page by page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def until_now(self, wanted: Filter, last_event_id: str | None) -> AsyncGenerator[bytes | Reached, None]:
        """See `History`."""
        end = await self._desk.ask(_end)
        given = unquote(last_event_id or "")
        after = await self._desk.ask(lambda optimizer: _place(optimizer, given)) if given else end
        if after is None:
            yield await self._here() + told("lost", last_event_id=last_event_id, message="this id is not known here: what came after it is not repeated")
            after = end
        elif not given:
            yield await self._here()
        elif (later := _newest_of(after, end)) != after:
            said = f"too far behind: the newest {MOST_RESUMED} are repeated"
            yield told("lost", last_event_id=last_event_id, outputs=later.total - after.total, message=said)
            after = later
        else:
            yield RETRY
        while True:
            rows = await self._page(after)
            for chunk in chunks(_row(number, line, is_letter=is_letter, wanted=wanted) for number, is_letter, line in rows):
                yield chunk
            for number, is_letter, _ in rows:
                after = Emitted(after.outputs, number) if is_letter else Emitted(number, after.letters)
            if len(rows) < PAGE:
                yield Reached(after.total)

    async def _page(self, after: Emitted) -> list[Row]:
        return await self._desk.ask(lambda optimizer: optimizer.emitted(lambda log: log.page(after, PAGE)))

    async def _here(self) -> bytes:
        return here(await self._desk.ask(_newest))


def _end(optimizer: Optimizer) -> Emitted:
    return optimizer.emitted(lambda log: log.end())


def _newest(optimizer: Optimizer) -> str:
    """The id of what was emitted last."""
    end, last = optimizer.emitted(lambda log: (end := log.end(), log.at_output(end.outputs)))
    return f"{LETTER}{end.letters}" if end.letters > last.letters else optimizer.last_output()[1]


def _newest_of(after: Emitted, end: Emitted) -> Emitted:
    """The same place, or a later one where more than may be repeated came since."""
    return Emitted(max(after.outputs, end.outputs - MOST_RESUMED), max(after.letters, end.letters - MOST_RESUMED))


def _place(optimizer: Optimizer, event_id: str) -> Emitted | None:
    """What had been emitted with and before this one; None where it is not known."""
    if event_id == BEGINNING:
        return Emitted(0, 0)
    if event_id.startswith(LETTER):
        number = event_id.removeprefix(LETTER)
        return optimizer.emitted(lambda log: log.at_letter(int(number))) if number.isascii() and number.isdigit() and len(number) < 19 else None
    found = optimizer.output_number(event_id)
    return optimizer.emitted(lambda log: log.at_output(found)) if found is not None else None


def _row(number: int, line: bytes, *, is_letter: bool, wanted: Filter) -> bytes:
    fields = json.loads(line)
    if not wanted.wants(fields["scope"], fields["type"]):
        return b""
    if not is_letter:
        return frame(fields["event_id"], line)
    letter = decode_output(line)
    return frame(f"{LETTER}{number}", letter_line(letter)) if isinstance(letter, EventRejected) else b""


__all__ = ["DatabaseHistory", "heard"]
