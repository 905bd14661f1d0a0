"""`pointsman demo`: the recordings of the package, played."""

from importlib import import_module
from pathlib import Path

import click

from .cli_options import FILE


@click.command()
@click.option("--output", type=FILE, default=Path("build/demo.html"), show_default=True, help="The page to write.")
def demo(output: Path) -> None:
    """Play the recordings that come with the package: what is learned, what that saves against fixed routing, and a fault with its incident.

    Beside the page it leaves the routing recording, a configuration for it, and the journal of its own run: for `pointsman evaluate`.
    """
    import_module("pointsman.streams.demo").run_demo(output)
    import_module("pointsman.streams.demo_incident").run_incident()
