"""Drawings over days or hours (stacked bars, lines), and estimates with their intervals beside zero."""

from collections.abc import Callable, Mapping, Sequence

from .svg import axis, drawing, horizontal, points, text, vertical

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960.0, 84.0, 10.0, 18.0, 30.0
HEIGHT = 240.0
MOST_LABELS = 10
ROW = 34.0
_NAMES = 250.0


def stacked(labels: Sequence[str], series: Mapping[str, Sequence[float]], colours: Mapping[str, str], unit: str, title: str) -> str:
    """A bar for each label, made of one piece for each series."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)]
    y, marks = axis([0.0, max([*totals, 1e-12])], HEIGHT - BOTTOM, TOP)
    drawn = _grid(labels, y, marks, unit)
    step = (WIDTH - LEFT - RIGHT) / len(labels)
    wide = min(0.7 * step, 90.0)
    for number in range(len(labels)):
        below = 0.0
        for name, values in series.items():
            top, floor = y(below + values[number]), y(below)
            if floor - top > 0.05:
                x = _middle(number, len(labels)) - wide / 2.0
                drawn.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{floor - top:.1f}" fill="{colours[name]}"/>')
            below += values[number]
    return drawing(WIDTH, HEIGHT, drawn, title)


def lines(labels: Sequence[str], series: Sequence[tuple[Sequence[float | None], str, str]], unit: str, title: str) -> str:
    """A line of (values, colour, dashes) for each series; it is broken where there is no value, and a lonely value is a disc."""
    values = [value for row, _, _ in series for value in row if value is not None]
    y, marks = axis(values if values and min(values) > 0.0 and max(values) > 30.0 * min(values) else [0.0, *values, 1e-9], HEIGHT - BOTTOM, TOP)
    drawn = _grid(labels, y, marks, unit)
    for row, colour, dashes in series:
        for piece in _pieces(row):
            places = [(_middle(number, len(labels)), y(value)) for number, value in piece]
            drawn.append(f'<polyline points="{points(places)}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dashes}"/>')
            radius = 2.6 if not dashes else 1.8
            drawn += [f'<circle cx="{x:.1f}" cy="{height:.1f}" r="{radius}" fill="{colour}"/>' for x, height in places]
    return drawing(WIDTH, HEIGHT, drawn, title)


def intervals(rows: Sequence[tuple[str, float, float, float]], unit: str, title: str) -> str:
    """A row for each (name, value, lower, upper), against a line at zero; green where the interval is above it, red where it is below."""
    height = TOP + ROW * len(rows) + 40.0
    finite = [value for _, *values in rows for value in values if abs(value) < float("inf")]
    low, high = min(0.0, *finite), max(0.0, *finite)
    x, marks = axis([low, high], _NAMES, WIDTH - RIGHT)
    floor = height - 36.0
    drawn = [part for value in marks for part in (vertical(x(value), TOP, floor), text(x(value), floor + 16.0, f"{value:g}", "middle"))]
    drawn.append(f'<line x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="{TOP}" y2="{floor}" stroke="var(--ink)"/>')
    drawn.append(text(WIDTH - RIGHT, height - 3.0, unit, "end"))
    for number, (name, value, lower, upper) in enumerate(rows):
        y = TOP + ROW * (number + 0.5)
        colour = "var(--good)" if lower > 0.0 else "var(--bad)" if upper < 0.0 else "var(--soft)"
        drawn.append(text(2.0, y + 4.0, name))
        drawn.append(f'<line x1="{x(lower):.1f}" x2="{x(upper):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="5" stroke-opacity=".45"/>')
        drawn.append(f'<circle cx="{x(value):.1f}" cy="{y}" r="6" fill="{colour}"/>')
    return drawing(WIDTH, height, drawn, title)


def _grid(labels: Sequence[str], y: Callable[[float], float], marks: Sequence[float], unit: str) -> list[str]:
    """Grid lines with their values, and as many labels as there is room for."""
    drawn: list[str] = []
    for value in marks:
        drawn += (horizontal(y(value), LEFT, WIDTH - RIGHT), text(2.0, y(value) + 4.0, f"{value:,.4g} {unit}"))
    every = -(-len(labels) // MOST_LABELS)
    drawn += [text(_middle(number, len(labels)), HEIGHT - 8.0, label, "middle") for number, label in enumerate(labels) if number % every == 0]
    return drawn


def _middle(number: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (number + 0.5) / count


def _pieces(row: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    found: list[list[tuple[int, float]]] = [[]]
    for number, value in enumerate(row):
        if value is None:
            found.append([])
        else:
            found[-1].append((number, value))
    return [piece for piece in found if piece]


__all__ = ["intervals", "lines", "stacked"]
