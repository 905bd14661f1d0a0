"""`pointsman diagnose`: who is to blame for a trouble, from any table of metrics."""

import json
from pathlib import Path

import click

from .cli_options import FILE


@click.command()
@click.argument("metrics", type=FILE)
@click.option("--graph", type=FILE, help="Calls, CSV: source,target; the source calls the target.")
@click.option("--at", required=True, metavar="TIME", help="When the trouble was noticed; it may have begun earlier.")
@click.option("--target", nargs=2, metavar="ENTITY METRIC", help="Where it was noticed.")
@click.option("--normal", nargs=2, metavar="FROM TO", help="When all was well; unless told, all but the last twelve rows before --at.")
@click.option("--json", "as_document", is_flag=True, help="As JSON: entities with their evidence, metrics with their scores.")
def diagnose(metrics: Path, graph: Path | None, at: str, target: tuple[str, str] | None, normal: tuple[str, str] | None, as_document: bool) -> None:
    """Rank entities and metrics by how likely they are the cause of a trouble, the most suspected first.

    METRICS is CSV in long form, time,entity,metric,value (epoch seconds or ISO 8601). Names play no part; the same table gives the same ranking.
    """
    from . import diagnose_table

    ranking, remarks = diagnose_table.diagnose(metrics, graph, at, target or None, normal or None)
    if as_document:
        click.echo(json.dumps(diagnose_table.as_json(ranking), indent=2, allow_nan=False))
        return
    for line in (*diagnose_table.as_text(ranking), *remarks):
        click.echo(line)
