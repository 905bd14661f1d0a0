"""A plot over the minutes of a run: discs, lines, steps and bands in the colours of the tracks."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from .svg import Point, decades, drawing, horizontal, points, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960.0, 280.0, 76.0, 30.0, 18.0, 34.0
COLOURS = ("#2f6fde", "#d9822b", "#2a9d6f", "#a34fc4")
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)

Band = tuple[float, float, float]


class Plot:
    """One plot over minutes since the beginning; logarithmic with a `bottom`."""

    def __init__(self, minutes: float, top: float, unit: str, bottom: float | None = None) -> None:
        self._minutes, self._top, self._bottom = max(minutes, 1e-9), max(top, 1e-9), bottom
        self._marks: list[str] = []
        for value in decades(bottom, self._top) if bottom is not None else [share * self._top for share in _QUARTERS]:
            self._marks += (horizontal(self._y(value), LEFT, WIDTH), text(2.0, self._y(value) + 4.0, f"{value:.3g} {unit}"))
        for share in _QUARTERS:
            self._marks.append(text(self._x(share * minutes), HEIGHT - 4.0, f"{share * minutes:.0f} min", "end" if share == 1.0 else "middle"))

    def _x(self, minute: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * minute / self._minutes

    def _y(self, value: float) -> float:
        low = self._bottom
        share = value / self._top if low is None else math.log(max(value, low) / low) / math.log(self._top / low)
        return TOP + (HEIGHT - BOTTOM - TOP) * (1.0 - min(max(share, 0.0), 1.0))

    def _placed(self, rows: Iterable[Point]) -> str:
        return points((self._x(x), self._y(y)) for x, y in rows)

    def points(self, rows: Iterable[Point], colour: str) -> None:
        """Small discs."""
        self._marks += [f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="1.6" fill="{colour}" fill-opacity=".55"/>' for x, y in rows]

    def line(self, rows: Iterable[Point], colour: str, dash: str = "") -> None:
        """A line through the points."""
        self._marks.append(f'<polyline points="{self._placed(rows)}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dash}"/>')

    def steps(self, rows: list[Point], colour: str) -> None:
        """A line that holds each value until the next."""
        held = [(x, before) for (_, before), (x, _) in pairwise(rows)]
        corners = [point for pair in zip(rows, held, strict=False) for point in pair]
        self.line([*corners, *rows[-1:], *((self._minutes, y) for _, y in rows[-1:])], colour)

    def band(self, rows: Iterable[Band], colour: str) -> None:
        """The area between the lower and the upper of (minute, lower, upper)."""
        rows = list(rows)
        edge = [(x, low) for x, low, _ in rows] + [(x, high) for x, _, high in reversed(rows)]
        self._marks.append(f'<polygon points="{self._placed(edge)}" fill="{colour}" fill-opacity=".18"/>')

    def svg(self, title: str) -> str:
        """The drawing, titled for screen readers."""
        return drawing(WIDTH, HEIGHT, self._marks, title)


def legend(colours: Mapping[str, str]) -> str:
    """Which colour is which track."""
    return " ".join(f'<span style="color:{colour}">&#9632; {html.escape(track)}</span>' for track, colour in colours.items())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table."""
    cells = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>{cells}</table>"


__all__ = ["COLOURS", "Band", "Plot", "legend", "table"]
