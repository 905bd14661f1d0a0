"""Four faults one after the other in one stream: do the alerts of a fault become one incident, and those of different faults different ones?

The recording twice in sequence; after ten minutes of warm-up four faults of four minutes, of different kinds and on different tracks or hosts as far as there
are any, in 20 orders, with two to six minutes between them. An alert belongs to the fault during which, or within two minutes after which, it was raised;
those of no fault are counted apart. The adjusted Rand index (Hubert and Arabie, 1985) compares alerts by fault with alerts by incident. Beside, on the
same alerts: an incident per alert, per five minutes, per track or host.
Run: PYTHONPATH=tests python -m benchmarks.clusters [--data FOLDER] [--orders N] [--json FILE] [--quick]
"""

import argparse
import json
import math
import random
import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pointsman.schemas import AlertRaised, AnyInput, Event, IncidentOpened, IncidentResolved, IncidentUpdated, RequestCompleted, RequestStarted
from pointsman.streams.inject import Fault, inject
from pointsman.streams.inject_effects import InjectError

from .fault_ground import WARM_UP_S, Variant, fold, variant
from .faults import AFTER_S, SIZES, ground, opens
from .policies import data_folder, table

KINDS = ("latency", "errors", "throttled", "stuck", "version")
COUNT, LASTS_S, GAPS_S, BUCKET_S = 4, 240.0, (120.0, 360.0), 300.0


class Alert(NamedTuple):
    """An alert, the fault that it belongs to (None: none), and what the methods say it belongs to."""

    fault: int | None
    incident: str
    bucket: int
    entity: str
    key: str


def adjusted_rand(truth: Sequence[Hashable], found: Sequence[Hashable]) -> float:
    """How far two groupings agree beyond chance: 1 are the same, 0 is chance.

    >>> adjusted_rand([0, 0, 1, 1], ["b", "b", "a", "a"]), round(adjusted_rand([0, 0, 1, 1], [0, 0, 1, 2]), 3)
    (1.0, 0.571)
    >>> round(adjusted_rand([0, 0, 1, 1], [0, 1, 0, 1]), 3), adjusted_rand([0, 0, 1, 1], [0, 1, 2, 3])
    (-0.5, 0.0)
    """
    pairs = sum(comb(count, 2) for count in Counter(zip(truth, found, strict=True)).values())
    left, right = (sum(comb(count, 2) for count in Counter(labels).values()) for labels in (truth, found))
    expected = left * right / comb(len(truth), 2) if len(truth) > 1 else 0.0
    most = (left + right) / 2.0
    return 1.0 if most == expected else (pairs - expected) / (most - expected)


def twice(events: Sequence[AnyInput]) -> list[AnyInput]:
    """The recording and, a minute after its end, the same again under other ids."""
    later = events[-1].occurred_at - events[0].occurred_at + 60.0
    found = list(events)
    for event in events:
        fields: dict[str, Any] = {"event_id": f"{event.event_id}/2", "occurred_at": round(event.occurred_at + later, 6)}
        if isinstance(event, RequestStarted | RequestCompleted):
            fields["request_id"] = f"{event.request_id}/2"
        found.append(event.model_copy(update=fields))
    return found


def four(played: Variant, dice: random.Random) -> tuple[list[AnyInput], list[dict[str, Any]]]:
    """The variant with four faults, and what was done."""
    while True:
        events, done, at = played.events, [], WARM_UP_S + dice.uniform(0.0, 300.0)
        first = dice.random() < 0.5
        for number, kind in enumerate(dice.sample(KINDS, COUNT)):
            track = played.local if kind == "throttled" else (played.local, played.hosted)[(number + first) % 2]
            size = dice.uniform(*SIZES[kind])
            fault = Fault(kind, at_s=at, for_s=LASTS_S, track=track, factor=size, seed=dice.randrange(10**6), config=played.config)
            try:
                events, said = inject(events, fault)
            except InjectError:
                break
            done.append(said)
            at += LASTS_S + dice.uniform(*GAPS_S)
        if len(done) == COUNT:
            return events, done


def alerts_of(outputs: Sequence[Event], faults: Sequence[dict[str, Any]]) -> list[Alert]:
    """The alerts that are in an incident, or could have opened one, with all that they belong to; what rises again while it is open, too."""
    held: dict[str, tuple[float, float, set[str]]] = {}
    for one in outputs:
        if isinstance(one, IncidentOpened | IncidentUpdated | IncidentResolved):
            opened, _, fingerprints = held.get(one.incident, (one.occurred_at, 0.0, set()))
            end = one.occurred_at if isinstance(one, IncidentResolved) else math.inf
            held[one.incident] = (opened, end, fingerprints | {alert.fingerprint for alert in one.alerts})
    found = []
    for number, one in enumerate(outputs):
        if not isinstance(one, AlertRaised):
            continue
        home = next((name for name, (opened, end, within) in held.items() if opened <= one.occurred_at <= end and one.fingerprint in within), None)
        if home is not None or opens(one):
            fault = next((place for place, said in enumerate(faults) if said["start"] <= one.occurred_at <= said["end"] + AFTER_S), None)
            entity = one.track or one.host or one.subject
            found.append(Alert(fault, home or f"alone {number}", int(one.occurred_at // BUCKET_S), entity, f"{number}"))
    return found


def run(number: int, data: Path, learners: str) -> dict[str, Any]:
    """One order of four faults: the agreement of every method, and how many incidents it makes of them."""
    warnings.filterwarnings("ignore")
    dice = random.Random(f"clusters/{number}")
    played = variant(twice(ground(data)), dice, is_scaled=number % 2 == 1, learners=learners)
    events, faults = four(played, dice)
    outputs = fold((event for event in events if event.occurred_at <= faults[-1]["end"] + 400.0), played.config)
    alerts = alerts_of(outputs, faults)
    within = [one for one in alerts if one.fault is not None]
    truth = [one.fault for one in within]
    groups: dict[str, list[Hashable]] = {
        "ours": [one.incident for one in within],
        "one per alert": [one.key for one in within],
        "one per five minutes": [one.bucket for one in within],
        "one per track or host": [one.entity for one in within],
    }
    hit = len(set(truth))
    scores = {name: {"index": adjusted_rand(truth, labels), "ratio": len(set(labels)) / max(hit, 1)} for name, labels in groups.items()}
    opened = sum(1 for one in outputs if isinstance(one, IncidentOpened) and one.occurred_at >= faults[0]["start"])
    return {"faults": faults, "alerts": len(within), "apart": len(alerts) - len(within), "hit": hit, "opened": opened, "scores": scores}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--learners", choices=("light", "full", "auto"), default="light")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="Two orders.")
    given = parser.parse_args(arguments)
    with ProcessPoolExecutor(given.processes) as pool:
        done = list(pool.map(partial(run, data=data_folder(given.data), learners=given.learners), range(2 if given.quick else given.orders)))
    heard = [row for row in done if row["alerts"] > 1]
    lines = [
        {
            "policy": name,
            "adjusted Rand": float(np.mean([row["scores"][name]["index"] for row in heard] or [0.0])),
            "incidents / fault": float(np.mean([row["scores"][name]["ratio"] for row in heard] or [0.0])),
        }
        for name in ("ours", "one per alert", "one per five minutes", "one per track or host")
    ]
    print(table(f"Four faults in a stream, {len(done)} orders", lines, {"adjusted Rand": ".3f", "incidents / fault": ".2f"}))
    apart = [float(np.mean([row[name] for row in done])) for name in ("alerts", "apart", "hit", "opened")]
    print("\nalerts {:.1f} and of no fault {:.1f}, faults heard of {:.2f} of 4, incidents opened {:.2f}".format(*apart))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({"lines": lines, "runs": done}, indent=2))


if __name__ == "__main__":
    main()
