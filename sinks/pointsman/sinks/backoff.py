"""How long to wait before another try: longer after every failure in a row, and never the same for two that failed together."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_ASKED_S = 3600.0


def backoff(failures: int, shortest_s: float, longest_s: float) -> float:
    """Seconds to wait: half to the whole of `shortest_s` after one failure, doubled with each further one up to `longest_s`.

    >>> all(0.25 <= backoff(1, 0.5, 30.0) <= 0.5 and 15.0 <= backoff(100, 0.5, 30.0) <= 30.0 for _ in range(100))
    True
    """
    return min(shortest_s * 2.0 ** min(max(failures - 1, 0), 30), longest_s) * random.uniform(0.5, 1.0)


def retry_after(given: str | None, now: float) -> float:
    """Seconds that a `Retry-After` header asks to wait, at most an hour (RFC 9110, 10.2.3): a number, or a date; 0 where there is none that can be read.

    >>> retry_after("120", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 10.0), retry_after("soon", 0.0), retry_after("99999", 0.0)
    (120.0, 50.0, 0.0, 3600.0)
    """
    if given is None:
        return 0.0
    if given.isascii() and given.isdigit():
        return min(float(given[:9]), LONGEST_ASKED_S)
    try:
        at = parsedate_to_datetime(given)
    except ValueError:
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, min((at - datetime.fromtimestamp(now, UTC)).total_seconds(), LONGEST_ASKED_S))


__all__ = ["backoff", "retry_after"]
