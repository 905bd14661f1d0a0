"""Server-sent events, line by line, whichever client reads the lines."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One event; `name` is `message` for an output. `data` is empty where an id stands alone, `last_id` is that of the newest event that had one."""

    name: str
    data: bytes
    last_id: str


class Messages:
    """Makes events of the lines of a stream.

    >>> messages = Messages()
    >>> [messages.line(text) for text in ("id: chat/1/0", "data: {}", "", ": a comment", "")][2:]
    [Message(name='message', data=b'{}', last_id='chat/1/0'), None, Message(name='message', data=b'', last_id='chat/1/0')]
    """

    def __init__(self) -> None:
        self._last_id, self._name, self._data = "", "message", b""

    def line(self, text: str) -> Message | None:
        """Take in a line without its end; the event that an empty one completes."""
        field, _, value = text.partition(": ")
        if field == "id":
            self._last_id = value
        elif field == "event":
            self._name = value
        elif field == "data":
            self._data = value.encode()
        elif not text:
            found = Message(self._name, self._data, self._last_id) if self._data or self._last_id else None
            self._name, self._data = "message", b""
            return found
        return None


__all__ = ["Message", "Messages"]
