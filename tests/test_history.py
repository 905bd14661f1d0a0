"""The history: the same rows in SQLite, PostgreSQL and Parquet, each event once, whatever happens in between."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import CliRunner
from events import START, completed, started, stream
from postgres import Postgres, postgres_server

from pointsman.schemas import AlertRaised, AlertResolved, Event, OptimizationConfig, QualityAssessed, RecommendationIssued, encode
from pointsman.schemas.settings import KafkaSettings
from pointsman.sinks.history import HistoryError, Queried, open_history, open_queried
from pointsman.sinks.history_migrations import MIGRATIONS
from pointsman.sinks.history_parquet import INDEX
from pointsman.sinks.history_postgres import PostgresHistory
from pointsman.sinks.history_sqlite import SqliteHistory
from pointsman.sinks.history_tables import TABLES, placed
from pointsman.streams import Optimizer
from pointsman.streams.cli import main
from pointsman.streams.core import Core
from pointsman.streams.history import Keeper, keep_history
from pointsman.streams.history_sources import FileSource, source_of

Tables = dict[str, list[tuple[Any, ...]]]
KINDS = ("sqlite", "postgresql", "parquet")
KILLED = """
import os, signal, sys, threading, time
from pathlib import Path
from pointsman.sinks import history_parquet, history_postgres, history_sqlite
from pointsman.streams.history import keep_history
from pointsman.streams.history_sources import FileSource
for module, name in ((history_parquet, "ParquetHistory"), (history_postgres, "PostgresHistory"), (history_sqlite, "SqliteHistory")):
    getattr(module, name).batch_rows = 1
threading.Thread(target=lambda: (time.sleep(float(sys.argv[1])), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
import pointsman.streams.history_sources as sources
sources.PIECE = 40
keep_history([FileSource(Path(path)) for path in sys.argv[2:4]], sys.argv[4], print)
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server for the tests of this module."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def target(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A fresh target of each kind."""
    made = iter(range(100))

    def make(kind: str) -> str:
        name = f"{request.node.name.translate(str.maketrans('[]', '__'))[:40]}{next(made)}"
        if kind == "postgresql":
            return str(request.getfixturevalue("postgres").url(name))
        return str(tmp_path / f"{name}.db") if kind == "sqlite" else f"parquet:{tmp_path / name}"

    return make


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recording with everything that is normal, and its outputs."""
    folder = tmp_path_factory.mktemp("files")
    core, lines, outputs = Core(), [], []
    for event in stream(7, 400):
        lines.append(encode(event))
        outputs += [encode(output) for output in core.step(event) if output.TYPE != "event.rejected/1"]
    (folder / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (folder / "out.jsonl").write_bytes(b"\n".join(outputs) + b"\n")
    return folder / "in.jsonl", folder / "out.jsonl"


def tables(target: str) -> Tables:
    """Every table of a history, sorted."""
    found: Tables = {}
    if target.startswith("parquet:"):
        for table in TABLES.values():
            paths = sorted((Path(target.removeprefix("parquet:")) / table.name).glob("day=*/*.parquet"))
            rows = [row for path in paths for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]
            found[table.name] = sorted((tuple(row.values()) for row in rows), key=repr)
        return found
    with_history = open_queried(target)
    for table in TABLES.values():
        columns = ", ".join(f'"{name}"' for name in table.names)
        found[table.name] = sorted((tuple(row.values()) for row in with_history.select(f"SELECT {columns} FROM {table.name}")), key=repr)
    with_history.close()
    return found


def keep(files: tuple[Path, ...], target: str) -> int:
    """Fill a target, and how many rows were new."""
    return keep_history([FileSource(path) for path in files], target, print).rows


def write(path: Path, events: list[Event]) -> Path:
    """Events as JSON lines."""
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


def outcome(history: Queried, request: str) -> dict[str, Any]:
    """The one attempt of a request."""
    (row,) = history.select("SELECT * FROM outcomes WHERE request_id = ?", (request,))
    return row


def test_the_three_kinds_keep_the_same_rows(files: tuple[Path, Path], target: Callable[[str], str]) -> None:
    targets = [target(kind) for kind in KINDS]
    assert len({keep(files, each) for each in targets}) == 1
    first, *others = (tables(each) for each in targets)
    assert all(other == first for other in others)
    assert all(first[name] for name in ("starts", "completions", "judgements", "predictions", "recommendations", "windows", "alert_events"))


@pytest.mark.parametrize("kind", KINDS)
def test_reading_again_in_any_order_adds_nothing(kind: str, files: tuple[Path, Path], target: Callable[[str], str], tmp_path: Path) -> None:
    place = target(kind)
    keep(files, place)
    lines = files[0].read_bytes().splitlines() + files[1].read_bytes().splitlines()
    shuffled = tmp_path / "shuffled.jsonl"
    shuffled.write_bytes(b"\n".join(random.Random(1).sample(lines, len(lines))) + b"\n")
    before = tables(place)
    assert keep(files, place) == 0 and keep((shuffled,), place) == 0
    assert tables(place) == before


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments_the_rows_are_those_of_one_run(kind: str, files: tuple[Path, Path], target: Callable[[str], str]) -> None:
    whole, killed = target(kind), target(kind)
    keep(files, whole)
    draw, codes = random.Random(kind), []
    for longest in (0.05, 0.3, 0.8):
        command = [sys.executable, "-c", KILLED, str(draw.uniform(0.0, longest)), *map(str, files), killed]
        codes.append(subprocess.run(command, check=False, capture_output=True, timeout=60).returncode)
    keep(files, killed)
    assert tables(killed) == tables(whole) and -signal.SIGKILL in codes


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_outcome_joins_what_is_known_of_an_attempt(kind: str, target: Callable[[str], str], tmp_path: Path) -> None:
    judged = [
        QualityAssessed(event_id=f"q{number}", scope="chat", occurred_at=START + 60.0 * number, request_id="a", track="local", score=score)
        for number, score in ((2, 0.9), (1, 0.4))
    ]
    asked = RecommendationIssued(
        event_id="chat/1/0",
        scope="chat",
        occurred_at=START,
        caused_by="x",
        segment="all",
        request_id="b",
        track="api",
        propensity=0.25,
        tracks=(),
        strategy="balanced",
        mode="apply",
        reasons=("one", "two"),
        policy_version=3,
        expires_at=START + 60.0,
    )
    events = [
        completed("a", 1.0, quality_score=0.1, cost_usd=0.5),
        started("a", 0.0, propensity=0.75, policy_version=2, category="code"),
        completed("a", 5.0, latency_ms=9.0).model_copy(update={"event_id": "again"}),
        completed("b", 1.0, track="api"),
        started("lost", 2.0),
        asked,
        *judged,
    ]
    keep((write(tmp_path / "in.jsonl", events),), place := target(kind))
    history = open_queried(place)
    row, other = outcome(history, "a"), outcome(history, "b")
    assert (row["latency_ms"], row["cost_usd"], row["quality"], row["propensity"], row["policy_version"]) == (800.0, 0.5, 0.9, 0.75, 2)
    assert row["success"] is True and (row["completed_at"] - row["started_at"]).total_seconds() == 1.0 and row["category"] == "code"
    assert (other["started_at"], other["recommended_track"], other["propensity"]) == (None, "api", 0.25)
    assert outcome(history, "lost")["completed_at"] is None
    assert next(history.select("SELECT reasons FROM recommendations"))["reasons"] == "one\ntwo"
    history.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_alert_has_its_duration(kind: str, target: Callable[[str], str], tmp_path: Path) -> None:
    fields: dict[str, Any] = {"scope": "chat", "caused_by": "x", "fingerprint": "f", "kind": "budget", "severity": "warning", "subject": "day"}
    fields |= {"observed": 2.0, "expected": 1.0, "since": START}
    events: list[Event] = [AlertRaised(event_id=f"chat/{place}/0", occurred_at=START + place, **fields) for place in (0, 200)]
    events.append(AlertResolved(event_id="chat/90/0", occurred_at=START + 90.5, **fields))
    keep((write(tmp_path / "in.jsonl", events),), place := target(kind))
    history = open_queried(place)
    assert [row["duration_s"] for row in history.select("SELECT duration_s FROM alerts ORDER BY raised_at")] == [90.5, None]
    history.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_older_history_is_brought_forward_with_its_rows(kind: str, target: Callable[[str], str]) -> None:
    place = target(kind)
    opened = PostgresHistory if kind == "postgresql" else SqliteHistory
    old = opened(place, until=1)
    name, row = placed(started("a", 0.0)) or ("", ())
    assert old.add({name: [row]}, "s", {"p": 5}) == 1
    old.close()
    history = open_queried(place)
    assert [row["version"] for row in history.select("SELECT version FROM schema_version ORDER BY version")] == list(range(1, len(MIGRATIONS) + 1))
    assert history.positions("s") == {"p": 5} and next(history.select("SELECT count(*) AS n FROM starts"))["n"] == 1
    assert list(history.select("SELECT * FROM forecasts")) == []
    history.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_newer_history_is_refused(kind: str, target: Callable[[str], str]) -> None:
    place = target(kind)
    history: Any = open_queried(place)
    insert = "INSERT INTO schema_version VALUES (99, '2030-01-01')"
    history._connection.execute(insert)
    history.close()
    with pytest.raises(HistoryError, match="newer Pointsman"):
        open_history(place)


def test_what_is_no_history_is_refused_and_left_alone(tmp_path: Path) -> None:
    with Optimizer.open(str(tmp_path / "own.db"), OptimizationConfig()):
        pass
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter.txt").write_text("mine")
    before = (tmp_path / "own.db").read_bytes()
    for place in (str(tmp_path / "own.db"), f"parquet:{tmp_path / 'folder'}", "mysql://there"):
        with pytest.raises(HistoryError, match=r"give"):
            open_history(place)
    assert (tmp_path / "own.db").read_bytes() == before


@pytest.mark.parametrize("form", ["{}/file/h.db", "parquet:{}/file/h"])
def test_a_place_where_nothing_can_be_made_is_refused_and_not_waited_for(form: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(HistoryError, match="cannot be made"):
        open_history(form.format(tmp_path))


@pytest.mark.parametrize("form", ["{}/h.db", "parquet:{}/h"])
def test_a_history_that_may_not_be_written_is_refused_and_not_waited_for(form: str, tmp_path: Path) -> None:
    place = form.format(tmp_path)
    open_history(place).close()
    database = next(path for path in (tmp_path / "h.db", tmp_path / "h" / INDEX) if path.exists())
    with as_nobody(tmp_path, database), pytest.raises(HistoryError, match="cannot be written"):
        open_history(place)


@contextmanager
def as_nobody(*paths: Path) -> Iterator[None]:
    """With the rights of a user who may read these and no more; root may write what nobody may."""
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for folder in paths[0].parents:
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o055 != 0o055:
            folder.chmod(folder.stat().st_mode | 0o055)
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(before)
        paths[0].chmod(0o755)


@pytest.mark.parametrize("kind", ["sqlite", "parquet"])
def test_a_full_disk_is_waited_for_and_nothing_is_lost_or_half_there(kind: str, files: tuple[Path, Path], target: Callable[[str], str]) -> None:
    whole, place, said = target(kind), target(kind), list[str]()
    keep(files, whole)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    held = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def free(_: float) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    keeper = Keeper(place, said.append, free)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        keeper.keep(FileSource(files[0]))
        keeper.keep(FileSource(files[1]))
    finally:
        free(0.0)
        signal.signal(signal.SIGXFSZ, held)
        keeper.close()
    assert tables(place) == tables(whole) and len(said) == 2 and "waiting" in said[0]


def test_a_database_that_is_read_only_for_a_while_is_waited_for(postgres: Postgres, files: tuple[Path, Path]) -> None:
    place, said = postgres.url("standby"), list[str]()

    def only_read(is_so: bool) -> object:
        history: Any = keeper._history
        return history._connection.execute(f"SET default_transaction_read_only = {'on' if is_so else 'off'}")

    keeper = Keeper(place, said.append, lambda _: only_read(False))
    only_read(True)
    keeper.keep(FileSource(files[0]))
    keeper.close()
    assert len(said) == 2 and "read-only" in said[0] and len(tables(place)["starts"]) > 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_that_write_one_target_at_once_keep_each_event_once(kind: str, files: tuple[Path, Path], target: Callable[[str], str]) -> None:
    whole, place = target(kind), target(kind)
    keep(files, whole)
    open_history(place).close()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda order: keep(order, place), (files, files[::-1])))
    assert tables(place) == tables(whole)


def test_a_database_that_is_away_is_waited_for_and_that_is_said_once(postgres: Postgres, files: tuple[Path, Path]) -> None:
    place, said, naps = postgres.url("away"), list[str](), list[float]()

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 4:
            postgres.start()

    keeper = Keeper(place, said.append, sleep)
    keeper.keep(FileSource(files[0]))
    postgres.stop()
    keeper.keep(FileSource(files[1]))
    keeper.close()
    assert naps == [0.1, 0.2, 0.4, 0.8] and len(said) == 2 and "waiting" in said[0]
    assert len(tables(place)["windows"]) > 0


def test_a_wrong_database_is_an_error_and_not_waited_for(postgres: Postgres) -> None:
    with pytest.raises(HistoryError, match="does not exist"):
        open_history(f"postgresql://pointsman:secret@127.0.0.1:{postgres.port}/nowhere")


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_with_a_nul_is_kept(kind: str, target: Callable[[str], str], tmp_path: Path) -> None:
    place = target(kind)
    assert keep((write(tmp_path / "in.jsonl", [started("a\0b", 0.0)]),), place) == 1
    assert "a\ufffdb" in repr(tables(place)["starts"])


def test_the_text_of_a_prompt_is_nowhere(tmp_path: Path) -> None:
    fields = json.loads(encode(started("a", 0.0))) | {"query": "the secret recipe"}
    (tmp_path / "in.jsonl").write_text(json.dumps(fields) + "\n")
    assert keep((tmp_path / "in.jsonl",), str(tmp_path / "h.db")) == 1
    assert not any(b"secret recipe" in path.read_bytes() for path in tmp_path.glob("h.db*"))


def test_a_line_that_is_still_being_written_waits(tmp_path: Path) -> None:
    path, (one, two) = tmp_path / "in.jsonl", (encode(started(name, 0.0)) for name in "ab")
    path.write_bytes(one + b"\n" + two[:50])
    assert keep((path,), str(tmp_path / "h.db")) == 1
    path.write_bytes(one + b"\n" + two + b"\n")
    assert keep((path,), str(tmp_path / "h.db")) == 1


def test_lines_that_are_no_event_are_counted_and_passed(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"{}\nnothing\n" + encode(started("a", 0.0)) + b"\n")
    result = CliRunner().invoke(main, ["history", str(tmp_path / "in.jsonl"), str(tmp_path / "h.db")])
    assert result.output == "3 lines, 1 new rows, 2 refused\n"


def test_an_embedded_database_is_kept_while_it_grows(tmp_path: Path) -> None:
    events = [event for event in stream(3, 60) if event.TYPE != "tick/1"]
    source, target = tmp_path / "own.db", str(tmp_path / "h.db")
    with Optimizer.open(str(source), OptimizationConfig()) as optimizer:
        for half in (events[:80], events[80:]):
            optimizer.record_many(half)
            assert keep_history([source_of(str(source), KafkaSettings())], target, print).rows > 0
    write(tmp_path / "in.jsonl", list(events))
    keep((tmp_path / "in.jsonl",), other := str(tmp_path / "other.db"))
    assert tables(target)["completions"] == tables(other)["completions"]
    assert tables(target)["predictions"]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_compressed_recording_is_read_on_from_where_it_was(ending: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    from pointsman.streams.recording import open_write

    path = tmp_path / f"in.jsonl{ending}"
    with open_write(path) as file:
        file.write(files[0].read_bytes())
    source = FileSource(path)
    pieces = source.pieces({})
    first = next(pieces)
    assert next(source.pieces(first.positions)).lines == next(pieces).lines


def test_following_goes_on_until_it_is_ended(files: tuple[Path, Path], tmp_path: Path) -> None:
    path, target = tmp_path / "in.jsonl", str(tmp_path / "h.db")
    lines = files[0].read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:50]))
    process = subprocess.Popen([sys.executable, "-m", "pointsman.streams.cli", "history", "--follow", str(path), target], env=os.environ)
    try:
        _await(lambda: _count(target) > 0)
        before = _count(target)
        with path.open("ab") as file:
            file.writelines(lines[50:])
        _await(lambda: _count(target) > before)
    finally:
        process.terminate()
        process.wait(10)


def _count(target: str) -> int:
    if not Path(target).exists():
        return 0
    import sqlite3

    try:
        connection = sqlite3.connect(f"file:{target}?mode=ro", uri=True)
        return int(connection.execute("SELECT count(*) FROM completions").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def _await(holds: Callable[[], bool]) -> None:
    import threading
    import time

    end, pause = time.monotonic() + 30.0, threading.Event()
    while not holds():
        assert time.monotonic() < end
        pause.wait(0.05)


def test_the_columns_of_the_database_are_those_of_the_rows(tmp_path: Path) -> None:
    history = SqliteHistory(str(tmp_path / "h.db"))
    for table in TABLES.values():
        assert tuple(row["name"] for row in history.select(f"PRAGMA table_info({table.name})")) == table.names
    history.close()


def test_files_of_a_batch_that_was_never_entered_go(files: tuple[Path, Path], tmp_path: Path) -> None:
    place = f"parquet:{tmp_path / 'h'}"
    keep(files, place)
    known = sorted((tmp_path / "h" / "starts").glob("*/*"))
    left = known[0].with_name("000000000003.parquet")
    left.write_bytes(known[0].read_bytes())
    open_history(place).close()
    assert not left.exists() and sorted((tmp_path / "h" / "starts").glob("*/*")) == known and (tmp_path / "h" / INDEX).exists()
