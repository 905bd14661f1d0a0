"""Which attribute value or category the trouble goes with: requests with it beside those without, since the onset."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .findings import Judged

FEWEST = 5
SURE, SUREST = 4.0, 10.0
EXCESS = 2.0
LOWEST, HIGHEST = -3.0, 10.0
NEW_SHARE = 0.05
MOST_VALUES = 512
UPSTREAM = ("input_tokens", "output_tokens")
ELSEWHERE = 0.5


class Contrast(NamedTuple):
    """A value whose requests deviate in a metric and hold `coverage` of all that does; `score` in 0..1, means are normal scores."""

    name: str
    metric: str
    score: float
    coverage: float
    share: float
    usual_share: float
    inside: float
    outside: float
    requests: int


class Sums:
    """Number, sum and sum of squares of clipped deviations, and how much of them lies above two."""

    __slots__ = ("excess", "number", "squares", "total")

    def __init__(self, number: int = 0, total: float = 0.0, squares: float = 0.0, excess: float = 0.0) -> None:
        self.number, self.total, self.squares, self.excess = number, total, squares, excess

    def add(self, value: float) -> None:
        """One more."""
        self.number += 1
        self.total += value
        self.squares += value * value
        if value > EXCESS:
            self.excess += value - EXCESS

    def minus(self, other: "Sums") -> "Sums":
        """All without those."""
        return Sums(self.number - other.number, self.total - other.total, self.squares - other.squares, self.excess - other.excess)

    @property
    def mean(self) -> float:
        """The mean deviation."""
        return self.total / self.number if self.number else 0.0

    @property
    def error(self) -> float:
        """The variance of the mean; a spread of less than one is taken for one."""
        spread = max(self.squares / self.number - self.mean * self.mean, 1.0) if self.number else 1.0
        return spread / max(self.number, 1)

    @property
    def usual(self) -> float:
        """The mean as far as it is known: at least 0, and nearer to it the fewer there are."""
        return max(self.total, 0.0) / (self.number + FEWEST)


Table = dict[str, dict[str, Sums]]


def values_of(judged: Judged) -> Iterator[str]:
    """What a request may be told apart by: `key=value`, and its category as `=category`. Fractions are no values."""
    if judged.category is not None:
        yield f"={judged.category}"[:256]
    for key, value in judged.attributes.items():
        if not isinstance(value, float):
            yield f"{key}={str(value).lower() if isinstance(value, bool) else value}"[:256]


def usual_rates(rows: Sequence[Judged], onset: float) -> dict[str, float]:
    """Per value requests a second before the onset, the most frequent 512; all of them under the empty name."""
    before = [row for row in rows if row.at < onset]
    if not before or onset <= before[0].at:
        return {}
    counts: dict[str, int] = {}
    for row in before:
        for name in values_of(row):
            counts[name] = counts.get(name, 0) + 1
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]
    return {name: count / (onset - before[0].at) for name, count in [("", len(before)), *most]}


def contrasts(rows: Sequence[Judged], onset: float, usual: Mapping[str, float], metrics: Iterable[str]) -> list[Contrast]:
    """The values that explain what deviates since the onset, the best metric of each; `metrics` are those of the alerts, others count half.

    A value explains by how far its requests are off beyond what they were before the onset (whole at eight standard deviations, or where one or more of them
    is ten standard errors above the others), how much less the others are, and the share of all that lies beyond two standard deviations. What all requests
    share explains nothing, unless it is new.
    """
    since = [row for row in rows if row.at >= onset]
    told, count = {*metrics, *UPSTREAM}, len(since)
    valued, before = _table(since), _table(row for row in rows if row.at < onset)
    best: dict[str, Contrast] = {}
    for metric, sums in sorted(valued.items()):
        everything, earlier = sums.pop(""), before.get(metric, {})
        for name, inside in sums.items():
            found = _contrast(name, metric, inside, everything, earlier.get(name, Sums()).usual, count, usual)
            if found is not None:
                weighed = found if metric in told else found._replace(score=found.score * ELSEWHERE)
                if name not in best or weighed.score > best[name].score:
                    best[name] = weighed
    return sorted(best.values(), key=lambda one: (-round(one.score, 9), one.share, one.name))


def _table(rows: Iterable[Judged]) -> Table:
    """Sums by metric and value; all of a metric under the empty name."""
    table: Table = {}
    for row in rows:
        names = ["", *values_of(row)]
        for metric, deviation in row.deviations.items():
            value = min(max(deviation, LOWEST), HIGHEST)
            mine = table.setdefault(metric, {})
            for name in names:
                if (sums := mine.get(name)) is None:
                    if len(mine) > MOST_VALUES:
                        continue
                    sums = mine[name] = Sums()
                sums.add(value)
    return table


def _contrast(name: str, metric: str, inside: Sums, everything: Sums, usually: float, count: int, usual: Mapping[str, float]) -> Contrast | None:
    outside = everything.minus(inside)
    before = usual.get(name, 0.0) / usual[""] if usual.get("") else math.nan
    is_new = before < NEW_SHARE
    if inside.number < FEWEST or (outside.number < FEWEST and not is_new):
        return None
    others = max(outside.mean, usually, 0.0) if outside.number >= FEWEST else usually
    more = inside.mean - others
    sure = more / math.sqrt(inside.error + (outside.error if outside.number >= FEWEST else 0.0))
    if sure < SURE:
        return None
    size = max(math.log1p(max(inside.mean - 1.0, 0.0)) / math.log(8.0), math.log1p(sure - SURE) / math.log1p(SUREST - SURE) * min(more, 1.0))
    coverage = inside.excess / everything.excess if everything.excess > 0.0 else 0.0
    score = min(size, 1.0) * min(max(coverage, 0.0), 1.0) * more / inside.mean
    if score <= 0.0:
        return None
    return Contrast(name, metric, score, coverage, inside.number / count, before, inside.mean, others, inside.number)


def growth(rows: Iterable[Judged], onset: float, now: float, usual: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """The values whose own growth is most of the growth of all traffic: name, share of the growth, times as many as before; most first.

    What had nearly all requests before (nine tenths) explains nothing.
    """
    total, seconds = usual.get("", 0.0), now - onset
    since = [row for row in rows if row.at >= onset]
    if total <= 0.0 or seconds <= 0.0 or len(since) < 2 * FEWEST:
        return []
    gained = len(since) / seconds - total
    counts: dict[str, int] = {}
    for row in since:
        for name in values_of(row):
            if name in counts or len(counts) < MOST_VALUES:
                counts[name] = counts.get(name, 0) + 1
    found = []
    for name, count in counts.items():
        before, rate = usual.get(name, 0.0), count / seconds
        if gained > 0.0 and before < 0.9 * total and rate >= 2.0 * before and rate - before >= 0.6 * gained:
            found.append((name, min((rate - before) / gained, 1.0), rate / max(before, 0.1 * total / len(since))))
    return sorted(found, key=lambda one: (-round(one[1], 9), one[0]))


__all__ = ["Contrast", "contrasts", "growth", "usual_rates", "values_of"]
