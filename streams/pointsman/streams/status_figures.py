"""Figures as an operator reads them in a narrow column: durations, shares, money, times, sparklines."""

from collections.abc import Sequence
from datetime import UTC, datetime

NONE = "–"
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.:-=+*#"


def safe(text: object) -> str:
    """Text of an event without control characters, which would steer the terminal."""
    return "".join(character if character.isprintable() else "?" for character in str(text))


def figure(value: float | None) -> str:
    """A number in three or four places.

    >>> figure(1234.5), figure(0.04217), figure(7.0), figure(None)
    ('1,234', '0.0422', '7', '–')
    """
    if value is None:
        return NONE
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration(ms: float | None) -> str:
    """Milliseconds with the unit that suits.

    >>> duration(812.4), duration(1912.0), duration(95_000.0), duration(None)
    ('812 ms', '1.91 s', '95 s', '–')
    """
    if ms is None:
        return NONE
    return f"{ms:.3g} ms" if ms < 999.5 else f"{ms / 1000:.3g} s" if ms < 100_000 else f"{ms / 1000:,.0f} s"


def share(value: float | None) -> str:
    """A share in percent; what is nearly all or nearly nothing does not become all or nothing.

    >>> share(0.9174), share(0.99968), share(1.0), share(0.00042), share(None)
    ('91.7 %', '99.97 %', '100 %', '0.04 %', '–')
    """
    if value is None:
        return NONE
    percent = 100 * value
    if 99 < percent < 100 or 0 < percent < 1:
        return f"{min(max(percent, 0.01), 99.99):.2f} %"
    return f"{percent:.3g} %"


def money(usd: float | None) -> str:
    """US dollars.

    >>> money(12.5), money(0.00042), money(0.0), money(None)
    ('$12.50', '$0.00042', '$0', '–')
    """
    if usd is None:
        return NONE
    return f"${usd:,.2f}" if abs(usd) >= 1 else f"${usd:.2g}"


def clock(at: float | None) -> str:
    """The time of day in UTC.

    >>> clock(1763700000.0)
    '04:40:00'
    """
    return NONE if at is None else datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def span(seconds: float) -> str:
    """A stretch of time with the largest unit that suits.

    >>> span(42), span(600), span(7200), span(259_200)
    ('42 s', '10 min', '2 h', '3 d')
    """
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length or (seconds >= length and seconds % length == 0):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def sparkline(values: Sequence[float | None], width: int, bars: str = BARS) -> str:
    """The last `width` values as bars from nothing to the largest; a value that is missing is a blank.

    >>> sparkline([0, 1, None, 4], 4)
    '▁▃ █'
    """
    shown = values[-width:]
    top = max((value for value in shown if value is not None), default=0.0)
    scale = (len(bars) - 1) / top if top > 0 else 0.0
    return "".join(" " if value is None else bars[round(max(value, 0.0) * scale)] for value in shown)


__all__ = ["ASCII_BARS", "BARS", "NONE", "clock", "duration", "figure", "money", "safe", "share", "span", "sparkline"]
