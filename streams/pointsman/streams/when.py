"""Times of the day as a terminal shows them: UTC, or the reader's own zone."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class When:
    """Epoch seconds as text.

    >>> When(is_local=False).text(1.7e9)
    '2023-11-14 22:13:20 UTC'
    """

    is_local: bool

    def text(self, at: float) -> str:
        """Date, time and zone."""
        moment = datetime.fromtimestamp(at, UTC)
        return (moment.astimezone() if self.is_local else moment).strftime("%Y-%m-%d %H:%M:%S %Z")


__all__ = ["When"]
