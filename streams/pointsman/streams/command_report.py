"""`pointsman report`: a page about a week."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, PREFIX, SET, kafka_of, optimization_of


@click.command()
@click.argument("history")
@click.option("--output", type=FILE, default=Path("build/report.html"), show_default=True, help="The page to write.")
@click.option("--week", metavar="YEAR-WEEK", help="An ISO week in UTC, for example 2026-W47.")
@click.option("--since", metavar="TIME", help="From here on, included, for example 2026-11-16.")
@click.option("--until", metavar="TIME", help="Up to here, excluded; now unless told.")
@click.option("--scope", help="This scope only; all of them together unless told.")
@click.option("--json", "document", type=FILE, help="The figures as JSON.")
@PREFIX
@CONFIG
@SET
def report(
    history: str,
    output: Path,
    week: str | None,
    since: str | None,
    until: str | None,
    scope: str | None,
    document: Path | None,
    prefix: str | None,
    config: Path | None,
    flags: tuple[str, ...],
) -> None:
    """Write a page about a week: savings against fixed routing, accuracy, alerts, cost.

    HISTORY is what `pointsman history` keeps (history.db, postgresql://…, parquet:FOLDER), or what it reads: the database of an
    embedded optimizer, a recording (which is replayed) or kafka://HOST:PORT. Without a period it is the seven days that end with the newest outcome.
    The configuration says what the best single track is best in.
    """
    from pointsman.sinks.history_sqlite import is_history

    from .replay import stored_config
    from .weekly import period_of
    from .weekly import report as write

    is_asked = not (config or flags or is_history(Path(history.removeprefix("sqlite:///"))))
    own = stored_config(history) if is_asked else None
    settings = own or optimization_of(config, flags)
    wanted = period_of(week, since, until)
    kafka = kafka_of(config, flags, prefix=prefix)
    click.echo(write(history, output, period=wanted, scope=scope, document=document, config=settings, kafka=kafka))
