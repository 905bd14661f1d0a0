"""The table of metrics in docs/monitoring.md, from the code that exposes them: `PYTHONPATH=tests python -m metrics_table` prints it."""

from collections.abc import Iterator

from pointsman.sinks.prometheus import GAUGES
from pointsman.streams.http_metrics import Meter

HEAD = "| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n"
SUFFIXES = {"counter": "_total", "info": "_info"}

Row = tuple[str, str, tuple[str, ...], str]


def rows() -> Iterator[Row]:
    """Name, type, labels and help of every metric."""
    meter = Meter()
    meter.watch(lambda: (0, 0, 0, True))
    for collector in meter.registry._collector_to_names:
        for family in collector.collect():
            labels: tuple[str, ...] = getattr(collector, "_labelnames", ()) or getattr(family, "_labelnames", ())
            yield family.name + SUFFIXES.get(family.type, ""), family.type, tuple(labels), family.documentation
    for name, (labels, said) in GAUGES.items():
        yield name, "gauge", labels, said


def table() -> str:
    """The rows of Pointsman's own metrics as Markdown, by name."""
    own = sorted({row[0]: row for row in rows() if row[0].startswith("pointsman_")}.values())
    lines = [f"| `{name}` | {kind} | {', '.join(labels)} | {said.replace('|', chr(92) + '|')} |" for name, kind, labels, said in own]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
