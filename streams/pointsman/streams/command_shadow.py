"""`pointsman shadow`: what another configuration would have gained."""

import json
from pathlib import Path

import click

from .cli_options import CONFIG, PLACE, SET, optimization_of


@click.command()
@click.argument("recording", type=PLACE)
@CONFIG
@SET
@click.option("--scope", help="This scope only.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def shadow(recording: str, config: Path | None, flags: tuple[str, ...], scope: str | None, as_json: bool) -> None:
    """Say what another configuration would have gained, as a shadow that watches the same events.

    RECORDING is what `pointsman replay` takes; the configuration is the shadow's. The gain is over what was logged, in the
    last 2,000 choices that carry a propensity, by the utility of the recording's own strategy.
    """
    from .shadow import shadow_recording

    if not config and not flags:
        raise click.UsageError("give the shadow's configuration with --config, or settings of it with --set")
    found = shadow_recording(recording, optimization_of(config, flags), scope)
    if as_json:
        click.echo(json.dumps({name: said.as_dict() for name, said in found.items()}, indent=2))
    else:
        click.echo("\n\n".join(f"scope {name}: {said}" for name, said in found.items()))
