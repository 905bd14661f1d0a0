"""Tell a place what a person says, and hear whether it can be: a database that nobody has open, a `pointsman serve`, or a deployment on Kafka."""

import asyncio
from pathlib import Path

from pointsman.schemas import AnyInput, Event, EventRejected, encode
from pointsman.schemas.settings import Settings

from .embedded import Optimizer
from .http_post import post_events
from .intake import accept
from .journal import JournalBusy, JournalError, explaining
from .simulate import publish


class TellingError(ValueError):
    """It was not taken in; the message says why, and what to do."""


def tell(place: str, event: AnyInput, settings: Settings) -> list[Event] | None:
    """Tell a place; what followed, where a database was told. Raises `TellingError` with the sentence of the dead letter where it means nothing there.

    Kafka only takes it in: a refusal comes later, to the dead letters.
    """
    if place.startswith(("http://", "https://")):
        _over_http(place, event, settings)
        return None
    if place.startswith("kafka://"):
        asyncio.run(publish([_accepted(event)], settings.kafka.at(place)))
        return None
    if "://" in place:
        raise TellingError(f"{place}: give a database's path, http://host:port or kafka://host:port")
    return _database(Path(place), event, settings)


def _over_http(place: str, event: AnyInput, settings: Settings) -> None:
    token = settings.token.get_secret_value() if settings.token is not None else None
    answer = post_events(place, [encode(event)], token)
    if answer["rejections"]:
        raise TellingError(answer["rejections"][0]["message"])


def _database(path: Path, event: AnyInput, settings: Settings) -> list[Event]:
    if not path.is_file():
        raise JournalError(f"{path}: no such database; give the file that Optimizer.open was given")
    try:
        with explaining(path), Optimizer.open(str(path), capacity=settings.capacity, operator=settings.operator.scope) as optimizer:
            if event.scope not in optimizer.scopes():
                raise TellingError(f"{path}: no scope {event.scope!r}; there are {', '.join(optimizer.scopes()) or 'none yet'}")
            (caused,) = optimizer.record_each([_accepted(event)])
    except JournalBusy:
        raise TellingError(f"{path}: another process has it open: tell that one, a `pointsman serve` by its http://host:port, or end it first") from None
    refused = next((output for output in caused if isinstance(output, EventRejected)), None)
    if refused is not None:
        raise TellingError(refused.reason.message)
    return caused


def _accepted(event: AnyInput) -> AnyInput:
    """The event as the intake leaves it, secrets and addresses redacted."""
    accepted = accept(encode(event), place="command line")
    if isinstance(accepted, EventRejected):
        raise TellingError(accepted.reason.message)
    return accepted


__all__ = ["TellingError", "tell"]
