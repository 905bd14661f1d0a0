"""`pointsman explain`: why a request took its track."""

from pathlib import Path

import click

from .cli_options import CONFIG, PLACE, SET, optimization_of


@click.command()
@click.argument("request_id")
@click.argument("recording", type=PLACE)
@CONFIG
@SET
@click.option("--scope", help="The scope of the request, where several have one of this id.")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def explain(request_id: str, recording: str, config: Path | None, flags: tuple[str, ...], scope: str | None, as_json: bool) -> None:
    """Say why a request took its track, and what would have changed that.

    RECORDING is what `pointsman replay` takes; it is folded up to the request. A database brings the configuration that it began with.
    """
    from .explain import explain_recording
    from .replay import stored_config

    own = None if config or flags else stored_config(recording)
    found = explain_recording(recording, request_id, config=own or optimization_of(config, flags), scope=scope)
    click.echo(found.json() if as_json else str(found), nl=False)
