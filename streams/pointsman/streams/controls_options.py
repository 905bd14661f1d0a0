"""Options and answers that the commands of people's controls have in common."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .cli_options import CONFIG, PLACE, SET, settings_of

if TYPE_CHECKING:
    from pointsman.schemas import AnyInput

Command = TypeVar("Command", bound=Callable[..., Any])
_OPTIONS = (
    click.argument("place", type=PLACE),
    click.option("--scope", required=True, help="The scope that it is said to."),
    click.option("--by", help="Who says so."),
    click.option("--note", help="Why, in a sentence; secrets and addresses are redacted."),
    click.option("--at", metavar="TIME", help="When it is said, epoch seconds or ISO 8601; now unless told."),
    CONFIG,
    SET,
)


def controls_options(command: Command) -> Command:
    """PLACE, --scope, --by, --note, --at, --config and --set."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def moment(text: str | None) -> float:
    """A time as people write it; now where they write none."""
    from .series import time_of

    try:
        return time.time() if text is None else time_of(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: write epoch seconds or ISO 8601, for example 2026-01-31T08:00Z") from None


def say(place: str, model: "type[AnyInput]", at: float, config: Path | None, flags: tuple[str, ...], **fields: Any) -> None:
    """Make the event, tell it, and say what followed at once; fields that are None are left out."""
    from pydantic import ValidationError

    from pointsman.schemas import AlertRaised, explain

    from .telling import TellingError, tell

    given = {name: value for name, value in fields.items() if value is not None}
    try:
        event = model(event_id=uuid.uuid4().hex, occurred_at=at, source="terminal", **given)
    except ValidationError as error:
        raise TellingError(explain(error)) from None
    followed = tell(place, event, settings_of(config, flags))
    again = [output for output in followed or () if isinstance(output, AlertRaised) and output.reason is not None]
    for alert in again:
        click.echo(f"{alert.fingerprint}: {alert.reason}")
    if place.startswith("kafka://"):
        click.echo("handed to kafka; where it can mean nothing there, it is among the dead letters: see `pointsman dead-letters`")


__all__ = ["controls_options", "moment", "say"]
