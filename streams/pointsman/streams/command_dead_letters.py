"""`pointsman dead-letters`: what was refused, and its bytes again."""

import base64
from pathlib import Path
from typing import Any

import click

from .cli_errors import failure
from .cli_options import FILE, INPUT


@click.command(name="dead-letters")
@click.argument("file", type=INPUT)
@click.option("--replay", "again", type=FILE, metavar="OUT", help="Write the original bytes, one line each, to mend and replay.")
def dead_letters(file: Path, again: Path | None) -> None:
    """List dead letters: place, code and sentence. FILE is what a replay left, or the database of an embedded optimizer."""
    from .recording import open_write, read_lines
    from .replay import database_dead_letters, is_database

    lines = database_dead_letters(file) if file.is_file() and is_database(file) else read_lines(file)
    letters = [_letter(file, number, line) for number, line in lines]
    if again is None:
        for letter in letters:
            click.echo(f"{letter.place}\t{letter.reason.code}\t{letter.reason.message}")
        return
    if again.resolve() == file.resolve():
        raise click.UsageError("--replay would overwrite the dead letters; give it another name")
    cut = 0
    with open_write(again) as written:
        for letter in letters:
            payload = base64.b64decode(letter.payload)
            if len(payload) < letter.payload_bytes:
                cut += 1
            else:
                written.write(payload + b"\n")
    click.echo(f"{len(letters) - cut} written, {cut} left out because only their beginning was kept")


def _letter(file: Path, number: int, line: bytes) -> Any:
    from pointsman.schemas import EventRejected, Refused, decode_output

    try:
        letter = decode_output(line)
    except Refused:
        letter = None
    if not isinstance(letter, EventRejected):
        raise failure(f"{file}:{number}: not a dead letter; give the file that `pointsman replay` left beside its output")
    return letter
