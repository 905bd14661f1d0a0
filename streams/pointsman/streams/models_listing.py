"""What the models of every track and metric do: from an optimizer's database, a recording of inputs, or a file of outputs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pointsman.schemas import ModelReport, ModelsReported, OptimizationConfig, Refused, decode_output

from .core import Core
from .predictions import report
from .recording import read_lines
from .replay import ReplayError, database_lines, is_database, replay

_REPORT = b'"models.reported/1"'
_HEADER = ("track", "metric", "model", "role", "version", "weight", "error", "WAPE", "outcomes", "resets", "since")


def find(place: Path, config: OptimizationConfig, scope: str | None = None) -> list[ModelsReported]:
    """The last report of every scope, track and metric: as published where the file has outputs, else as a replay leaves them."""
    if not place.is_file():
        raise ReplayError(f"{place}: no such file; give a database, a recording or a file of outputs")
    found = list(_replayed(place, config)) if is_database(place) else list(_published(place)) or list(_replayed(place, config))
    found = [one for one in found if scope is None or one.scope == scope]
    if not found:
        raise ReplayError(f"{place}: no model of {f'scope {scope!r}' if scope else 'any scope'} has had an outcome there")
    return found


def _published(place: Path) -> Iterable[ModelsReported]:
    last: dict[tuple[str, str, str], ModelsReported] = {}
    for _, line in read_lines(place):
        if _REPORT not in line:
            continue
        try:
            event = decode_output(line)
        except Refused:
            continue
        if isinstance(event, ModelsReported):
            last[(event.scope, event.track, event.metric)] = event
    return last.values()


def _replayed(place: Path, config: OptimizationConfig) -> Iterator[ModelsReported]:
    core = Core(config)
    lines = database_lines(place) if is_database(place) else ((f"{place.name}:{number}", line) for number, line in read_lines(place))
    replay(lines, core, len, len)
    for name in core.scopes():
        scope = core.scope(name)
        for track in scope.tracks.values():
            for metric, predictor in track.outlook.predictors.items():
                if predictor.standings["windowed"].outcomes:
                    fields = report(track, metric, predictor)
                    yield ModelsReported(event_id="-", scope=name, occurred_at=scope.clock, caused_by="-", **fields)


def lines(found: Iterable[ModelsReported]) -> Iterator[str]:
    """A table for people: per scope, track and metric the coverage, then its models, the most believed first."""
    yield f"{_HEADER[2]:<44}" + "".join(f"{name:>11}" for name in _HEADER[3:])
    for one in found:
        held = f"coverage {one.coverage:.3f} of the last {one.coverage_outcomes}" if one.coverage is not None else "no interval judged yet"
        yield f"{one.scope} {one.track} {one.metric}: {one.learners}, {held}"
        for model in sorted(one.models, key=lambda model: -model.weight):
            yield _line(model)


def _line(model: ModelReport) -> str:
    error = f"{model.error:.3f}" if model.error is not None else "-"
    wape = f"{100.0 * model.wape:.1f} %" if model.wape is not None else "-"
    since = f"{model.since:.0f}" if model.since else "start"
    cells = (model.role, str(model.version), f"{model.weight:.3f}", error, wape, str(model.outcomes), str(model.resets), since)
    return f"  {model.name:<42}" + "".join(f"{cell:>11}" for cell in cells)


__all__ = ["find", "lines"]
