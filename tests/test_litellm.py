"""LiteLLM's calls as events, and the policy in its Router: the real package, its mock answers."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from gateway import CONFIG, MESSAGES, SECRET, PointsmanCallback, calling, deployment, experienced, journaled, litellm, router, run, until
from serving import TOKEN, serving

from pointsman.schemas import OptimizationConfig, RequestCompleted, RequestStarted, Track, encode
from pointsman.schemas.settings import LiteLLMSettings, SettingsError, load
from pointsman.streams import Optimizer
from pointsman.streams.litellm_calls import asked_text, named, read
from pointsman.streams.litellm_failures import failure

GOOD, POOR = deployment("good"), deployment("poor")


def starts(events: list[Any]) -> list[RequestStarted]:
    return [event for event in events if isinstance(event, RequestStarted)]


def ends(events: list[Any]) -> list[RequestCompleted]:
    return [event for event in events if isinstance(event, RequestCompleted)]


async def complete(target: Any, count: int, **options: Any) -> list[str]:
    """The deployments that answered."""
    answers = [await target.acompletion("chat", MESSAGES, litellm_call_id=f"r{number}", **options) for number in range(count)]
    return [answer._hidden_params["model_id"] for answer in answers]


def test_a_routers_call_is_a_start_and_a_completion(tmp_path: Path) -> None:
    with calling(tmp_path / "p.db") as callback:
        metadata = {"tags": ["category:mail"], "session_id": "s1", "pointsman": {"scope": "chat", "attributes": {"tier": "gold"}}}
        run(router(GOOD).acompletion("chat", MESSAGES, metadata=metadata, max_tokens=64))
    start, end = journaled(tmp_path / "p.db")
    assert isinstance(start, RequestStarted) and isinstance(end, RequestCompleted)
    assert (start.scope, start.track, start.category, start.conversation_id, start.max_output_tokens) == ("chat", "good", "mail", "s1", 64)
    assert start.attributes == {"model_group": "chat", "tier": "gold"} and start.sketch is not None
    assert (end.request_id, end.track, end.success, end.input_tokens, end.output_tokens) == (start.request_id, "good", True, 10, 20)
    assert end.cost_usd and end.latency_ms and end.ttft_ms is None
    assert (callback.sent, callback.dropped, callback.rejected, callback.errors) == (2, 0, 0, 0)


def test_the_prompt_the_answer_and_error_messages_stay_where_they_are(tmp_path: Path) -> None:
    with calling(tmp_path / "p.db"):
        run(router(GOOD).acompletion("chat", MESSAGES, mock_response=f"I know that {SECRET}"))
        with pytest.raises(litellm.RateLimitError):
            run(router(GOOD).acompletion("chat", MESSAGES, mock_response=litellm.RateLimitError(SECRET, "openai", "m")))
    assert len(journaled(tmp_path / "p.db")) == 4
    for file in tmp_path.iterdir():
        assert SECRET.encode() not in file.read_bytes() and b"launch" not in file.read_bytes()


def test_a_stream_has_its_time_to_the_first_token(tmp_path: Path) -> None:
    async def listen() -> None:
        async for _ in await router(GOOD).acompletion("chat", MESSAGES, stream=True):
            pass

    with calling(tmp_path / "p.db"):
        run(listen())
    (end,) = ends(journaled(tmp_path / "p.db"))
    assert end.ttft_ms is not None and end.latency_ms is not None and 0.0 < end.ttft_ms <= end.latency_ms


def test_retries_and_fallbacks_are_attempts_of_one_request(tmp_path: Path) -> None:
    target = router(deployment("bad", answer="litellm.InternalServerError"), deployment("spare", "backup"), fallbacks=[{"chat": ["backup"]}], num_retries=1)
    with calling(tmp_path / "p.db"):
        run(target.acompletion("chat", MESSAGES, litellm_call_id="r"))
    events = journaled(tmp_path / "p.db")
    assert [(event.request_id, event.track) for event in starts(events)] == [("r", "bad"), ("r~2", "bad"), ("r", "spare")]
    assert [(event.request_id, event.track, event.failure_class) for event in ends(events)] == [
        ("r", "bad", "provider"),
        ("r~2", "bad", "provider"),
        ("r", "spare", None),
    ]


def test_calls_without_a_router_go_by_their_model(tmp_path: Path) -> None:
    with calling(tmp_path / "p.db"):
        run(litellm.acompletion("gpt-4o-mini", MESSAGES, mock_response="x"))
        litellm.completion("openai/gpt-4o-mini", MESSAGES, mock_response="x")
        list(litellm.completion("openai/gpt-4o-mini", MESSAGES, mock_response="x y z", stream=True))
        router(GOOD).completion("chat", MESSAGES)
        until(lambda: len(litellm.callbacks) == 1 and litellm.callbacks[0].sent == 8)
    events = journaled(tmp_path / "p.db")
    assert [event.track for event in starts(events)] == ["openai/gpt-4o-mini"] * 3 + ["good"]
    assert [event.success for event in ends(events)] == [True] * 4 and sum(event.ttft_ms is not None for event in ends(events)) == 1


@pytest.mark.parametrize(
    ("mock", "expected"),
    [("litellm.RateLimitError", "provider"), ("litellm.InternalServerError", "provider"), ("litellm.ContextWindowExceededError", "client")],
)
def test_a_failure_has_its_class(tmp_path: Path, mock: str, expected: str) -> None:
    with calling(tmp_path / "p.db"):
        with pytest.raises(Exception, match="mock"):
            run(litellm.acompletion("gpt-4o-mini", MESSAGES, mock_response=mock))
        with pytest.raises(Exception, match="mock"):
            litellm.completion("gpt-4o-mini", MESSAGES, mock_response=mock)
    assert [(end.success, end.failure_class) for end in ends(journaled(tmp_path / "p.db"))] == [(False, expected)] * 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (litellm.Timeout("m", "m", "openai"), "timeout"),
        (litellm.AuthenticationError("m", "openai", "m"), "provider"),
        (litellm.NotFoundError("m", "m", "openai"), "provider"),
        (litellm.BadRequestError("m", "m", "openai"), "client"),
        (litellm.ContentPolicyViolationError("m", "m", "openai"), "client"),
        (litellm.APIConnectionError("m", "openai", "m"), "provider"),
        (litellm.ServiceUnavailableError("m", "openai", "m"), "provider"),
        (litellm.BudgetExceededError(2.0, 1.0), "client"),
        (litellm.RateLimitError("m", "openai", "m", category="litellm_rate_limit"), "client"),
        (asyncio.CancelledError(), "cancelled"),
        (ZeroDivisionError(), "unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_exceptions_are_classed_by_name_and_status(error: BaseException, expected: str) -> None:
    found, kind = failure(error)
    assert found == expected and kind.startswith(type(error).__name__)


def test_a_cancelled_call_and_a_timeout_say_so(tmp_path: Path) -> None:
    async def leave() -> None:
        calling_out = asyncio.create_task(litellm.acompletion("gpt-4o-mini", MESSAGES, mock_response="x", mock_delay=30))
        while not litellm.callbacks[0]._attempts.in_flight("litellm"):
            await asyncio.sleep(0)
        calling_out.cancel()
        await asyncio.gather(calling_out, return_exceptions=True)

    with calling(tmp_path / "p.db"):
        run(leave())
        with pytest.raises(litellm.Timeout):
            run(litellm.acompletion("gpt-4o-mini", MESSAGES, mock_timeout=True, timeout=0.01))
    assert [end.failure_class for end in ends(journaled(tmp_path / "p.db"))] == ["cancelled", "timeout"]


@pytest.mark.parametrize("is_routed", [False, True])
def test_a_stream_that_is_left_half_read_is_cancelled(tmp_path: Path, is_routed: bool) -> None:
    group, options = ("chat", {}) if is_routed else ("gpt-4o-mini", {"mock_response": "An answer of some length."})
    target = router(GOOD) if is_routed else litellm

    async def leave(is_closed: bool) -> None:
        stream = await target.acompletion(group, MESSAGES, stream=True, **options)
        await anext(stream)
        if is_closed:
            await stream.aclose()

    def forgotten() -> bool:
        gc.collect()
        return not callback.in_flight

    with calling(tmp_path / "p.db") as callback:
        for is_closed in (False, True):
            asyncio.run(leave(is_closed))
        next(iter(target.completion(group, MESSAGES, stream=True, **options)))
        until(forgotten)
    assert [(end.success, end.failure_class, end.error_type) for end in ends(journaled(tmp_path / "p.db"))] == [(False, "cancelled", "Abandoned")] * 3


def test_a_stream_whose_client_has_gone_is_cancelled(tmp_path: Path) -> None:
    async def listen() -> None:
        async for _ in await router(GOOD).acompletion("chat", MESSAGES, stream=True, metadata={"client_disconnected": True}):
            pass  # the proxy marks a stream like this, for which LiteLLM then tells of status 499

    with calling(tmp_path / "p.db"):
        run(listen())
    (end,) = ends(journaled(tmp_path / "p.db"))
    assert (end.success, end.failure_class, end.error_type) == (False, "cancelled", "ClientDisconnected")


def test_apply_reaches_synchronous_calls_of_a_router_that_it_routes(tmp_path: Path) -> None:
    experienced(tmp_path / "p.db")
    before = len(journaled(tmp_path / "p.db"))
    with calling(tmp_path / "p.db", mode="apply") as callback:
        callback.start()
        until(callback.policy_version)
        target = router(GOOD, POOR)
        callback.route(target)
        answered = [target.completion("chat", MESSAGES)._hidden_params["model_id"] for _ in range(20)]
        answered += run(complete(target, 20))
        until(lambda: not callback.in_flight)
    assert Counter(answered)["good"] >= 37 and callback.errors == 0
    events = starts(journaled(tmp_path / "p.db")[before:])
    assert [(event.request_id, event.track) for event in events if not event.propensity] == [] and len(events) == 40


def test_a_cooling_deployment_is_passed_over_by_synchronous_calls(tmp_path: Path) -> None:
    experienced(tmp_path / "p.db")
    with calling(tmp_path / "p.db", mode="apply") as callback:
        callback.start()
        until(callback.policy_version)
        target = router(GOOD, POOR, disable_cooldowns=False)
        callback.route(target)
        target.cooldown_cache.add_deployment_to_cooldown("good", litellm.RateLimitError("m", "openai", "m"), 429, 60.0)
        assert target.completion("chat", MESSAGES)._hidden_params["model_id"] == "poor"


def test_apply_moves_traffic_to_the_recommended_deployment(tmp_path: Path) -> None:
    experienced(tmp_path / "p.db")
    before = len(journaled(tmp_path / "p.db"))
    with calling(tmp_path / "p.db", mode="apply") as callback:
        callback.start()
        until(callback.policy_version)
        answered = run(complete(router(GOOD, POOR), 40))
    assert Counter(answered)["good"] >= 37
    events = starts(journaled(tmp_path / "p.db")[before:])
    assert [event.track for event in events] == answered
    assert all(event.propensity and event.policy_version for event in events)


def test_observe_and_off_leave_the_choice_to_litellm(tmp_path: Path) -> None:
    experienced(tmp_path / "p.db")
    before = len(journaled(tmp_path / "p.db"))
    for mode, events in (("observe", 80), ("off", 0)):
        with calling(tmp_path / "p.db", mode=mode) as callback:
            answered = run(complete(router(GOOD, POOR), 40, metadata={"pointsman": {"scope": mode}}))
        assert Counter(answered)["poor"] >= 8
        assert callback.sent == events
    assert all(event.propensity is None for event in starts(journaled(tmp_path / "p.db")[before:]))


def test_a_recommended_timeout_is_applied_and_a_stricter_one_of_the_caller_stays(tmp_path: Path) -> None:
    experienced(tmp_path / "p.db")
    seen: list[float] = []

    class Watching(litellm.integrations.custom_logger.CustomLogger):  # type: ignore[misc]
        async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> None:
            seen.append(kwargs["timeout"])

    with calling(tmp_path / "p.db", mode="apply") as callback:
        litellm.callbacks.append(Watching())
        callback.start()
        until(callback.policy_version)
        run(complete(router(GOOD, POOR), 1))
        run(complete(router(GOOD, POOR), 1, timeout=0.5))
    assert seen == [60.0, 0.5]  # LiteLLM alone would wait for 6000 s


def test_a_retry_takes_another_deployment_under_apply(tmp_path: Path) -> None:
    experienced(tmp_path / "p.db")
    with calling(tmp_path / "p.db", mode="apply") as callback:
        callback.start()
        until(callback.policy_version)
        answered = run(complete(router(deployment("good", answer="litellm.InternalServerError"), POOR, num_retries=2), 5))
    assert answered == ["poor"] * 5


def test_the_next_attempt_goes_to_the_next_best_deployment_with_its_timeout(tmp_path: Path) -> None:
    experienced(tmp_path / "p.db")
    seen: list[tuple[str, float]] = []

    class Watching(litellm.integrations.custom_logger.CustomLogger):  # type: ignore[misc]
        async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> None:
            seen.append((kwargs["model_info"]["id"], kwargs["timeout"]))

    failing = [deployment(name, answer="litellm.InternalServerError") for name in ("good", "poor")]
    with calling(tmp_path / "p.db", mode="apply") as callback:
        litellm.callbacks.append(Watching())
        callback.start()
        until(callback.policy_version)
        answered = run(complete(router(*failing, deployment("new"), num_retries=2), 10))
    assert answered == ["new"] * 10
    assert all(timeout <= 60.0 for name, timeout in seen if name != "new")  # LiteLLM alone would wait for 6000 s
    assert Counter(name for name, _ in seen)["new"] == 10 and len(seen) <= 30 and seen[0][0] == "good"


def test_a_cached_answer_says_so_and_costs_nothing(tmp_path: Path) -> None:
    litellm.enable_cache(type="local")
    try:
        with calling(tmp_path / "p.db"):
            run(complete(router(GOOD, cache_responses=True), 1))
            run(complete(router(GOOD, cache_responses=True), 1))
    finally:
        litellm.disable_cache()
    first, second = ends(journaled(tmp_path / "p.db"))
    assert (first.cache_hit, second.cache_hit, second.cost_usd, second.success) == (None, True, 0.0, True) and first.cost_usd


def test_processes_report_to_one_server() -> None:
    program = """
import sys, litellm
from pointsman.schemas.settings import load
from pointsman.streams.litellm import PointsmanCallback
place, token, model = sys.argv[1:]
callback = PointsmanCallback(place, settings=load(flags=[f"token={token}"]), close_s=20)
litellm.callbacks = [callback]
for _ in range(10):
    litellm.completion("openai/" + model, [{"role": "user", "content": "hi"}], mock_response="x")
while callback.in_flight:
    pass
"""
    config = OptimizationConfig(tracks=(Track(name="openai/gpt-4o"), Track(name="openai/gpt-4o-mini")))
    with serving(config=config) as client:
        commands = [[sys.executable, "-c", program, str(client.base_url), TOKEN, model] for model in ("gpt-4o", "gpt-4o-mini")]
        running = [subprocess.Popen(command, env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}) for command in commands]
        assert [process.wait(120) for process in running] == [0, 0]
        tracks = client.get("/v1/status?scope=litellm").json()["litellm"]["tracks"]
    assert {name: track["completed"] for name, track in tracks.items()} == {"openai/gpt-4o": 10, "openai/gpt-4o-mini": 10}


def test_a_call_of_a_proxy_is_of_its_team_or_key() -> None:
    settings = LiteLLMSettings(scope_from=("team", "key"))
    found = {"user_api_key_alias": "mine", "user_api_key_team_id": "t1"}
    assert read({"metadata": found}, None, None, LiteLLMSettings()).scope == "litellm"
    assert read({"metadata": found}, None, None, settings).scope == "t1"
    assert read({"metadata": found | {"user_api_key_team_alias": "mail"}}, None, None, settings).scope == "mail"
    assert read({"metadata": {"user_api_key_alias": "mine"}}, None, None, settings).scope == "mine"
    assert read({"metadata": found | {"tags": ["scope:own"]}}, None, None, settings).scope == "own"


def test_a_trace_goes_along(tmp_path: Path) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with calling(tmp_path / "p.db"):
        run(complete(router(GOOD), 1, metadata={"traceparent": trace}))
        run(complete(router(GOOD), 1, metadata={"traceparent": "nonsense"}))
    assert [start.traceparent for start in starts(journaled(tmp_path / "p.db"))] == [trace, None]
    assert read({"proxy_server_request": {"headers": {"traceparent": trace}}}, None, None, LiteLLMSettings()).traceparent == trace


def test_events_join_in_the_embedded_optimizer(tmp_path: Path) -> None:
    with calling(tmp_path / "p.db"):
        run(complete(router(GOOD, POOR), 20))
    with Optimizer.open(str(tmp_path / "p.db")) as optimizer:
        tracks = optimizer.status()["litellm"]["tracks"]
        outputs = [line for _, line in optimizer.outputs()]
    assert sum(track["completed"] for track in tracks.values()) == 20 and sum(track["in_flight"] for track in tracks.values()) == 0
    assert sum(b'"prediction.issued/1"' in line for line in outputs) == 20


def test_a_server_is_told_and_its_policy_followed() -> None:
    with serving(config=CONFIG) as client:
        url = str(client.base_url)
        with calling(url, TOKEN, mode="apply") as callback:
            run(complete(router(GOOD, POOR), 20))
            until(callback.policy_version)
            until(lambda: callback.sent == 40)
        tracks = client.get("/v1/status?scope=litellm").json()["litellm"]["tracks"]
        assert sum(track["completed"] for track in tracks.values()) == 20
        assert (callback.dropped, callback.rejected, callback.errors) == (0, 0, 0)
        with calling(url, TOKEN) as callback:
            run(complete(router(deployment("stranger")), 1))
        assert (callback.sent, callback.rejected) == (2, 2)


def test_a_connection_that_the_server_has_closed_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    with serving(config=CONFIG) as client, calling(str(client.base_url), TOKEN) as callback:
        run(complete(router(GOOD), 1))
        until(lambda: callback.sent == 2)
        callback._reports._place._posting.sock.shutdown(socket.SHUT_RDWR)
        run(complete(router(POOR), 1))
        until(lambda: callback.sent == 4)
    assert callback.dropped == 0 and not any("away" in message for message in caplog.messages)


def test_a_place_that_is_down_or_stalls_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as silent:
        closed.bind(("127.0.0.1", 0))
        for place in (closed, silent):
            caplog.clear()
            with calling(f"http://127.0.0.1:{place.getsockname()[1]}", mode="apply", max_waiting=20) as callback:
                assert len(run(complete(router(GOOD, POOR), 30))) == 30
                callback.close(0.0)
            assert callback.dropped + callback.sent == 60 and callback.dropped >= 40 and callback.errors == 0
            assert sum("dropped and counted" in message for message in caplog.messages) == 1


def test_an_error_of_our_own_is_counted_and_told_without_its_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with calling(tmp_path / "p.db") as callback:
        broken = {"role": "user", "content": "x"}
        callback._settings = None  # as good as any fault
        assert callback._chosen("chat", [GOOD, POOR], [broken], {}) == [GOOD, POOR]
        callback._settings = LiteLLMSettings()
    assert callback.errors == 1 and any("goes on without pointsman" in message for message in caplog.messages)


def test_a_place_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="give a database's path"):
        PointsmanCallback("ftp://somewhere", settings=load())


def test_a_track_is_what_the_user_calls_it() -> None:
    generated = "ab" * 32
    assert named("good", "chat", "openai/m", {}) == "good"
    assert named(generated, "chat", "gpt-4o-mini", {}) == "openai/gpt-4o-mini"
    assert named(generated, "chat", "openai/m", {"chat": "api"}) == "api"
    assert named("good", "chat", "openai/m", {"good": "local", "chat": "api"}) == "local"


def test_text_is_the_users_last_and_long_ones_keep_their_ends() -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]
    assert asked_text([{"role": "user", "content": "a"}, {"role": "assistant", "content": "bcd"}]) == ("a", 4)
    assert asked_text([{"role": "user", "content": parts}]) == ("look", 4)
    text, length = asked_text("x" * 100_000)
    assert text is not None and len(text) == 8192 and length == 100_000
    assert read({}, None, None, LiteLLMSettings()).text is None


def test_more_scopes_than_allowed_go_to_the_default_one(tmp_path: Path) -> None:
    with calling(tmp_path / "p.db", max_scopes=2):
        for name in ("a", "b", "c"):
            run(router(GOOD).acompletion("chat", MESSAGES, metadata={"tags": [f"scope:{name}"]}))
    assert [event.scope for event in starts(journaled(tmp_path / "p.db"))] == ["a", "litellm", "litellm"]


def test_what_waits_is_handed_over_when_the_process_ends(tmp_path: Path) -> None:
    program = f"""
import litellm
from pointsman.streams.litellm import PointsmanCallback
litellm.callbacks = [PointsmanCallback({str(tmp_path / "p.db")!r}, close_s=20)]
litellm.completion("gpt-4o-mini", [{{"role": "user", "content": "hi"}}], mock_response="x")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert encode(journaled(tmp_path / "p.db")[0]).startswith(b"{")
