"""`pointsman inject`: a recording with a known fault, made out of one without."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, INPUT, SET, settings_of
from .inject_faults import FAULTS


@click.command()
@click.argument("recording", type=INPUT)
@click.option("--fault", type=click.Choice(tuple(FAULTS)), required=True, help="What goes wrong; none only names clients.")
@click.option("--track", help="On which track; the only one unless told.")
@click.option("--host", help="On which host; the only one unless told.")
@click.option("--gauge", help="Which gauge is stuck; the first that moves unless told.")
@click.option("--at", metavar="TIME", help="From when on: 10m from the beginning, or a time; from the middle unless told.")
@click.option("--for", "lasting", metavar="DURATION", default="5m", show_default=True, help="How long.")
@click.option("--factor", type=click.FloatRange(min=0, min_open=True, max=1000), help="How much slower or more, or which share fails; see docs/faults.md.")
@click.option("--clients", type=click.IntRange(0, 1000), help="Name so many clients in attributes.client; 12 for tokens and none, else 0 unless told.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is drawn.")
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
@CONFIG
@SET
def inject(
    recording: Path,
    fault: str,
    track: str | None,
    host: str | None,
    gauge: str | None,
    at: str | None,
    lasting: str,
    factor: float | None,
    clients: int | None,
    seed: int,
    output: Path,
    config: Path | None,
    flags: tuple[str, ...],
) -> None:
    """Put a fault into RECORDING, and say in one line of JSON what was done.

    For game days and for measuring: what is known to be wrong, where and when, beside what is said of it. --config is what a fault of the kind
    configuration changes; give the one that the recording is replayed with.
    """
    from . import inject as injecting
    from .series import seconds_of

    events = injecting.read_events(recording)
    begin, end = events[0].occurred_at, max(event.occurred_at for event in events)
    found, said = injecting.inject(
        events,
        injecting.Fault(
            kind=fault,
            at_s=(end - begin) / 2.0 if at is None else injecting.moment(at, events),
            for_s=seconds_of(lasting),
            track=track,
            host=host,
            gauge=gauge,
            factor=factor,
            seed=seed,
            clients=clients,
            config=settings_of(config, flags).optimization(),
        ),
    )
    injecting.write_events(found, output)
    click.echo(injecting.as_line(said))
