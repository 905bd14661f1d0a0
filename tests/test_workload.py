"""The live workload: rows by the scope's clock, forecasts of what is due, scaling advice, and warnings before a limit is met."""

from typing import Any

import pytest
from events import START, completed, sampled, started, stream, streams, ticked
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.schemas import (
    AlertRaised,
    AlertResolved,
    AnyInput,
    ConfigChanged,
    Constraints,
    Event,
    ForecastIssued,
    Forecasts,
    OptimizationConfig,
    Scaling,
    ScalingRecommended,
    ScalingScored,
    Track,
    encode,
)
from pointsman.streams.core import Core
from pointsman.streams.live_series import Name
from pointsman.streams.workload import MOST_MINUTES, MOST_SERIES, Workload

WHOLE = 40.0  # START + 40 is the beginning of a minute and of a five-minute row
BLOCK_S = 300.0
EVERYTHING = OptimizationConfig(
    strategy="adaptive",
    tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)),
    forecasts=Forecasts(gauges=("pending",)),
    scaling=(Scaling(track="local", start_delay_s=60.0, concurrency_per_replica=0.5), Scaling(track="api", unit="concurrency")),
)


def core(*tracks: str, **fields: Any) -> Core:
    """A core whose scope `chat` has had a tick at the beginning of a five-minute row."""
    found = Core(OptimizationConfig(tracks=tuple(Track(name=name) for name in tracks or ("local",)), **fields))
    found.step(ticked(WHOLE))
    return found


def fold(folded: Core, *events: AnyInput) -> list[Any]:
    """Every output, in order; times count from the first whole minute."""
    moved = [event.model_copy(update={"occurred_at": event.occurred_at + WHOLE}) for event in events]
    return [output for event in moved for output in folded.step(event)]


def only(kind: type[Event], outputs: list[Any], **fields: Any) -> list[Any]:
    """The outputs of a type whose fields are these."""
    return [one for one in outputs if isinstance(one, kind) and all(getattr(one, name) == value for name, value in fields.items())]


def rows(folded: Core, metric: str, track: str | None = None, host: str | None = None) -> list[float]:
    """The values that a series has learned, minute by minute."""
    return [float(value) for value in folded.scope("chat").workload.series[Name(metric, track, host)].minutes]


def test_a_row_is_over_when_the_clock_reaches_its_end() -> None:
    folded = core()
    assert not only(ForecastIssued, fold(folded, started("r1", 1.0), started("r2", 59.999)))
    said = only(ForecastIssued, fold(folded, ticked(60.0)), metric="arrival_rate")
    assert [one.median for one in said] == [pytest.approx(2.0 / 60.0, rel=1e-5)]
    assert said[0].target_time == START + WHOLE + 120.0
