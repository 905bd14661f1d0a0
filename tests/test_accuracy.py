"""Predicted against actual: what is counted, the figures, and what the report shows of them."""

import re
from pathlib import Path

from events import START, completed, started

from pointsman.schemas import AnyInput, Interval, PredictionIssued, QualityAssessed
from pointsman.sinks.accuracy import Judged, accuracy, judged
from pointsman.sinks.prediction_report import MOST_DISCS, MOST_STEPS, accuracy_table, latency_plot
from pointsman.sinks.report import write_report


def predicted(request: str, at: float, median: float, revision: int = 0) -> PredictionIssued:
    """A prediction of the latency of a request on `local`, within a tenth."""
    return PredictionIssued(
        event_id=f"chat/{request}/{revision}",
        scope="chat",
        occurred_at=START + at,
        caused_by=request,
        request_id=request,
        track="local",
        revision=revision,
        latency_ms=Interval(median=median, lower=0.9 * median, upper=1.1 * median),
    )


def rows(held: list[bool]) -> list[Judged]:
    """Outcomes of 1 s, a second apart, whose intervals held or not."""
    interval = {True: Interval(median=1000.0, lower=900.0, upper=1100.0), False: Interval(median=500.0, lower=400.0, upper=600.0)}
    return [Judged(START + place, 1000.0 + place % 2, interval[one], (990.0,)) for place, one in enumerate(held)]


def test_only_what_was_known_at_the_start_is_compared() -> None:
    events: list[AnyInput] = []
    for number, latency in enumerate((100.0, 200.0, 400.0)):
        events += [started(f"r{number}", 10.0 * number), completed(f"r{number}", 10.0 * number + 1.0, latency_ms=latency)]
    outputs = [predicted("r0", 0.0, 100.0), predicted("r1", 10.0, 210.0), predicted("r2", 20.0, 500.0), predicted("r2", 20.5, 400.0, revision=1)]
    found = judged(events, outputs)
    assert list(found) == [("local", "latency_ms")]
    assert [(row.actual, row.predicted.median, row.known) for row in found["local", "latency_ms"]] == [
        (200.0, 210.0, (100.0,)),
        (400.0, 500.0, (100.0, 200.0)),
    ]


def test_failures_and_requests_without_a_start_are_left_out() -> None:
    events: list[AnyInput] = [completed("r0", 0.0), completed("r1", 1.0), started("r2", 2.0), completed("r2", 3.0, success=False)]
    assert judged(events, [predicted(f"r{number}", 0.0, 800.0) for number in range(3)]) == {}


def test_a_judgement_that_comes_later_is_an_outcome_of_quality() -> None:
    def assessed(request: str, at: float, score: float) -> QualityAssessed:
        return QualityAssessed(event_id=request, scope="chat", occurred_at=START + at, request_id=request, track="local", score=score)

    prediction = predicted("r1", 10.0, 800.0).model_copy(update={"quality_score": Interval(median=0.8, lower=0.6, upper=0.9)})
    (found,) = judged([assessed("r0", 0.0, 0.5), started("r1", 10.0), assessed("r1", 60.0, 0.7)], [prediction])["local", "quality_score"]
    assert (found.actual, found.known) == (0.7, (0.5,))


def test_the_worst_500_in_a_row_are_found() -> None:
    assert accuracy(rows([True] * 499)).worst is None
    found = accuracy(rows([True] * 400 + [False] * 100 + [True] * 600))
    assert (found.worst, round(found.coverage, 4)) == (0.8, round(1000 / 1100, 4))


def test_a_plot_is_bounded_however_long_the_run_and_broken_where_nothing_was_predicted() -> None:
    many = rows([True] * 20_000)
    gap = [row for row in many if not START + 5000.0 < row.started_at < START + 9000.0]
    drawn = latency_plot("local", gap, START, 20_000.0 / 60.0, "#2f6fde")
    assert drawn.count("<circle") <= MOST_DISCS and drawn.count("<polygon") == drawn.count("<polyline") == 2
    assert sum(len(line.split()) for line in re.findall(r'<polyline points="([^"]*)"', drawn)) <= MOST_STEPS


def test_a_metric_that_never_varies_is_not_in_the_table() -> None:
    constant = [Judged(START, 0.0, Interval(median=0.0, lower=0.0, upper=0.0), (0.0,))] * 3
    shown = accuracy_table({("local", "latency_ms"): rows([True, False]), ("local", "cost_usd"): constant})
    assert "<td>latency_ms</td><td>2</td><td>25.0</td>" in shown and "cost_usd" not in shown


def test_a_report_without_a_prediction_is_a_page_all_the_same(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", [started("r0", 0.0), completed("r0", 60.0)], [])
    page = (tmp_path / "report.html").read_text()
    assert "No recommendation was made." in page and "worst 500 in a row" in page
