"""An explanation as text for people."""

import io
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 132
MOST_PARTS = 8


def render(found: Mapping[str, Any]) -> str:
    """The text of `asdict(explanation)`."""
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, highlight=False, markup=False, emoji=False)
    explained = found["explained"]
    for line in _head(found):
        console.print(line)
    console.print(_tracks(explained))
    console.print(_worth(explained))
    for line in [*_states(explained), *_difference(explained["difference"]), *_changes(explained)]:
        console.print(line)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _head(found: Mapping[str, Any]) -> list[str]:
    explained, request = found["explained"], found["request"]
    when = datetime.fromtimestamp(found["occurred_at"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    share = f" with probability {found['propensity']:.6g}" if found["propensity"] is not None else ""
    version = f"policy {found['decided_version']}" if found["decided_version"] else found["decided_by"]
    known = [f"{name.replace('_', ' ')} {value}" for name, value in request.items() if value is not None and name != "attributes"]
    known += [f"{name}={value}" for name, value in request["attributes"].items()]
    sizes = ", ".join(f"{name} {value:.2f}" for name, value in explained["groups"].items() if abs(value) >= 0.005)
    lines = [
        f"request {found['request_id']} in scope {found['scope']}, {when}: {found['track']}{share}, by {version}",
        *[f"note: {note}" for note in found["notes"]],
        f"known of it: {', '.join(known) or 'nothing'}",
        f"features by size: {sizes or 'none'}",
        f"strategy {explained['strategy']}, mode {explained['mode']}, shadow price {_short(explained['shadow_price'])} of utility per USD"
        + _limit(explained, "ceiling_usd", "a request dearer than {} is left to exploration")
        + _limit(explained, "hard_ceiling_usd", "the hard budget has {} left"),
        *[f"objective on {o['metric']} {_short(o['bound'])} is being broken: its price is {_short(o['price'])} of utility" for o in explained["objectives"]],
        f"draw {explained['draw']:.6f}: {explained['drawn']}",
    ]
    return [*lines, ""]


def _limit(explained: Mapping[str, Any], name: str, said: str) -> str:
    return "" if explained[name] is None else "; " + said.format(f"{_short(explained[name])} USD")


def _tracks(explained: Mapping[str, Any]) -> Table:
    table = Table(title="expected, with 95 % intervals of the expectation (* the best)", title_justify="left", box=None, pad_edge=False)
    for name in ("track", "quality", "latency ms", "success", "cost USD", "utility", "probability", "draw"):
        table.add_column(name, justify="left" if name == "track" else "right", overflow="fold")
    for row in explained["tracks"]:
        cells = [_value(row[name]) for name in ("quality", "latency_ms", "success", "cost_usd")]
        name = f"{row['track']}{' *' if row['track'] == explained['best'] else ''}"
        table.add_row(name, *cells, f"{row['utility']:.4f}", f"{row['propensity']:.6g}", f"{row['draw_from']:.6f}-{row['draw_to']:.6f}")
    return table


def _states(explained: Mapping[str, Any]) -> list[str]:
    """What holds a track back, or has happened to it."""
    lines = []
    for row in explained["tracks"]:
        said = [f"held back by {row['held_by']}"] if row["held_by"] else []
        said += [f"{100 * row['admitted']:.0f} % of its traffic admitted"] if row["admitted"] < 1.0 else []
        said += [f"{row['running']} in flight"] if row["running"] is not None else []
        said += [f"quality fallen by {-row['shift']:.2f}, probed with {100 * row['probe']:.1f} %"] if row["shift"] else []
        said += [f"penalty {row['penalty']:.3f} for load, failures or slowness"] if row["penalty"] else []
        if said:
            lines.append(f"{row['track']}: {', '.join(said)}")
    return ["", *lines] if lines else []


def _worth(explained: Mapping[str, Any]) -> Table:
    names = [name for name in explained["tracks"][0]["parts"] if any(abs(row["parts"][name]) >= 5e-7 for row in explained["tracks"])]
    table = Table(title="\nutility is the sum of", title_justify="left", box=None, pad_edge=False)
    table.add_column("track", overflow="fold")
    for name in names:
        table.add_column(name, justify="right")
    for row in explained["tracks"]:
        table.add_row(row["track"], *[f"{row['parts'][name]:+.4f}" for name in names])
    return table


def _difference(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    parts = list(found["parts"].items())
    shown = ", ".join(f"{name} {value:+.4f}" for name, value in parts[:MOST_PARTS])
    rest = math.fsum(value for _, value in parts[MOST_PARTS:])
    more = f", the other {len(parts) - MOST_PARTS} {rest:+.4f}" if len(parts) > MOST_PARTS else ""
    return ["", f"{found['track']} less {found['against']}: {found['utility']:+.4f} of utility, from {shown or 'nothing'}{more}"]


def _changes(explained: Mapping[str, Any]) -> list[str]:
    rows = explained["counterfactuals"]
    possible = [row for row in rows if row["needed"] is not None or row["what"] in ("conversation", "objectives")]
    never: dict[str, list[str]] = {}
    for row in rows:
        if row not in possible:
            never.setdefault(row["track"], []).append(_NAMES[row["what"]])
    lines = ["", f"{explained['best']} is the best here. It would not be"] if possible else [""]
    lines += [f"  {_sentence(row)}" for row in possible]
    return [*lines, *[f"no {' or '.join(names)} of {track} would alone make it the best" for track, names in never.items()]]


_NAMES = {"quality": "quality", "latency_ms": "latency", "success": "success", "cost_usd": "cost", "penalty": "penalty"}
_UNITS = {"latency_ms": " ms", "cost_usd": " USD"}


def _sentence(row: Mapping[str, Any]) -> str:
    what, now, needed = row["what"], row["now"], row["needed"]
    if what == "conversation":
        return f"in a new conversation, which {row['best']} would get: this one was on {row['track']}"
    if what == "objectives":
        return f"were no objective being broken: then {row['best']}"
    if what == "shadow_price":
        about = f" (a budget of about {_short(row['budget_usd'])} USD a request)" if row["budget_usd"] is not None else ""
        present = f"now {_short(now)}" if now is not None else "there is no budget now"
        return f"at a shadow price {row['side']} {_short(needed)}{about}, {present}: then {row['best']}"
    if what == "running":
        return f"with {needed} requests in flight on {row['track']} or {'more' if row['side'] == 'above' else 'fewer'}, now {now}: then {row['best']}"
    if what == "admitted":
        return f"if health admitted {row['track']}"
    if what in ("ceiling_usd", "hard_ceiling_usd"):
        return f"if a request might cost {_short(needed)} USD, now {_short(now)}: then {row['best']}"
    unit = _UNITS.get(what, "")
    return f"if {row['track']} had {_NAMES[what]} {_short(needed)}{unit} instead of {_short(now)}{unit}"


def _value(value: Mapping[str, Any]) -> str:
    mean = _short(value["mean"])
    return mean if value["lower"] is None else f"{mean} [{value['lower']:.3g}, {value['upper']:.3g}]"


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


__all__ = ["render"]
