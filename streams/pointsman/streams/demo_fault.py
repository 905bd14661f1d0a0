"""The demo's recording with a fault in it: the same traffic, and five minutes in which something is wrong."""

from dataclasses import replace
from typing import Any

from pointsman.schemas import AnyInput

from .demo import CONFIG, RECORDING
from .inject import inject, read_events
from .inject_faults import Fault

AT_S, FOR_S = 1860.0, 300.0  # the calmest of the recorded runs begins then
_FAULTS = {
    "latency": Fault("latency", AT_S, FOR_S, track="api", factor=3.0),
    "errors": Fault("errors", AT_S, FOR_S, track="api", factor=0.4),
    "throttled": Fault("throttled", AT_S, FOR_S, track="local", factor=3.0),
    "tokens": Fault("tokens", AT_S, FOR_S, track="api", factor=8.0),
    "configuration": Fault("configuration", AT_S, FOR_S, track="api", factor=3.0),
    "version": Fault("version", AT_S, FOR_S, track="api", factor=0.4),
    "drift": Fault("drift", AT_S, FOR_S, track="api", factor=4.0),
    "stuck": Fault("stuck", AT_S, FOR_S, gauge="generation_tokens_per_s"),
    "traffic": Fault("traffic", AT_S, FOR_S, track="api", factor=5.0),
}
DEMO_FAULTS = tuple(_FAULTS)


def faulty_demo(kind: str) -> tuple[list[AnyInput], dict[str, Any]]:
    """The demo's events with a fault of this kind, and what was done."""
    return inject(read_events(RECORDING), replace(_FAULTS[kind], config=CONFIG))


__all__ = ["DEMO_FAULTS", "faulty_demo"]
