"""Where a reader of topics stands: for every partition the offset that comes next. As text it is an event id."""

import re
from collections.abc import Iterator, Mapping

Partition = tuple[str, int]  # the topic without its prefix, and the number
MOST_CHARACTERS = 60_000
_TEXT = re.compile(r"[a-z.-]{1,100}:[0-9]{1,19}(\.[0-9]{1,19}){0,9999}(,[a-z.-]{1,100}:[0-9]{1,19}(\.[0-9]{1,19}){0,9999}){0,99}")


class Offsets:
    """Next offsets of every partition of some topics; what changes is written anew only for its topic.

    >>> offsets = Offsets({("alerts", 0): 5, ("alerts", 1): 0, ("policies", 0): 7, ("policies", 1): 2})
    >>> offsets.advance("policies", 1, 3)
    >>> str(offsets)
    'alerts:5.0,policies:7.3'
    """

    __slots__ = ("_next", "_texts")

    def __init__(self, following: Mapping[Partition, int]) -> None:
        self._next: dict[str, list[int]] = {}
        for (topic, _), offset in sorted(following.items()):
            self._next.setdefault(topic, []).append(offset)
        self._texts = {topic: _text(topic, offsets) for topic, offsets in self._next.items()}

    @classmethod
    def parse(cls, text: str) -> "Offsets | None":
        """The offsets that a text has; None where it is none."""
        if len(text) > MOST_CHARACTERS or not _TEXT.fullmatch(text):
            return None
        rows = (part.partition(":") for part in text.split(","))
        return cls({(topic, number): int(offset) for topic, _, offsets in rows for number, offset in enumerate(offsets.split("."))})

    def advance(self, topic: str, number: int, offset: int) -> None:
        """From here on this offset comes next."""
        offsets = self._next[topic]
        offsets[number] = offset
        self._texts[topic] = _text(topic, offsets)

    def of(self, partition: Partition) -> int:
        """What comes next there; 0 where nothing is known."""
        topic, number = partition
        offsets = self._next.get(topic, ())
        return offsets[number] if number < len(offsets) else 0

    def copy(self) -> "Offsets":
        """The same, to go its own way."""
        return Offsets(dict(self.items()))

    def items(self) -> Iterator[tuple[Partition, int]]:
        """Every partition with its offset."""
        for topic, offsets in self._next.items():
            for number, offset in enumerate(offsets):
                yield (topic, number), offset

    def __str__(self) -> str:
        return ",".join(self._texts.values())


def _text(topic: str, offsets: list[int]) -> str:
    return f"{topic}:{'.'.join(map(str, offsets))}"


__all__ = ["Offsets", "Partition"]
