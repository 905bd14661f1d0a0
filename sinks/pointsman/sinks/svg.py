"""What every plot is drawn with: an axis with round marks, grid lines with their labels, and the drawing itself."""

import html
import math
from collections.abc import Callable, Iterable, Sequence

Point = tuple[float, float]


def axis(values: Sequence[float], start: float, end: float) -> tuple[Callable[[float], float], list[float]]:
    """From a value to its place, and the values to mark; logarithmic where the positive values span more than a factor of 30."""
    low, high = min(values), max(values)
    is_log = low > 0.0 and high > 30.0 * low
    if is_log:
        low, high = low / 1.2, high * 1.2
        marks = decades(low, high)
    else:
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = (0.0 if low >= 0.0 and low - room < 0.0 else low - room), high + room
        step = _step((high - low) / 5.0)
        marks = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]

    def place(value: float) -> float:
        inside = min(max(value, low), high)
        share = math.log(inside / low) / math.log(high / low) if is_log else (inside - low) / (high - low)
        return start + (end - start) * share

    return place, marks


def decades(low: float, high: float) -> list[float]:
    """1, 3, 10, 30, ... between the ends.

    >>> decades(0.5, 40.0)
    [1.0, 3.0, 10.0, 30.0]
    """
    return [base * 10.0**power for power in range(-12, 12) for base in (1.0, 3.0) if low <= base * 10.0**power <= high]


def _step(rough: float) -> float:
    """The next round step: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(base * power for base in (1.0, 2.0, 5.0, 10.0) if base * power >= rough * 0.999)


def text(x: float, y: float, said: str, anchor: str = "start", style: str = "") -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{f" style={chr(34)}{style}{chr(34)}" if style else ""}>{html.escape(said)}</text>'


def horizontal(y: float, left: float, right: float) -> str:
    """A grid line at a value of the upright axis."""
    return f'<line class="axis" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'


def vertical(x: float, top: float, floor: float) -> str:
    """A grid line at a value of the level axis."""
    return f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{floor:.1f}"/>'


def points(places: Iterable[Point]) -> str:
    """Places as the attribute of a line or an area."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def drawing(width: float, height: float, marks: Iterable[str], title: str) -> str:
    """The drawing, titled for screen readers."""
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{html.escape(title)}">{"".join(marks)}</svg>'


__all__ = ["Point", "axis", "decades", "drawing", "horizontal", "points", "text", "vertical"]
