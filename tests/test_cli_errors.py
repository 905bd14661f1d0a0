"""Every command with input that cannot be used: one line that names the culprit, exit code 2, never a traceback."""

import gzip
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from events import stream
from serving import TOKEN, serving

from pointsman.schemas import OptimizationConfig, Track, encode
from pointsman.streams import Optimizer
from pointsman.streams.cli import main

CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api")), learners="light")
DATABASE_ONLY = {
    "bottlenecks": ["bottlenecks", "{}"],
    "alertmanager": ["alertmanager", "{}", "--url", "http://127.0.0.1:9"],
    "webhook": ["webhook", "{}", "--url", "http://127.0.0.1:9"],
    "alerts": ["alerts", "{}"],
    "incidents": ["incidents", "{}"],
    "history": ["history", "{}", "history.db"],
    "report": ["report", "{}", "--output", "report.html"],
    "promote": ["promote", "{}", "--set", "budget.usd_per_hour=2"],
    "acknowledge": ["acknowledge", "{}", "--scope", "chat", "--alert", "x"],
    "silence": ["silence", "{}", "--scope", "chat", "--alert", "*", "--for", "1h"],
    "maintenance": ["maintenance", "{}", "--scope", "chat", "--for", "1h"],
    "annotate": ["annotate", "{}", "--scope", "chat", "incident-1", "--note", "x"],
    "record": ["record", "--database", "{}", "--output", "out.jsonl"],
    "serve": ["serve", "--database", "{}", "--port", "0"],
    "status": ["status", "{}"],
    "status --database": ["status", "--database", "{}"],
}
FILES = {
    "bottlenecks": ["bottlenecks", "{}"],
    "config": ["config", "--config", "{}"],
    "config check": ["config", "check", "--config", "{}"],
    "convert latency": ["convert", "latency", "{}", "series.csv", "--output", "out.jsonl"],
    "convert routing": ["convert", "routing", "{}", "--output", "out.jsonl"],
    "convert load": ["convert", "load", "{}", "--output", "out.jsonl", "--requests-per-row", "3"],
    "inject": ["inject", "{}", "--fault", "latency", "--output", "out.jsonl"],
    "forecast": ["forecast", "{}", "--output", "out.csv", "--step", "10m"],
    "detect": ["detect", "{}", "--output", "out.csv"],
    "diagnose": ["diagnose", "{}", "--at", "600"],
    "scale": ["scale", "{}", "--output", "out.csv", "--step", "10m", "--start-delay", "10m"],
    "evaluate": ["evaluate", "{}"],
    "explain": ["explain", "r1", "{}"],
    "shadow": ["shadow", "{}", "--set", "budget.usd_per_hour=2"],
    "models": ["models", "{}"],
    "dead-letters": ["dead-letters", "{}"],
    "simulate": ["simulate", "{}", "--http", "http://127.0.0.1:9"],
    "replay": ["replay", "{}", "--output", "out.jsonl"],
    "scaler": ["scaler", "{}", "--port", "0"],
    "history": ["history", "{}", "kept.db"],
    "report": ["report", "{}", "--output", "report.html"],
    "convert otel": ["convert", "otel", "{}", "--output", "out.jsonl"],
    "alertmanager": ["alertmanager", "{}", "--url", "http://127.0.0.1:9"],
    "webhook": ["webhook", "{}", "--url", "http://127.0.0.1:9"],
    "alerts": ["alerts", "{}"],
    "incidents": ["incidents", "{}"],
}
TAKEN_AS_IT_IS = {
    (command, "binary")
    for command in ("replay", "scaler", "history", "report", "convert otel", "alertmanager", "webhook", "bottlenecks", "alerts", "incidents")
}  # lines that are no events become dead letters, and outputs without advice are no error
NO_ERROR = {
    ("serve", "missing.db"),
    ("alertmanager", "binary"),
    ("webhook", "binary"),
    ("bottlenecks", "binary"),
    ("alerts", "binary"),
    ("incidents", "binary"),
    ("history", "binary"),
    ("report", "binary"),
}  # made; lines that are no events are passed over


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that cannot be used, each for a reason of its own."""
    folder = tmp_path_factory.mktemp("bad")
    with Optimizer.open(str(folder / "good.db"), CONFIG) as optimizer:
        optimizer.record_many(stream(71, 20))
    whole = (folder / "good.db").read_bytes()
    (folder / "newer.db").write_bytes(whole[:60] + (99).to_bytes(4, "big") + whole[64:])
    (folder / "cut.db").write_bytes(whole[:5000])
    with sqlite3.connect(folder / "other.db") as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()
    (folder / "folder").mkdir()
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "cut.gz").write_bytes(gzip.compress(os.urandom(5000))[:100])
    (folder / "good.jsonl").write_bytes(b"".join(encode(event) + b"\n" for event in stream(72, 5)))
    (folder / "good.toml").touch()
    (folder / "series.csv").write_text("timestamp,value\n0,1\n600,2\n")
    return folder


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.chdir(folder)
    return CliRunner().invoke(main, arguments)


def assert_is_said(result: Result, *said: str) -> None:
    """One line on the error stream that has these words, and exit code 2."""
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1 and result.stderr.startswith("Error: "), result.output
    assert "Traceback" not in result.output and all(word in result.stderr for word in said), result.stderr


@pytest.mark.parametrize("bad", ["missing.db", "folder", "binary", "other.db", "newer.db", "cut.db"])
@pytest.mark.parametrize("command", DATABASE_ONLY)
def test_a_database_that_cannot_be_used_is_named(command: str, bad: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if (command, bad) in NO_ERROR:
        pytest.skip("no error")
    reason = {"other.db": "another program", "newer.db": "newer Pointsman", "cut.db": "damaged", "folder": "", "binary": "not an SQLite file"}.get(bad, "")
    words = [word.format(bad) for word in DATABASE_ONLY[command]]
    assert_is_said(run(folder, monkeypatch, *words), bad, reason)


@pytest.mark.parametrize("bad", ["missing", "folder", "binary", "cut.gz"])
@pytest.mark.parametrize("command", FILES)
def test_a_file_that_cannot_be_used_is_named(command: str, bad: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if (command, bad) in TAKEN_AS_IT_IS:
        pytest.skip("no error")
    assert_is_said(run(folder, monkeypatch, *(word.format(bad) for word in FILES[command])), bad)


def test_the_tables_are_of_every_command_that_reads_a_file() -> None:
    without = {"demo", "bench", "completion", "schema", "topics", "worker", "allocate", "operator", "otel"}
    tried = {name.split()[0] for name in (*DATABASE_ONLY, *FILES)}
    missing = {name for section in main.sections.values() for name in section} - tried - without
    assert not missing, f"add {sorted(missing)} to the tables above"


@pytest.mark.parametrize("command", [*DATABASE_ONLY, *FILES, "topics", "worker", "allocate", "operator", "otel"])
def test_an_unknown_option_and_an_unknown_setting_are_named(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = "good.db" if command in DATABASE_ONLY else "good.toml" if command.startswith("config") else "good.jsonl"
    words = [word.format(file) for word in {**DATABASE_ONLY, **FILES}.get(command, [command])]
    assert_is_said(run(folder, monkeypatch, *words, "--no-such-option"), "--no-such-option", "--help")
    if command != "record" and "--set" in {option for parameter in named(words).params for option in parameter.opts}:
        assert_is_said(run(folder, monkeypatch, *words, "--set", "bugdet.usd_per_hour=2"), "bugdet")


def named(words: list[str]) -> click.Command:
    """The command that these words run."""
    group: click.Command | None = main
    for word in words:
        if isinstance(group, click.Group):
            group = group.get_command(click.Context(group), word) or group
    assert group is not None
    return group


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[[tracks]]\nname = \n", "line 2, column 8"),
        ("[budget]\nusd_per_houre = 2\n", "budget.usd_per_houre: unknown key; did you mean usd_per_hour?"),
        ("[budget]\nusd_per_hour = -1\n", "budget.usd_per_hour"),
    ],
)
def test_a_wrong_setting_says_where_and_what(toml: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad.toml").write_text(toml)
    assert_is_said(run(folder, monkeypatch, "config", "check", "--config", "bad.toml"), "bad.toml", said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu", "a.db"], "did you mean status?"),
        (["convert", "laod", "a.csv"], "did you mean load?"),
        (["replay", "good.jsonl", "--ouput", "x"], "did you mean --output?"),
        (["schema", "request.startd/1"], "did you mean request.started/1?"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
        (["status"], "http://host:port"),
        (["status", "ftp://there"], "ftp://there: give"),
        (["status", "http://127.0.0.1:9"], "is `pointsman serve` running there?"),
        (["simulate", "good.jsonl", "--http", "http://127.0.0.1:9"], "Connection refused; is `pointsman serve` running there?"),
        (["simulate", "good.jsonl", "--kafka", "127.0.0.1:9"], "kafka 127.0.0.1:9: no broker answers"),
        (["topics", "--set", "kafka.bootstrap_servers=127.0.0.1:9"], "kafka 127.0.0.1:9: no broker answers"),
        (["status", "kafka://127.0.0.1:9"], "kafka 127.0.0.1:9: no broker answers"),
        (["replay", "kafka://127.0.0.1:9/pointsman.journal", "--output", "o.jsonl"], "kafka 127.0.0.1:9: no broker answers"),
        (["forecast", "series.csv", "--step", "10x", "--output", "o.csv"], "'10x' is no duration"),
    ],
)
def test_what_was_meant_is_said(words: list[str], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_is_said(run(folder, monkeypatch, *words), said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "words",
    [
        ["replay", "good.jsonl", "--output", "/dev/full"],
        ["replay", "good.jsonl", "--output", "out.jsonl", "--rejected", "/dev/full", "--set", 'tracks=[{name="other"}]'],
        ["record", "--database", "good.db", "--output", "/dev/full"],
        ["forecast", "series.csv", "--step", "10m", "--output", "/dev/full"],
    ],
)
def test_a_full_disk_is_named_with_its_file(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_is_said(run(folder, monkeypatch, *words), "/dev/full: No space left on device", "free some space")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("command", [*DATABASE_ONLY, *FILES])
def test_a_file_that_may_not_be_read_is_named(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").touch(0o000)
    assert_is_said(run(folder, monkeypatch, *(word.format("closed") for word in {**DATABASE_ONLY, **FILES}[command])), "closed")


@pytest.mark.parametrize("words", [["promote", "good.db", "--set", "budget.usd_per_hour=2"], ["serve", "--database", "good.db", "--port", "0"]])
def test_a_database_in_use_is_named(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Optimizer.open(str(folder / "good.db")):
        assert_is_said(run(folder, monkeypatch, *words), "good.db", "another optimizer has it open")


def test_a_control_for_a_database_in_use_says_whom_to_tell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Optimizer.open(str(folder / "good.db")):
        words = (word.format("good.db") for word in DATABASE_ONLY["silence"])
        assert_is_said(run(folder, monkeypatch, *words), "good.db", "another process has it open", "http://host:port")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["silence", "good.db", "--scope", "chat", "--for", "1h"], "--alert '*' is everything"),
        (["silence", "good.db", "--scope", "chat", "--alert", "*", "--for", "1h", "--lift"], "one of --for, --until and --lift"),
        (["silence", "good.db", "--scope", "chat", "--alert", "*", "--for", "soon"], "'soon' is no duration"),
        (["silence", "good.db", "--scope", "chat", "--alert", "*", "--until", "soon"], "'soon' is no time"),
        (["silence", "good.db", "--scope", "chat", "--alert", "*", "--for", "9000d"], "at most a year"),
        (["silence", "good.db", "--scope", "chat", "--alert", "*", "--lift"], "none with these patterns stands"),
        (["silence", "good.db", "--scope", "chat", "--kind", "anomly", "--lift"], "anomly"),
        (["silence", "good.db", "--scope", "chatt", "--alert", "*", "--for", "1h"], "no scope 'chatt'; there are"),
        (["acknowledge", "good.db", "--scope", "chat"], "one of --alert and --incident"),
        (["acknowledge", "good.db", "--scope", "chat", "--alert", "x"], "no alert 'x' stands"),
        (["acknowledge", "good.db", "--scope", "chat", "--incident", "incident-7"], "'incident-7' is no incident of this scope, or none that is open"),
        (["annotate", "good.db", "--scope", "chat", "incident-7", "--note", "x"], "'incident-7' is no incident of this scope"),
        (["annotate", "good.db", "--scope", "chat", "incident-7"], "give a --note, a --resolution or a --cause"),
        (["maintenance", "good.db", "--scope", "chat"], "one of --until and --for"),
        (["maintenance", "good.db", "--scope", "chat", "--until", "2020-01-01"], "ends after it starts"),
        (["maintenance", "good.db", "--scope", "chat", "--from", "2019-01-01", "--until", "2020-01-01"], "over already"),
        (["silence", "ftp://host", "--scope", "chat", "--alert", "*", "--for", "1h"], "ftp://host: give a database's path"),
        (["silence", "http://127.0.0.1:9", "--scope", "chat", "--alert", "*", "--for", "1h"], "is `pointsman serve` running there?"),
        (["silence", "kafka://127.0.0.1:9", "--scope", "chat", "--alert", "*", "--for", "1h"], "kafka 127.0.0.1:9: no broker answers"),
    ],
)
def test_a_control_that_can_mean_nothing_says_why(words: list[str], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_is_said(run(folder, monkeypatch, *words), said)


def test_a_port_in_use_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_is_said(run(folder, monkeypatch, "serve", "--database", "good.db", "--port", str(port)), f"127.0.0.1:{port}", "give another --port")
        assert_is_said(run(folder, monkeypatch, "scaler", "good.db", "--port", str(port)), f"127.0.0.1:{port}", "another port")


def test_a_wrong_token_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOKEN != "wrong"
    monkeypatch.setenv("POINTSMAN_TOKEN", "wrong")
    with serving() as client:
        for words in (["status", str(client.base_url)], ["simulate", "good.jsonl", "--http", str(client.base_url)]):
            assert_is_said(run(folder, monkeypatch, *words), "401", "POINTSMAN_TOKEN")


def test_a_package_that_is_missing_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, words, extra in (
        ("rich.console", ["status", "good.db"], "embedded"),
        ("aiokafka", ["simulate", "good.jsonl", "--kafka", "127.0.0.1:9"], "kafka"),
    ):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, package, None)
            without.setitem(sys.modules, f"{package}.errors", None)
            assert_is_said(run(folder, monkeypatch, *words), f"pip install 'pointsman[{extra}]'")


def test_ctrl_c_ends_with_130_and_without_a_traceback(folder: Path) -> None:
    os.mkfifo(folder / "letters")
    command = ["-m", "pointsman.streams.cli", "replay", "good.jsonl", "--output", "paced.jsonl", "--rejected", "letters", "--speed", "0.000001"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        subprocess.Popen([sys.executable, *command], cwd=folder, env=environment, stderr=subprocess.PIPE) as process,
        (folder / "letters").open("rb"),  # waits until the replay has opened it, too
    ):
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in said


@pytest.mark.parametrize("command", ["status", "history", "alertmanager"])
def test_a_missing_package_is_named_with_its_extra(command: str, tmp_path: Path) -> None:
    more = {"history": ["h.db"], "alertmanager": ["--url", "http://127.0.0.1:9"]}.get(command, [])
    without = "import sys; sys.modules['aiokafka'] = None; from pointsman.streams.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", without, command, "kafka://127.0.0.1:9", *more]
    found = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 2 and found.stderr.startswith("Error: aiokafka")
    assert found.stderr.endswith("is not installed: pip install 'pointsman[kafka]'\n")
