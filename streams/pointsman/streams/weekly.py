"""`pointsman report`: the figures of a period from any history, or from what a history can be read from."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pointsman.schemas import OptimizationConfig
from pointsman.schemas.settings import KafkaSettings
from pointsman.sinks.history import HistoryError, Queried, open_queried
from pointsman.sinks.history_sqlite import SqliteHistory, is_history
from pointsman.sinks.history_tables import TABLES
from pointsman.sinks.weekly import Period, attempts, newest_period, read_week
from pointsman.sinks.weekly_report import weekly_json, write_weekly

from .evaluate import plain
from .history import keep_history
from .history_sources import FileSource, source_of
from .replay import is_database, replay_file
from .savings import predicted, savings

MOST_JUDGED = 200_000


def period_of(week: str | None, since: str | None, until: str | None) -> Period | None:
    """The period that was asked for, if one was; raises `HistoryError`."""
    if week is not None:
        if since is not None or until is not None:
            raise HistoryError("--week and --since or --until exclude each other: give one of them")
        return Period.week(week)
    if since is None and until is None:
        return None
    first = _time(since) if since is not None else datetime(2000, 1, 1, tzinfo=UTC)
    last = _time(until) if until is not None else datetime.now(UTC)
    if first >= last:
        raise HistoryError(f"--since {since}: is not before --until {until or 'now'}")
    return Period(first, last, f"{first:%Y-%m-%d} to {last:%Y-%m-%d}")


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise HistoryError(f"{text}: not a time: write it like 2026-11-16 or 2026-11-16T08:00:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def report(
    place: str, output: Path, *, period: Period | None, scope: str | None, document: Path | None, config: OptimizationConfig, kafka: KafkaSettings
) -> str:
    """Write the page, and the figures where told; returns what to say of it."""
    with history_of(place, config, kafka) as history:
        wanted = period or newest_period(history, scope)
        week = read_week(history, wanted, scope)
        rows = list(attempts(history, wanted, scope, MOST_JUDGED))
    saved, found = savings(rows, config), predicted(rows)
    write_weekly(output, week, saved, found, MOST_JUDGED if len(rows) == MOST_JUDGED else None)
    if document is not None:
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(json.dumps(plain(weekly_json(week, saved, found)), indent=2) + "\n", encoding="utf-8")
    return f"{output}: {wanted.name}, {week.whole().attempts:,} attempts, {week.alert_count:,} alerts"


@contextmanager
def history_of(place: str, config: OptimizationConfig, kafka: KafkaSettings) -> Iterator[Queried]:
    """A history that answers SQL: the one at `place`, else one made of it for as long as this takes."""
    path = Path(place.removeprefix("sqlite:///"))
    with tempfile.TemporaryDirectory() as folder:
        if place.startswith(("postgresql://", "postgres://")) or is_history(path):
            history = open_queried(place)
        else:
            own = str(Path(folder) / "history.db")
            _fill(place, own, Path(folder), config, kafka)
            history = open_queried(own)
        try:
            yield history
        finally:
            history.close()


def _fill(place: str, target: str, folder: Path, config: OptimizationConfig, kafka: KafkaSettings) -> None:
    """Parquet is read back; a recording is replayed, so that its predictions, windows and alerts are there as well."""
    if place.startswith("parquet:"):
        _read_parquet(Path(place.removeprefix("parquet:")), target)
        return
    sources = [source_of(place, kafka)]
    if isinstance(sources[0], FileSource) and not is_database(Path(place)):
        outputs = folder / "outputs.jsonl"
        replay_file(place, outputs, config=config)
        sources.append(FileSource(outputs))
    keep_history(sources, target, print)


def _read_parquet(folder: Path, target: str) -> None:
    """Load a folder of Parquet into SQLite, in pieces."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise HistoryError("a history in Parquet needs pyarrow: pip install 'pointsman[parquet]'") from error
    if not folder.is_dir():
        raise HistoryError(f"parquet:{folder}: no such folder: give the one that `pointsman history` wrote")
    history = SqliteHistory(target)
    try:
        for table in TABLES.values():
            for path in sorted((folder / table.name).glob("day=*/*.parquet")):
                with pyarrow.parquet.ParquetFile(path) as file:
                    for piece in file.iter_batches(batch_size=10_000, columns=list(table.names)):
                        history.add({table.name: list(zip(*(column.to_pylist() for column in piece.columns), strict=True))}, "parquet", {})
    finally:
        history.close()


__all__ = ["history_of", "period_of", "report"]
