"""Burn-rate alerts of simulated streams: false pages a month where an objective is kept, and how long a budget burns before somebody is told.

One objective, 99 % success in 28 days, requests at exponential gaps. Ours beside three others: `workbook` (the four multi-window rules of the Site
Reliability Workbook as they are), `one window` (its long windows alone, 14.4 in an hour and 6 in six hours), and `threshold` (more failures than allowed
in ten minutes, the workbook's first and worst alert). Delays start four days in, with 0.2 % failing until then.
Run: PYTHONPATH=tests python -m benchmarks.burning [--json FILE] [--quick]
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from pointsman.models.burn_budget import ErrorBudget
from pointsman.models.burn_counts import Counts
from pointsman.models.burn_rules import rules
from pointsman.schemas import AlertRaised, Objective

OBJECTIVE = Objective(metric="success", bound=1.0, share=0.99, window="28d")
ALLOWED = 1.0 - OBJECTIVE.share
BEGIN, DAY_S, MONTH_S = 1.7e9, 86_400.0, 28 * 86_400.0
FOUND = ("ours: page", "ours: ticket", "workbook: page", "workbook: ticket", "one window", "threshold")
STEADY = ((1.0, "at the objective"), (0.5, "at half of it"))
DAYS = {1.0: 7.0, 10.0: 56.0, 100.0: 280.0, 1000.0: 1400.0}  # of the stream with a request each so many seconds
FAULTS = ((100.0, "outage, all fail"), (50.0, "half fail"), (20.0, "burn rate 20"), (8.0, "burn rate 8"), (4.0, "burn rate 4"), (1.5, "slow burn, 1.5"))
Stream = Iterator[tuple[float, bool]]


class Watched:
    """One stream under all rules; `fire` counts, or times, what begins."""

    def __init__(self, budget: ErrorBudget, counts: Counts, fire: Callable[[str, float], None]) -> None:
        self._budget, self._counts, self._fire = budget, counts, fire
        self._rules = [rule for rule in rules(OBJECTIVE) if rule.factor <= 14.4]
        self._on: set[str] = set()

    def see(self, at: float, is_broken: bool) -> None:
        """One request."""
        for model, fields in self._budget.count(at, is_broken=is_broken):
            if model is AlertRaised:
                self._fire("ours: page" if fields["severity"] == "critical" else "ours: ticket", at)
        self._counts.advance(at)
        self._counts.add(is_broken=is_broken)
        if is_broken or self._on:
            found = self._found()
            for name in found - self._on:
                self._fire(name, at)
            self._on = found

    def _found(self) -> set[str]:
        found: set[str] = set()
        for rule in self._rules:
            if self._rate(rule.long_s) >= rule.factor:
                if rule.severity == "critical":
                    found.add("one window")
                if self._rate(rule.short_s) >= rule.factor:
                    found.add("workbook: page" if rule.severity == "critical" else "workbook: ticket")
        return found | ({"threshold"} if self._rate(600.0) > 1.0 else set())

    def _rate(self, seconds: float) -> float:
        requests, broken = self._counts.over(seconds)
        return broken / (requests * ALLOWED) if requests else 0.0


def stream(draw: random.Random, gap_s: float, share: float, begin: float, end: float) -> Stream:
    """Requests at exponential gaps, each failing with the probability `share`."""
    at = begin
    while (at := at + draw.expovariate(1.0 / gap_s)) < end:
        yield at, draw.random() < share


def blips(draw: random.Random, gap_s: float, begin: float, end: float) -> Stream:
    """A fifth of what is allowed fails, and once a day, for 20 seconds, everything."""
    for at, is_broken in stream(draw, gap_s, 0.2 * ALLOWED, begin, end):
        yield at, is_broken or (at - begin) % DAY_S > DAY_S - 20.0


def pages(streamed: Stream, days: float) -> dict[str, float]:
    """What was raised, per 28 days."""
    raised = dict.fromkeys(FOUND, 0)

    def fire(name: str, _: float) -> None:
        raised[name] += 1

    watched = Watched(ErrorBudget(OBJECTIVE), Counts(MONTH_S), fire)
    for at, is_broken in streamed:
        watched.see(at, is_broken)
    return {name: count * 28.0 / days for name, count in raised.items()}


def quiet(*, is_quick: bool) -> dict[str, dict[str, float]]:
    """False alarms per 28 days: streams that keep the objective, at four rates."""
    found = {}
    for factor, said in STEADY:
        for gap_s, whole in DAYS.items():
            days = whole / 7.0 if is_quick else whole
            found[f"{said}, a request each {gap_s:g} s ({days:g} days)"] = pages(
                stream(random.Random(f"{said}/{gap_s}"), gap_s, factor * ALLOWED, BEGIN, BEGIN + days * DAY_S), days
            )
    days = 2.0 if is_quick else 7.0
    found[f"a daily blip of 20 s, a request each 1 s ({days:g} days)"] = pages(blips(random.Random("blips"), 1.0, BEGIN, BEGIN + days * DAY_S), days)
    return found


def delays(gap_s: float, runs: int) -> dict[str, dict[str, float | None]]:
    """Median seconds from the beginning of a fault to each alert; None where most runs get none in four days."""
    budget, counts, begin = ErrorBudget(OBJECTIVE), Counts(MONTH_S), BEGIN + 4 * DAY_S
    for at, is_broken in stream(random.Random(f"before/{gap_s}"), gap_s, 0.2 * ALLOWED, BEGIN, begin):
        budget.count(at, is_broken=is_broken)
        counts.advance(at)
        counts.add(is_broken=is_broken)
    found: dict[str, dict[str, float | None]] = {}
    for factor, said in FAULTS:
        times = [_first(budget.snapshot(), counts.snapshot(), gap_s, min(1.0, factor * ALLOWED), begin, f"{said}/{run}") for run in range(runs)]
        found[said] = {name: _middle([one.get(name) for one in times]) for name in FOUND}
    return found


def _first(budget: list[Any], before: list[Any], gap_s: float, share: float, begin: float, seed: str) -> dict[str, float]:
    first: dict[str, float] = {}
    counts = Counts(MONTH_S)
    counts.restore(before)

    def fire(name: str, at: float) -> None:
        first.setdefault(name, at - begin)

    watched = Watched(ErrorBudget.restore(budget), counts, fire)
    for at, is_broken in stream(random.Random(seed), gap_s, share, begin, begin + 4 * DAY_S):
        watched.see(at, is_broken)
        if {"one window", "workbook: page", "ours: page"} <= first.keys() or ({"workbook: ticket", "ours: ticket"} <= first.keys() and share < 0.06):
            break
    return first


def _middle(times: list[float | None]) -> float | None:
    known = [float("inf") if one is None else one for one in times]
    return found if (found := median(known)) < float("inf") else None


def said(seconds: float | None) -> str:
    """A delay as a person says it."""
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def table(title: str, rows: dict[str, list[str]]) -> str:
    """Rows in Markdown."""
    lines = [[title, *FOUND], ["---", *["---:"] * len(FOUND)], *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--quick", action="store_true", help="shorter streams, fewer runs")
    options = parser.parse_args()
    calm = quiet(is_quick=options.quick)
    print(table("alerts per 28 days", {name: [f"{row[one]:.0f}" if row[one] >= 10.0 else f"{row[one]:.2g}" for one in FOUND] for name, row in calm.items()}))
    late = {f"a request each {gap_s:g} s": delays(gap_s, 3 if options.quick else 5) for gap_s in ((10.0,) if options.quick else (1.0, 10.0, 100.0))}
    for name, rows in late.items():
        print(f"\n{table(f'delay, {name}', {fault: [said(row[one]) for one in FOUND] for fault, row in rows.items()})}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps({"alerts_per_28_days": calm, "delay_s": late}, indent=1) + "\n")


if __name__ == "__main__":
    main()
