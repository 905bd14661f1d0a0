"""Times as other programs take them."""

from datetime import UTC, datetime


def moment(at: float) -> str:
    """Epoch seconds as RFC 3339, in UTC.

    >>> moment(1.7e9)
    '2023-11-14T22:13:20.000Z'
    """
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["moment"]
