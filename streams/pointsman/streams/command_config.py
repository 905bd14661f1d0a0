"""`pointsman config`: the configuration in effect, and whether it can be used."""

from pathlib import Path

import click

from .cli_group import Group
from .cli_options import CONFIG, SET, optimization_of, settings_of


@click.group(cls=Group, invoke_without_command=True)
@CONFIG
@SET
@click.pass_context
def config(ctx: click.Context, config: Path | None, flags: tuple[str, ...]) -> None:
    """Print the configuration in effect: file, then environment, then --set."""
    ctx.obj = (config, flags)
    if ctx.invoked_subcommand is None:
        click.echo(settings_of(config, flags).model_dump_json(indent=2, exclude_none=True))


@config.command(name="check")
@CONFIG
@SET
@click.pass_obj
def config_check(outer: tuple[Path | None, tuple[str, ...]], config: Path | None, flags: tuple[str, ...]) -> None:
    """Say whether the configuration can be used, and if not, what to change."""
    from .core import Core

    Core(optimization_of(config or outer[0], (*outer[1], *flags)))
    click.echo("the configuration is valid")


@config.command(name="reference")
def config_reference() -> None:
    """Print every setting with its type, default and meaning, as the page docs/settings.md."""
    from pointsman.schemas.settings_reference import settings_reference

    click.echo(settings_reference(), nl=False)
