"""The last part of the demo: the same recording with a fault in it, and the incident that is told of it."""

import sys
import warnings

from rich.console import Console
from rich.table import Table

from pointsman.schemas import IncidentOpened, IncidentResolved, IncidentUpdated

from .core import Core
from .demo import CONFIG
from .demo_fault import faulty_demo

FAULT = "latency"


def run_incident() -> None:
    """Fold the demo's recording with a slow endpoint in it, and print what was said: when, how many incidents, and whom they suspect."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    events, fault = faulty_demo(FAULT)
    core = Core(CONFIG.model_copy(update={"learners": "light"}))
    with warnings.catch_warnings(action="ignore"):
        said = [output for event in events for output in core.step(event)]
    opened = [output for output in said if isinstance(output, IncidentOpened)]
    newest = {output.incident: output for output in said if isinstance(output, IncidentOpened | IncidentUpdated | IncidentResolved)}
    minutes = (fault["end"] - fault["start"]) / 60.0
    begun = f"the same recording, but for {minutes:.0f} minutes {fault['track']} takes {fault['factor']:g} x as long (pointsman inject)"
    table = Table(title=f"Incidents: {begun}")
    for column in ("incident", "after s", "what", "suspected, with evidence"):
        table.add_column(column)
    for first in opened:
        last = newest[first.incident]
        suspects = [f"{place}. {one.kind} {one.name}: {one.evidence}" for place, one in enumerate(last.suspects[:3], 1)]
        table.add_row(first.incident, f"{first.occurred_at - fault['start']:.0f}", last.title, "\n".join(suspects))
    console.print(table)


__all__ = ["run_incident"]
