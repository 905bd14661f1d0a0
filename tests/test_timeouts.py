"""Timeouts cover what they say, on recorded streams and whatever else comes."""

import doctest
import json
import math
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.models import timeouts as module
from pointsman.models.timeouts import Issued, Timeout, TimeoutSettings
from pointsman.schemas import PredictionIssued, RequestCompleted, RequestStarted, decode
from pointsman.streams.core import Core
from pointsman.streams.demo import CONFIG, RECORDING
from pointsman.streams.recording import read_lines

Row = tuple[str, str, float | None, int]


@cache
def recorded(metric: str) -> tuple[Row, ...]:
    """The demo's recording as (request, track, log prediction, in flight) at a start and (request, track, value, -1) at a success."""
    core, rows = Core(CONFIG), list[Row]()
    for _, line in read_lines(RECORDING):
        event = decode(line)
        outputs = core.step(event)
        if isinstance(event, RequestStarted) and event.track is not None:
            expected = next((getattr(output, metric) for output in outputs if isinstance(output, PredictionIssued)), None)
            rows.append((event.request_id, event.track, expected and math.log(expected.median), core.scope("demo").tracks[event.track].in_flight))
        elif isinstance(event, RequestCompleted) and event.success:
            rows.append((event.request_id, event.track, getattr(event, metric), -1))
    return tuple(rows)


def played(metric: str, level: float, track: str) -> list[bool]:
    """Whether each timeout that was learned was kept, in the order of the completions."""
    timeout = Timeout(TimeoutSettings(level=level))
    pending: dict[str, Issued] = {}
    held = []
    for request, name, value, in_flight in recorded(metric):
        if name != track or value is None:
            continue
        if in_flight >= 0:
            pending[request] = timeout.issue(value, in_flight)
        elif request in pending:
            issued = pending.pop(request)
            timeout.observe(issued, value)
            if issued.learned:
                held.append(value <= issued.timeout_ms)
    return held


def test_the_documentation_is_true() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("track", ["local", "api"])
@pytest.mark.parametrize(("level", "low", "high"), [(0.95, 0.93, 0.97), (0.99, 0.98, 1.0)])
def test_coverage_holds_on_recorded_latencies(level: float, low: float, high: float, track: str) -> None:
    held = played("latency_ms", level, track)
    assert low <= sum(held) / len(held) <= high


@pytest.mark.parametrize(("level", "low"), [(0.95, 0.93), (0.99, 0.98)])
def test_coverage_of_the_first_token_is_at_least_as_high(level: float, low: float) -> None:
    held = played("ttft_ms", level, "local") + played("ttft_ms", level, "api")
    assert low <= sum(held) / len(held)


def test_a_young_one_gives_the_default_within_bounds() -> None:
    assert Timeout(TimeoutSettings(default_ms=45_000.0)).issue(7.0, 2).timeout_ms == 45_000.0
    assert Timeout(TimeoutSettings(default_ms=1e9)).issue(math.nan, 2).timeout_ms == 600_000.0
    assert Timeout().coverage() is None


def test_a_provider_that_hangs_does_not_teach_patience_without_end() -> None:
    timeout = Timeout()
    for _ in range(100):
        timeout.observe(timeout.issue(math.log(1000.0), 1), 1000.0)
    patience = [timeout.issue(math.log(1000.0), 1).timeout_ms]
    for _ in range(200):
        issued = timeout.issue(math.log(1000.0), 1)
        timeout.observe(issued, issued.timeout_ms, censored=True)
        patience.append(issued.timeout_ms)
    assert patience[0] < 1500.0 and max(patience) <= 7.4 * 1500.0


def test_what_was_given_up_early_changes_nothing() -> None:
    timeout = Timeout()
    timeout.observe(timeout.issue(7.0, 1), 59_999.0, censored=True)
    assert timeout.snapshot() == Timeout().snapshot()


outcomes = st.lists(st.tuples(st.floats(-5, 20), st.integers(0, 500), st.floats(0, 1e7), st.booleans()), max_size=120)


def run(timeout: Timeout, rows: list[tuple[float, int, float, bool]]) -> list[float]:
    """Issue and observe one after the other."""
    issued = []
    for prediction, load, elapsed, censored in rows:
        issued.append(timeout.issue(prediction, load))
        timeout.observe(issued[-1], elapsed, censored=censored)
    return [one.timeout_ms for one in issued]


@settings(deadline=None, max_examples=50)
@given(outcomes, st.floats(0, 1))
def test_timeouts_stay_in_bounds_and_a_snapshot_continues_alike(rows: list[tuple[float, int, float, bool]], share: float) -> None:
    cut = int(share * len(rows))
    whole, first = Timeout(), Timeout()
    all_of_them = run(whole, rows)
    head = run(first, rows[:cut])
    second = Timeout.restore(json.loads(json.dumps(first.snapshot(), allow_nan=False)))
    assert head + run(second, rows[cut:]) == all_of_them
    assert all(1_000.0 <= timeout <= 600_000.0 for timeout in all_of_them)
