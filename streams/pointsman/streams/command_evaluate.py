"""`pointsman evaluate`: what other policies would have done."""

from pathlib import Path

import click

from .cli_options import CONFIG, FILE, PLACE, SET, optimization_of


@click.command()
@click.argument("recording", type=PLACE)
@click.option("--policy", "policies", multiple=True, metavar="SPEC", help="fixed:TRACK, logged, best, cheapest, random or FILE.toml; may be repeated.")
@click.option("--metric", "metrics", multiple=True, type=click.Choice(("quality", "cost_usd", "latency_ms", "success", "utility")), help="All unless told.")
@CONFIG
@SET
@click.option("--scope", help="This scope only; all of them together unless told.")
@click.option("--largest-weight", type=click.FloatRange(min=1), default=100.0, show_default=True, help="Weights above it are cut, and the share is said.")
@click.option("--json", "document", type=FILE, help="The figures as JSON.")
@click.option("--plot", type=FILE, help="Cost against quality and latency, .svg or .html.")
def evaluate(
    recording: str,
    policies: tuple[str, ...],
    metrics: tuple[str, ...],
    config: Path | None,
    flags: tuple[str, ...],
    scope: str | None,
    largest_weight: float,
    document: Path | None,
    plot: Path | None,
) -> None:
    """Estimate what other policies would have done, with confidence intervals.

    RECORDING is what `pointsman replay` takes. Without --policy every track is a policy; the logged policy, random, the
    best single track and the cheapest are always beside them.
    """
    from .evaluate import draw
    from .evaluate import evaluate as estimate

    settings = optimization_of(config, flags)
    own = settings if config or flags else None
    result = estimate(recording, policies, config=own, default=settings, metrics=metrics, scope=scope, largest_weight=largest_weight)
    click.echo(str(result))
    if document is not None:
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(result.json(), encoding="utf-8")
    if plot is not None:
        draw(result, plot)
