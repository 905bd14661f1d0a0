"""Replay: halves and wholes, compression, dead letters and the summary."""

import base64
import json
from pathlib import Path

import pytest
from events import stream

from pointsman.schemas import Event, EventRejected, decode_output, encode
from pointsman.schemas.codec import MAX_EVENT_BYTES
from pointsman.streams.journal import Journal
from pointsman.streams.recording import open_write, read_lines
from pointsman.streams.replay import Pace, ReplayError, replay_file


def recorded(path: Path, lines: list[bytes]) -> Path:
    with open_write(path) as file:
        file.write(b"".join(line + b"\n" for line in lines))
    return path


def letters(path: Path) -> list[Event]:
    return [decode_output(line) for _, line in read_lines(path)]


LINES = [encode(event) for event in stream(1, 80)]


def test_two_halves_with_a_state_give_the_bytes_of_the_whole(tmp_path: Path) -> None:
    whole = replay_file(str(recorded(tmp_path / "in.jsonl", LINES)), tmp_path / "out.jsonl")
    state, said = tmp_path / "state.json", b""
    for name, lines in (("first", LINES[:101]), ("second", LINES[101:])):
        replay_file(str(recorded(tmp_path / f"{name}.jsonl", lines)), tmp_path / f"{name}.out", state=state)
        said += (tmp_path / f"{name}.out").read_bytes()
    assert said == (tmp_path / "out.jsonl").read_bytes()
    assert whole.events == len(LINES) and whole.outputs == said.count(b"\n")


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_compressed_recording_equals_the_plain_one(tmp_path: Path, ending: str) -> None:
    replay_file(str(recorded(tmp_path / "in.jsonl", LINES)), tmp_path / "plain.jsonl")
    replay_file(str(recorded(tmp_path / f"in.jsonl{ending}", LINES)), tmp_path / f"packed.jsonl{ending}")
    assert list(read_lines(tmp_path / f"packed.jsonl{ending}")) == list(read_lines(tmp_path / "plain.jsonl"))


def test_a_bad_line_is_a_dead_letter_with_its_place_and_the_next_event_is_handled(tmp_path: Path) -> None:
    source = recorded(tmp_path / "in.jsonl", [LINES[0], b"", b"{nonsense", LINES[1]])
    result = replay_file(str(source), tmp_path / "out.jsonl", summary=tmp_path / "summary.json")
    (letter,) = letters(tmp_path / "out.rejected.jsonl")
    assert isinstance(letter, EventRejected)
    assert (letter.place, base64.b64decode(letter.payload)) == ("in.jsonl:3", b"{nonsense")
    assert json.loads((tmp_path / "summary.json").read_text()) == {"events": 2, "outputs": result.outputs, "rejected": 1}


def test_an_overlong_line_is_a_dead_letter_with_its_true_length(tmp_path: Path) -> None:
    length = 3 * MAX_EVENT_BYTES
    result = replay_file(str(recorded(tmp_path / "in.jsonl", [b"x" * length, LINES[0]])), tmp_path / "out.jsonl")
    (letter,) = letters(tmp_path / "out.rejected.jsonl")
    assert isinstance(letter, EventRejected)
    assert (letter.reason.code, letter.payload_bytes, result.events) == ("too_large", length, 1)


def test_a_database_replays_in_the_order_of_its_positions(tmp_path: Path) -> None:
    replay_file(str(recorded(tmp_path / "in.jsonl", LINES)), tmp_path / "file.jsonl")
    journal = Journal.open(str(tmp_path / "own.db"))
    journal.append([(position, "", line) for position, line in reversed(list(enumerate(LINES, 1)))])
    journal.close()
    replay_file(str(tmp_path / "own.db"), tmp_path / "database.jsonl")
    assert (tmp_path / "database.jsonl").read_bytes() == (tmp_path / "file.jsonl").read_bytes()


def test_input_and_output_may_not_be_the_same_file(tmp_path: Path) -> None:
    source = recorded(tmp_path / "in.jsonl", LINES)
    with pytest.raises(ReplayError, match="same file"):
        replay_file(str(source), source)
    assert source.read_bytes().splitlines() == LINES


def test_a_pace_waits_for_event_time_divided_by_speed() -> None:
    pace = Pace(10.0)
    assert pace.delay(1000.0) == 0.0
    assert pace.delay(1100.0) == pytest.approx(10.0, abs=0.5)
