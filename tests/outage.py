"""A made-up outage of which the core itself makes an incident: requests that all succeed, then that all fail, then that succeed again."""

from events import completed, started

from pointsman.schemas import Event, OptimizationConfig, Track

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), learners="light")
EVERY_S = 10.0
FAILS, MENDS, ENDS = 120, 126, 200  # the numbers of the requests


def requests(first: int, last: int) -> list[Event]:
    """Requests of the track `local` with these numbers, one every ten seconds."""
    events: list[Event] = []
    for number in range(first, last):
        at, is_well = number * EVERY_S, not FAILS <= number < MENDS
        failure = {} if is_well else {"error_type": "server_error", "failure_class": "provider"}
        events.append(started(f"r{number}", at, input_tokens=100))
        events.append(completed(f"r{number}", at + 0.4, latency_ms=400.0, success=is_well, **failure))
    return events


def before() -> list[Event]:
    """All is well."""
    return requests(0, FAILS)


def during() -> list[Event]:
    """Everything fails."""
    return requests(FAILS, MENDS)


def after() -> list[Event]:
    """All is well again, for long enough that the incident ends."""
    return requests(MENDS, ENDS)


__all__ = ["CONFIG", "after", "before", "during", "requests"]
