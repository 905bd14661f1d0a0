"""Faults put into the recorded vLLM runs at random times: are they found, how soon, as how many incidents, and is the cause named?

After ten minutes of warm-up one fault of five minutes (a drift ten), of a drawn size, on a drawn track. Found is an alert of an anomaly, a drift or a burn
rate, or an incident, from the onset to two minutes after the end; `by chance` is how often the recording without the fault has one in the same minutes.
Incidents are counted until five minutes after the end; causes are read in the newest state of the first of them. Beside: a 3-sigma rule on windows
of a minute, fixed thresholds, and the largest robust z, which is told the onset. Names, time and scale differ by variant.
`first of found` is of the faults that were found, and `told` is where the alerts of a perfect watch come half a minute after the onset: the ranking alone.
Run: PYTHONPATH=tests python -m benchmarks.faults [--data FOLDER] [--runs N] [--json FILE] [--quick]
"""

import argparse
import json
import random
import statistics
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

from pointsman.schemas import AlertRaised, AnyInput, Event, IncidentOpened, IncidentResolved, IncidentUpdated, RequestStarted
from pointsman.schemas.signals import Suspect
from pointsman.streams.inject import Fault, inject
from pointsman.streams.inject_effects import InjectError

from .fault_baselines import Alarm, largest_z, three_sigma, thresholds, windows
from .fault_ground import WARM_UP_S, Trunk, Variant, recorded, variant
from .fault_told import perfect
from .policies import data_folder, table

SIZES = {"latency": (1.5, 3.0), "errors": (0.1, 0.4), "throttled": (1.5, 3.0), "tokens": (4.0, 10.0), "configuration": (1.5, 3.0)} | {
    "version": (0.1, 0.4),
    "drift": (2.0, 4.0),
    "stuck": (1.0, 1.0),
}
FOR_S, DRIFT_S = 300.0, 600.0
AFTER_S, RESOLVE_S, TAIL_S = 120.0, 300.0, 310.0
COLUMNS = {"found": ".2f", "by chance": ".2f", "delay s": ".0f", "requests": ".0f", "incidents": ".2f"} | {
    "first": ".2f",
    "first three": ".2f",
    "first of found": ".2f",
}
OPENING = ("anomaly", "drift", "slo_burn")
Incident = IncidentOpened | IncidentUpdated | IncidentResolved
Said = dict[str, Any]


@cache
def ground(data: Path) -> list[AnyInput]:
    """The recording, once per process."""
    return recorded(data)


@cache
def trunk(number: int, data: Path, learners: str) -> Trunk:
    """One of the variants, folded once per process."""
    return Trunk(variant(ground(data), random.Random(f"variant/{number}"), is_scaled=number % 2 == 1, learners=learners))


def faulty(played: Variant, kind: str, dice: random.Random) -> tuple[list[AnyInput], Said]:
    """The variant with a fault of this kind at a drawn time, until a while after it, and what was done."""
    lasts = DRIFT_S if kind == "drift" else FOR_S
    span = played.events[-1].occurred_at - played.events[0].occurred_at
    while True:
        at, size = dice.uniform(WARM_UP_S, span - lasts - TAIL_S), dice.uniform(*SIZES[kind])
        track = played.local if kind == "throttled" else None if kind == "stuck" else dice.choice((played.local, played.hosted))
        gauge = dice.choice(("running", "kv_cache_percent", "generation_tokens_per_s")) if kind == "stuck" else None
        fault = Fault(kind, at_s=at, for_s=lasts, track=track, gauge=gauge, factor=size, seed=dice.randrange(10**6), config=played.config)
        try:
            events, said = inject(played.events, fault)
        except InjectError:
            continue
        if said["requests"] or kind == "stuck":
            return [event for event in events if event.occurred_at <= said["end"] + TAIL_S], said


def is_cause(said: Said, suspect: Suspect) -> bool:
    """Whether this is what was done."""
    kind = said["fault"]
    if kind in ("throttled", "stuck"):
        return suspect.kind == "host" and suspect.name == said["host"]
    if kind == "tokens":
        return suspect.kind == "attribute" and suspect.name == f"client={said['client']}"
    if kind == "configuration":
        return suspect.kind == "configuration" and suspect.name.startswith("fault/configuration/")
    if kind == "version":
        return suspect.kind in ("version", "attribute") and suspect.name.endswith(said["version"])
    return suspect.kind == "track" and suspect.name == said["track"]


def named(said: Said) -> str:
    """The track or host that a baseline could name for this fault; a client, a configuration or a version it cannot."""
    return str({"tokens": "-", "configuration": "-", "version": "-"}.get(said["fault"]) or said.get("host") or said["track"])


def judge(events: Sequence[AnyInput], outputs: Sequence[Event], said: Said) -> Said:
    """What was said of a fault: found after how long, as how many incidents, and at which rank its cause (0 where it is not named)."""
    start, end = said["start"], said["end"]
    found = [one.occurred_at for one in outputs if opens(one) and start <= one.occurred_at <= end + AFTER_S]
    opened = [one for one in outputs if isinstance(one, IncidentOpened) and start <= one.occurred_at <= end + RESOLVE_S]
    news = [one for one in outputs if isinstance(one, Incident) and start <= one.occurred_at <= end + AFTER_S]
    first = opened[0].incident if opened else news[0].incident if news else None
    newest = next((one for one in reversed(news) if one.incident == first), None)
    places = [place for place, suspect in enumerate(newest.suspects if newest else (), 1) if is_cause(said, suspect)]
    return {
        **(_found(events, said, min(found)) if found else {"found": False}),
        "incidents": len(opened),
        "joined": first is not None and not opened,
        "rank": places[0] if places else 0,
        "suspects": [f"{one.kind} {one.name} {one.score:.2f}" for one in (newest.suspects[:3] if newest else ())],
    }


def opens(one: Event) -> bool:
    """Whether this is news of trouble: an incident, or an alert of the kinds that open one; those that concern our own models are information."""
    return isinstance(one, IncidentOpened) or (isinstance(one, AlertRaised) and one.kind in OPENING and one.severity != "info")


def judge_told(outputs: Sequence[Event], said: Said, alert: AlertRaised) -> Said:
    """The same where the fault's alerts are told: the rank in the newest state of the incident that the first of them is in."""
    news = [one for one in outputs if isinstance(one, Incident) and said["start"] <= one.occurred_at <= said["end"] + AFTER_S]
    newest = next((one for one in reversed(news) if any(other.fingerprint == alert.fingerprint for other in one.alerts)), None)
    places = [place for place, suspect in enumerate(newest.suspects if newest else (), 1) if is_cause(said, suspect)]
    opened = sum(isinstance(one, IncidentOpened) for one in news)
    suspects = [f"{one.kind} {one.name} {one.score:.2f}: {one.evidence}" for one in (newest.suspects[:4] if newest else ())]
    return {"incidents": opened, "rank": places[0] if places else 0, "suspects": suspects}


def _found(events: Sequence[AnyInput], said: Said, at: float) -> Said:
    begun = sum(1 for one in events if isinstance(one, RequestStarted) and said["start"] <= one.occurred_at <= at and said.get("track") in (None, one.track))
    return {"found": True, "seconds": at - said["start"], "delay_requests": begun}


def judge_alarms(events: Sequence[AnyInput], alarms: Iterable[Alarm], said: Said) -> Said:
    """The same of a baseline, each of whose alarms is an incident of its own."""
    near = [one for one in alarms if said["start"] <= one.at <= said["end"] + AFTER_S]
    ranked = list(dict.fromkeys(one.entity for one in near))
    rank = ranked.index(named(said)) + 1 if named(said) in ranked else 0
    return {**(_found(events, said, near[0].at) if near else {"found": False}), "incidents": len(near), "rank": rank}


def run(kind: str, number: int, trunk: Trunk) -> Said:
    """One fault, everything that was said of it, and the baselines."""
    dice = random.Random(f"{kind}/{number}")
    played = trunk.played
    events, said = faulty(played, kind, dice)
    begin = played.events[0].occurred_at
    series, since = windows(events), begin + WARM_UP_S
    ranked = largest_z(series, said["start"], said["start"] + 180.0)
    times = {"from": (said["start"] - begin) / played.speed, "to": (said["end"] + AFTER_S - begin) / played.speed}
    alerts = perfect(said, played.local, events[0].scope)
    return {
        **said,
        **times,
        "ours": judge(events, trunk.fold(events), said),
        "ours, told": judge_told(trunk.fold([event for event in events if event.occurred_at <= said["end"] + AFTER_S], alerts), said, alerts[0]),
        "3 sigma": judge_alarms(events, three_sigma(series, since), said),
        "thresholds": judge_alarms(events, thresholds(series, since), said),
        "largest z": {"rank": ranked.index(named(said)) + 1 if named(said) in ranked else 0},
    }


def quiet(trunk: Trunk) -> Said:
    """The recording as it is: when what was said, in seconds of the recording's own clock, after the warm-up."""
    played, outputs = trunk.played, trunk.outputs
    begin, end = played.events[0].occurred_at, played.events[-1].occurred_at
    series, since = windows(played.events), begin + WARM_UP_S
    heard = {
        "ours": [one.occurred_at for one in outputs if opens(one)],
        "3 sigma": [one.at for one in three_sigma(series, since)],
        "thresholds": [one.at for one in thresholds(series, since)],
    }
    opened = {**heard, "ours": [one.occurred_at for one in outputs if isinstance(one, IncidentOpened)]}
    hours = (end - since) / 3600.0
    said = [f"{(one.occurred_at - begin) / played.speed:.0f} s: {one.title}" for one in outputs if isinstance(one, IncidentOpened)]
    return {
        "alerts": {name: [(at - begin) / played.speed for at in times] for name, times in heard.items()},
        "per_hour": {name: sum(at > since for at in times) / hours for name, times in opened.items()},
        "said": said,
    }


def played(number: int, kinds: Sequence[str], runs: int, variants: int, data: Path, learners: str) -> tuple[Said, list[Said]]:
    """A variant without a fault, and the runs that fall to it."""
    warnings.filterwarnings("ignore")
    ground = trunk(number, data, learners)
    return quiet(ground), [run(kind, one, ground) for kind in kinds for one in range(number, runs, variants)]


def summary(rows: Sequence[Said], still: Sequence[Said], method: str) -> Said:
    """One kind's runs under one method."""
    judged = [row[method] for row in rows]
    found = [one for one in judged if one.get("found")]
    line: Said = {"policy": method, "first": _mean(one["rank"] == 1 for one in judged), "first three": _mean(1 <= one["rank"] <= 3 for one in judged)}
    if method == "largest z":
        return line
    line["incidents"] = _mean(one["incidents"] for one in judged)
    if method == "ours, told":
        return line
    chance = [any(row["from"] <= at <= row["to"] for at in one["alerts"][method]) for row in rows for one in still]
    return line | {
        "found": len(found) / len(judged),
        "by chance": _mean(chance),
        "delay s": _middle(one["seconds"] for one in found),
        "requests": _middle(one["delay_requests"] for one in found),
        "first of found": _mean(one["rank"] == 1 for one in found) if found else None,
    }


def _mean(values: Iterable[float]) -> float:
    kept = [float(value) for value in values]
    return statistics.fmean(kept) if kept else 0.0


def _middle(values: Iterable[float]) -> float | None:
    kept = list(values)
    return statistics.median(kept) if kept else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--runs", type=int, default=20, help="Of every kind.")
    parser.add_argument("--variants", type=int, default=4, help="Of the recording; each is played without a fault, too.")
    parser.add_argument("--only", choices=tuple(SIZES), action="append", help="Only this kind; may be given more than once.")
    parser.add_argument("--learners", choices=("light", "full", "auto"), default="light")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="Two runs of every kind, two variants.")
    given = parser.parse_args(arguments)
    runs, variants = (2, 2) if given.quick else (given.runs, given.variants)
    data, kinds = data_folder(given.data), given.only or list(SIZES)
    work = partial(played, kinds=kinds, runs=runs, variants=variants, data=data, learners=given.learners)
    with ProcessPoolExecutor(given.processes) as pool:
        found = list(pool.map(work, range(variants)))
    still, done = [one for one, _ in found], [row for _, some in found for row in some]
    rows = {kind: [row for row in done if row["fault"] == kind] for kind in kinds}
    lines = [{**line, "policy": f"{kind}, {line['policy']}"} for kind in kinds for line in _lines(rows[kind], still)]
    lines += [{**line, "policy": f"all, {line['policy']}"} for line in _lines(done, still)]
    alarms = [{"policy": name, "per hour": _mean(one["per_hour"][name] for one in still)} for name in ("ours", "3 sigma", "thresholds")]
    print(table(f"{runs} faults of each kind", [_shown(line) for line in lines], dict.fromkeys(COLUMNS, "s")), end="\n\n")
    print(table("Incidents without a fault", alarms, {"per hour": ".2f"}))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({"faults": lines, "quiet": alarms, "runs": done, "still": still}, indent=2))


def _shown(line: Said) -> Said:
    return {"policy": line["policy"], **{name: "-" if line.get(name) is None else f"{line[name]:{style}}" for name, style in COLUMNS.items()}}


def _lines(rows: Sequence[Said], still: Sequence[Said]) -> list[Said]:
    methods: tuple[str, ...] = ("ours", "ours, told", "3 sigma", "thresholds", "largest z")
    summarise: Callable[[str], Said] = partial(summary, rows, still)
    return [summarise(method) for method in methods]


if __name__ == "__main__":
    main()
