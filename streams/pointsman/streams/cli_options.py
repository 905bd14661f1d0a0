"""Options that several commands take, and the settings they give."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from pointsman.schemas import OptimizationConfig
    from pointsman.schemas.settings import KafkaSettings, Settings


class _Place(click.ParamType):
    """A file or an address; files complete."""

    name = "place"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


PLACE = _Place()
FILE = click.Path(dir_okay=False, path_type=Path)
INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)
CONFIG = click.option("--config", type=FILE, help="TOML file; pointsman.toml in the working directory unless told.")
SET = click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="Over file and environment, for example budget.usd_per_hour=2.")
KAFKA = click.option("--kafka", metavar="BOOTSTRAP", help="Brokers, host:port[,host:port]; kafka.bootstrap_servers of the settings unless told.")
PREFIX = click.option("--prefix", help="What the topics' names begin with; kafka.topic_prefix of the settings unless told.")


def settings_of(config: Path | None, flags: Sequence[str] = ()) -> "Settings":
    """The settings: file, environment and flags."""
    from pointsman.schemas.settings import load

    return load(config, flags)


def kafka_of(config: Path | None, flags: Sequence[str] = (), bootstrap: str | None = None, prefix: str | None = None) -> "KafkaSettings":
    """How to reach Kafka; whatever aiokafka logs of a failure is in the error as well."""
    import logging

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    named = {"bootstrap_servers": bootstrap, "topic_prefix": prefix}
    return settings_of(config, flags).kafka.model_copy(update={name: value for name, value in named.items() if value is not None})


def optimization_of(config: Path | None, flags: Sequence[str] = ()) -> "OptimizationConfig":
    """The configuration of the core."""
    return settings_of(config, flags).optimization()
