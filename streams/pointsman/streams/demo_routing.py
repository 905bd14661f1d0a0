"""The second half of the demo: prompts that three models answered, routed live at three budgets, and what that saves against fixed routing."""

import html
import shutil
import tempfile
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pointsman.models.off_policy import Places
from pointsman.schemas import OptimizationConfig
from pointsman.sinks.plot import table
from pointsman.sinks.routing_report import Served, Share, routing_plots

from .live_routing import Gain, Run, Step, Steps, gain, play
from .logged import Recording, read_recording
from .record import record_database
from .replay import source_lines
from .static_mix import StaticMix

FOLDER = Path(str(files("pointsman.streams") / "recordings"))
RECORDING = FOLDER / "routing.jsonl.gz"
CONFIG = FOLDER / "routing.toml"
BUDGETS = (0.0001, 0.0003, 0.001)
SHOWN = 0.0003  # the budget of routing.toml: what was learned is shown at this one
AVERAGED = 50

Row = tuple[str, ...]


def run_routing(console: Console, folder: Path) -> str:
    """Play the recording at every budget, print the tables, leave files for `pointsman evaluate` in the folder; the same as HTML."""
    config = OptimizationConfig.model_validate(tomllib.loads(CONFIG.read_text(encoding="utf-8")))
    recording = read_recording(source_lines(str(RECORDING)), str(RECORDING), config)
    folder.mkdir(parents=True, exist_ok=True)
    for file in (RECORDING, CONFIG):
        shutil.copyfile(file, folder / file.name)
    runs = []
    with tempfile.TemporaryDirectory() as place:
        for budget in BUDGETS:
            database = Path(place) / f"{budget}.db"
            runs.append(play(recording, config, budget, database))
            if budget == SHOWN:
                record_database(database, folder / "routing-live.jsonl.gz")
    gains = [gain(recording, run.chosen) for run in runs]
    shown = runs[BUDGETS.index(SHOWN)]
    steps = Steps(recording, shown)
    said = _intro(recording)
    sentences = [_saved(run, found) for run, found in zip(runs, gains, strict=True)]
    explained = _explained(steps, shown)

    console.print(f"\n{said}")
    title = f"{len(recording.requests)} prompts: what each policy gave"
    _print(console, title, _head(recording), _rows(recording, runs, gains))
    for sentence in sentences:
        console.print(sentence)
    _print(console, _learned_title(steps), _STEP, _step_rows(steps.by_category()))
    console.print(explained)
    console.print(
        f"Estimated from the choices of a random policy alone, beside the truth: pointsman evaluate {folder / RECORDING.name} "
        f"--policy {folder / CONFIG.name} --metric quality --metric cost_usd",
        soft_wrap=True,
    )

    story = sentences[BUDGETS.index(SHOWN)]
    others = " ".join(sentence for sentence in sentences if sentence != story)
    parts = [f"<h1>What that saves</h1><p class=story>{html.escape(story)}</p><p>{html.escape(said)}</p>"]
    shares = f"Where the requests went at {_usd(SHOWN)}: the mean of the last {AVERAGED}"
    parts.append(routing_plots(_served(recording, runs, gains), _corners(recording), _shares(recording, shown.chosen), shares))
    parts.append(f"<h2>{title}</h2>{table(_head(recording), _rows(recording, runs, gains))}<p>{html.escape(others)}</p>")
    parts.append(f"<h2>{html.escape(_learned_title(steps))}</h2>{table(_STEP, _step_rows(steps.by_category()))}")
    parts.append(f"<p>{html.escape(explained)}</p>")
    return "".join(parts)


def _usd(cost: float) -> str:
    return f"{1000.0 * cost:.2f} USD per 1,000 requests"


def _intro(recording: Recording) -> str:
    return (
        f"{len(recording.requests)} prompts that {', '.join(recording.tracks[:-1])} and {recording.tracks[-1]} all answered (ParetoBandit), played live at "
        f"{len(BUDGETS)} budgets. Pointsman starts with a price list, sees the answer of the model it chose and no other, and no text, only sketches. "
        "The best fixed mix needs every model's means beforehand. Latency was not recorded: it is one constant here and plays no part."
    )


def _saved(run: Run, found: Gain) -> str:
    """What a run saved, or that it did not, in a sentence for people."""
    interval = f"{found.above:+.4f} [{found.lower:+.4f}, {found.upper:+.4f}]"
    begin = f"At most {_usd(run.budget)}: quality {found.quality:.4f} for {1000.0 * found.cost_usd:.2f}"
    price = f"0.001 USD was worth {0.001 * run.shadow_price:.3f} of quality"
    if found.lower <= 0.0 or found.mix_cost_usd is None:
        verdict = "which these prompts cannot tell from it" if found.upper >= 0.0 else "which is what learning cost: so much money leaves little to choose"
        return f"{begin}, {interval} against the best fixed mix at that cost, {verdict}; {price}."
    less = 1.0 - found.cost_usd / found.mix_cost_usd
    return f"{begin}, {interval} above the best fixed mix at that cost, which pays {1000.0 * found.mix_cost_usd:.2f} for as much: {less:.0%} saved; {price}."


def _head(recording: Recording) -> Row:
    return ("policy", "quality", "USD per 1,000", f"{' / '.join(recording.tracks)} %", "best fixed mix at that cost", "above it")


def _rows(recording: Recording, runs: list[Run], gains: list[Gain]) -> list[Row]:
    costs, qualities = recording.outcomes["cost_usd"], recording.outcomes["quality"]
    tracks = len(recording.tracks)
    mix = StaticMix(costs, qualities)

    def row(name: str, quality: float, cost: float, shares: list[float]) -> Row:
        best = mix.quality_at(cost)
        above = "" if abs(quality - best) < 1e-9 else f"{quality - best:+.4f}"
        return (name, f"{quality:.4f}", f"{1000.0 * cost:.3f}", " / ".join(f"{100.0 * share:.0f}" for share in shares), f"{best:.4f}", above)

    rows = []
    for place, track in enumerate(recording.tracks):
        rows.append(row(track, float(qualities[:, place].mean()), float(costs[:, place].mean()), np.eye(tracks)[place].tolist()))
    rows.append(row("random", float(qualities.mean()), float(costs.mean()), [1.0 / tracks] * tracks))
    for run, found in zip(runs, gains, strict=True):
        shares = (np.bincount(run.chosen, minlength=tracks) / len(run.chosen)).tolist()
        rows.append(row(f"Pointsman, at most {1000.0 * run.budget:.2f}", found.quality, found.cost_usd, shares))
    return rows


_STEP: Row = (
    "what the sketch says",
    "prompts",
    "quality it adds, expected (true)",
    "USD per 1,000, expected (true)",
    "quality per 0.001 USD, expected (true)",
    "taken %",
)


def _learned_title(steps: Steps) -> str:
    return f"What was known in the middle, at {_usd(SHOWN)}, of {steps.tracks[1]} instead of {steps.tracks[0]} for the prompts that came after"


def _step_rows(found: list[Step]) -> list[Row]:
    return [
        (
            step.name,
            str(step.requests),
            f"{step.quality:+.3f} ({step.true_quality:+.3f})",
            f"{1000.0 * step.cost_usd:.2f} ({1000.0 * step.true_cost_usd:.2f})",
            f"{0.001 * step.rate:.2f} ({0.001 * step.true_rate:.2f})",
            f"{100.0 * step.taken:.0f}",
        )
        for step in found
    ]


def _explained(steps: Steps, run: Run) -> str:
    """Why it chose as it did, and whether it was right."""
    least, _, most = steps.by_rate()
    return (
        f"The budget made 0.001 USD worth {0.001 * run.shadow_price:.2f} of quality: "
        f"as a rule a prompt expected to gain more than that by {steps.tracks[1]} goes there. "
        f"The third expected to gain least truly gained {0.001 * least.true_rate:.2f} per 0.001 USD, "
        f"the third expected to gain most {0.001 * most.true_rate:.2f}."
    )


def _print(console: Console, title: str, head: Row, rows: list[Row]) -> None:
    drawn = Table(title=title)
    for place, column in enumerate(head):
        drawn.add_column(column, justify="right" if place else "left", no_wrap=not place)
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def _corners(recording: Recording) -> list[tuple[float, float]]:
    mix = StaticMix(recording.outcomes["cost_usd"], recording.outcomes["quality"])
    return [(1000.0 * cost, quality) for cost, quality in mix.corners]


def _served(recording: Recording, runs: list[Run], gains: list[Gain]) -> list[Served]:
    costs, qualities = 1000.0 * recording.outcomes["cost_usd"], recording.outcomes["quality"]
    means = zip(recording.tracks, costs.mean(0).tolist(), qualities.mean(0).tolist(), strict=True)
    found = [Served(track, "fixed", cost, quality) for track, cost, quality in means]
    found.append(Served("random", "random", float(costs.mean()), float(qualities.mean())))
    for run, one in zip(runs, gains, strict=True):
        found.append(Served(f"{1000.0 * run.budget:.2f}", "ours", 1000.0 * one.cost_usd, one.quality, one.above > 0.0))
    return found


def _shares(recording: Recording, chosen: Places) -> list[Share]:
    """The moving share of every track."""
    begin = recording.requests[0].start.occurred_at
    minutes = [(request.start.occurred_at - begin) / 60.0 for request in recording.requests]
    found = []
    for place, track in enumerate(recording.tracks):
        total = np.concatenate([[0.0], np.cumsum(chosen == place)])
        ends = np.arange(1, len(chosen) + 1)
        begins = np.maximum(ends - AVERAGED, 0)
        moving = ((total[ends] - total[begins]) / (ends - begins)).tolist()
        found.append(Share(track, list(zip(minutes, moving, strict=True))[AVERAGED // 2 :: 3]))
    return found


__all__ = ["BUDGETS", "CONFIG", "RECORDING", "run_routing"]
