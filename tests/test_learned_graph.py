"""The call graph that is learned of stages, hosts and traces, and stages that become slower."""

from typing import Any

import pytest
from events import START, sampled
from hypothesis import given
from hypothesis import strategies as st
from staged import asked, staged

from pointsman.models.learned_graph import FORGOTTEN_S, MOST_EDGES, LearnedGraph
from pointsman.models.stage_watch import MOST_STAGES, StageWatch
from pointsman.models.traces import MOST_SPANS, MOST_TRACES, Span, Traces, called, critical_path, trace_of, walked
from pointsman.schemas import AnyInput, IncidentOpened, OptimizationConfig, RequestCompleted, Signals, Track
from pointsman.streams.core import Core

CONFIG = OptimizationConfig(
    tracks=(Track(name="local"), Track(name="agent"), Track(name="search"), Track(name="model")), learners="light", signals=Signals(calls=(("web", "agent"),))
)


def core_of(events: list[AnyInput]) -> Core:
    """A core that has heard these."""
    core = Core(CONFIG)
    for event in events:
        core.step(event)
    return core


def test_edges_are_learned_from_stages_hosts_and_traces() -> None:
    core = core_of([*asked(4), *staged(requests=5), sampled(60.0, cpu_percent=5.0)])
    edges = core.scope("chat").signals.paths.edges()
    assert edges[0] == ("web", "agent")
    assert {("agent", "search"), ("agent", "model"), ("local", "local/queue"), ("local", "laptop"), ("local/queue", "laptop")} <= set(edges)
    assert ("search", "model") not in edges and ("model", "agent") not in edges


def test_siblings_that_one_happens_to_outlast_are_no_calls() -> None:
    graph = LearnedGraph()
    for number in range(20):
        end = 1.0 if number % 3 else 3.0
        graph.traced(Span("b", 0.5, end), [Span("a", 0.0, 2.0)], at=float(number))
    assert not graph.edges()


def test_copies_of_one_request_do_not_call_each_other() -> None:
    graph = LearnedGraph()
    for number in range(5):
        graph.traced(Span("local", 0.0, 2.0, f"r{number}"), [Span("api", 0.1, 1.0, f"r{number}")], at=0.0)
    assert not graph.edges()


def test_a_call_that_is_reported_after_its_caller_is_seen_too() -> None:
    graph = LearnedGraph()
    for _ in range(3):
        graph.traced(Span("model", 0.5, 1.0), [Span("agent", 0.0, 2.0), Span("root", -1.0, 3.0)], at=0.0)
    assert graph.edges() == [("agent", "model")]


def test_edges_are_bounded_and_old_ones_forgotten() -> None:
    graph = LearnedGraph()
    for number in range(MOST_EDGES + 9):
        graph.staged(f"t{number}", ["s"], at=float(number))
    assert (len(graph.seen), graph.evicted) == (MOST_EDGES, 9)
    graph.advance(FORGOTTEN_S + 100.0)
    assert len(graph.seen) == MOST_EDGES + 9 - 101


def test_traces_are_bounded() -> None:
    traces = Traces()
    for number in range(MOST_TRACES + 5):
        traces.add(f"t{number}", Span("a", 0.0, 1.0))
    for _ in range(MOST_SPANS + 3):
        traces.add("long", Span("a", 0.0, 1.0))
    assert (len(traces.spans), len(traces.spans["long"]), traces.evicted) == (MOST_TRACES, MOST_SPANS, 5 + 1 + 3)


@pytest.mark.parametrize(("given", "trace"), [(None, None), ("", None), ("free text", "free text"), ("00-abc-def-01", "abc"), ("---", "---")])
def test_trace_ids(given: str | None, trace: str | None) -> None:
    assert trace_of(given) == trace


def test_the_end_waits_for_the_last_call_of_each_moment() -> None:
    spans = [Span("agent", 0.0, 10.0), Span("slow", 1.0, 6.0), Span("quick", 0.9, 2.0), Span("model", 6.5, 9.0)]
    legs = critical_path(spans, 10.0)
    assert [(leg.node, round(leg.ms)) for leg in legs] == [("agent", 1000), ("slow", 5000), ("agent", 500), ("model", 2500), ("agent", 1000)]
    assert walked(spans[0], spans[1:]).elsewhere == {"slow": 5000.0, "model": 2500.0}


def test_requests_that_follow_each_other_are_one_path() -> None:
    assert [leg.node for leg in critical_path([Span("plan", 0.0, 1.0), Span("model", 1.2, 3.0)], 3.0)] == ["plan", "model"]


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=12))
def test_a_critical_path_is_no_longer_than_the_trace(intervals: list[tuple[float, float]]) -> None:
    spans = [Span(f"n{place}", start, start + length, str(place)) for place, (start, length) in enumerate(intervals)]
    end = max(span.end for span in spans)
    legs = critical_path(spans, end)
    assert sum(leg.ms for leg in legs) <= 1000.0 * (end - min(span.start for span in spans)) + 10.0 * len(spans)
    assert all(not one.holds(other) for one in called(spans[0], spans) for other in called(spans[0], spans))


def test_a_stage_that_becomes_slower_deviates_since_then() -> None:
    core = core_of(staged(requests=200))
    paths = core.scope("chat").signals.paths
    assert not paths.deviations()
    watch = paths.stages
    for number in range(20):
        watch.update("local", {"search": 400.0, "tool": 150.0}, at=5000.0 + number)
    first = paths.deviations()[0]
    assert (first.metric, first.track, first.since) == ("stages.search", "local", 5000.0)
    assert first.effect > 5.0 and first.score > 0.99 and 60.0 < first.expected < 110.0


def test_a_stage_that_becomes_slower_is_suspected_before_its_track() -> None:
    usual = staged(1, 600, load=0.2)
    later = usual[-1].occurred_at - START + 1.0
    tail: list[AnyInput] = []
    for event in staged(2, 100, load=0.2):
        extra = 1500.0 if isinstance(event, RequestCompleted) else 0.0
        moved: dict[str, Any] = {"occurred_at": event.occurred_at + later + extra / 1000.0}
        if isinstance(event, RequestCompleted) and event.stages and event.latency_ms:
            moved |= {"stages": {**event.stages, "tool": event.stages["tool"] + extra}, "latency_ms": event.latency_ms + extra}
        tail.append(event.model_copy(update=moved))
    core = core_of(usual)
    told = [output for event in sorted(tail, key=lambda event: event.occurred_at) for output in core.step(event)]
    opened = next(output for output in told if isinstance(output, IncidentOpened))
    assert [(one.kind, one.name) for one in opened.suspects[:2]] == [("stage", "local/tool"), ("track", "local")]


def test_stages_watched_are_bounded() -> None:
    watch = StageWatch()
    for number in range(MOST_STAGES + 7):
        watch.update(f"t{number}", {"s": 1.0}, at=0.0)
    assert (len(watch.stages), watch.evicted) == (MOST_STAGES, 7)
