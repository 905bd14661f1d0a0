"""The terminal: the picture of its documentation, and how long `--help` takes beside an empty Python."""

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from rich.console import Console

from pointsman.schemas import OptimizationConfig, Track, decode
from pointsman.streams import Optimizer
from pointsman.streams.recording import read_lines
from pointsman.streams.status_screen import Screen
from pointsman.streams.status_source import DatabaseSource

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "streams/pointsman/streams/recordings/demo.jsonl.gz"
EVENTS = 3500
WIDTH, HEIGHT = 120, 36
ROUNDS = 15
PROGRAMS = {
    "an empty Python": ["-c", ""],
    "import click": ["-c", "import click"],
    "pointsman --help": ["-m", "pointsman.streams.cli", "--help"],
}
CONFIG = OptimizationConfig(tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)), learners="light")


def picture(output: Path) -> None:
    """Draw the beginning of the demo's recording as the watch view shows it."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "demo.db"
        with Optimizer.open(str(database), CONFIG) as optimizer:
            optimizer.record_many(decode(line) for _, line in islice(read_lines(RECORDING), EVENTS))
        source = DatabaseSource(database)
        console = Console(file=io.StringIO(), record=True, width=WIDTH, height=HEIGHT, force_terminal=True, color_system="truecolor")
        console.print(Screen(source.picture(source.look()[0]), height=HEIGHT))
    output.parent.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(output), title="pointsman status pointsman.db --watch", unique_id="watch")


def times() -> dict[str, float]:
    """Milliseconds from start to end, medians in alternation."""
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, words in PROGRAMS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            found[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Draw, or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/images/watch.svg")
    parser.add_argument("--time", action="store_true", help="measure instead")
    arguments = parser.parse_args()
    if arguments.time:
        for name, took in times().items():
            print(f"{name:<18} {took:6.0f} ms")
    else:
        picture(arguments.output)


if __name__ == "__main__":
    main()
