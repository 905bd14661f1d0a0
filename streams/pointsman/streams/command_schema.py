"""`pointsman schema`: the events' JSON Schema and the topics' AsyncAPI document."""

import json

import click


def _types(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from pointsman.schemas.json_schema import event_types

    return [name for name in event_types() if name.startswith(incomplete)]


@click.command()
@click.argument("event_type", metavar="[TYPE]", required=False, shell_complete=_types)
@click.option("--asyncapi", "document", is_flag=True, help="The AsyncAPI 3.0.0 document of all topics.")
@click.option("--markdown", is_flag=True, help="All of them as the page docs/events.md.")
@click.option("--list", "listing", is_flag=True, help="The event types.")
def schema(event_type: str | None, document: bool, markdown: bool, listing: bool) -> None:
    """Print the JSON Schema (2020-12) of an event type, for example request.started/1."""
    from pointsman.schemas.asyncapi import asyncapi
    from pointsman.schemas.events_reference import events_reference
    from pointsman.schemas.json_schema import event_types, json_schema

    from .topics import channels

    if document:
        click.echo(json.dumps(asyncapi(channels()), indent=2))
    elif markdown:
        click.echo(events_reference(channels()), nl=False)
    elif event_type is None or listing:
        click.echo("\n".join(event_types()))
    else:
        click.echo(json.dumps(json_schema(event_type), indent=2))
