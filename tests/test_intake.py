"""Whatever bytes come in: an event of the journal, or a dead letter that says why, where and what."""

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pointsman.models.redact import redact
from pointsman.models.sketch import sketch
from pointsman.schemas import EventRejected, Origin, QualityAssessed, RequestCompleted, RequestStarted, encode
from pointsman.streams.intake import accept

NOW = 1_700_000_000.0
STARTED: dict[str, Any] = {"type": "request.started/1", "event_id": "e1", "scope": "chat", "occurred_at": NOW, "request_id": "r1", "track": "local"}
COMPLETED = STARTED | {"type": "request.completed/1", "success": True, "latency_ms": 800.0}


def body(fields: dict[str, Any]) -> bytes:
    """The fields as a producer sends them, NaN and infinity included."""
    return json.dumps(fields).encode()


BAD = {
    "malformed_json": [b"{", b"", b"\xff\xfe", b"null {}", b"[" * 100_000, b'{"scope": "\xff"}'],
    "missing_field": [body({k: v for k, v in STARTED.items() if k != name}) for name in ("event_id", "scope", "occurred_at", "request_id", "type")] + [b"{}"],
    "not_an_object": [b"null", b"3", b"[]"],
    "unknown_type": [body(STARTED | {"type": "request.started/9"})],
    "invalid_field": [
        body(STARTED | change)
        for change in (
            {"scope": "x" * 10_000},
            {"input_tokens": "many"},
            {"input_tokens": -1},
            {"occurred_at": float("nan")},
            {"occurred_at": float("inf")},
            {"occurred_at": 1.0},
            {"occurred_at": 1e12},
            {"occurred_at": True},
            {"occurred_at": "yesterday"},
            {"propensity": 0.0},
            {"attributes": {f"a{number}": 1 for number in range(17)}},
            {"attributes": {"a": "x" * 300}},
            {"attributes": {"a": {"b": 1}}},
        )
    ]
    + [body(COMPLETED | change) for change in ({"latency_ms": -1.0}, {"latency_ms": float("nan")}, {"latency_ms": None}, {"success": "perhaps"})],
    "too_large": [body(STARTED | {"category": "x" * 10_000_000})],
    "in_the_future": [body(STARTED | {"occurred_at": NOW + 301.0})],
}


@pytest.mark.parametrize(("code", "value"), [pytest.param(code, value, id=f"{code}-{n}") for code, values in BAD.items() for n, value in enumerate(values)])
def test_bad_input_becomes_a_dead_letter_that_says_why(code: str, value: bytes) -> None:
    letter = accept(value, place="t/0/7", now=NOW)
    assert isinstance(letter, EventRejected)
    assert (letter.reason.code, letter.place, letter.payload_bytes) == (code, "t/0/7", len(value))
    assert base64.b64decode(letter.payload) == value[:65_536]
    assert letter.reason.message


def _nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=9), children, max_size=3)


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), _nested)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@example(b'{"query": "\\ud800"}')
@example(b'{"prompt": 1e999}')
def test_any_bytes_are_answered(value: bytes) -> None:
    assert isinstance(accept(value, place="t/0/0", headers=[("ce_type", b"\xff")], key=b"\xff", now=NOW), EventRejected)


@given(st.fixed_dictionaries({name: st.just(value) | JSON for name, value in COMPLETED.items()}))
def test_any_fields_are_answered_and_what_is_accepted_can_be_read_again(fields: dict[str, Any]) -> None:
    event = accept(json.dumps(fields).encode(), place="t/0/0")
    assert isinstance(event, EventRejected) or accept(encode(event), place="t/0/0") == event


def test_a_prompt_is_sketched_and_dropped() -> None:
    event = accept(body(STARTED | {"query": "Summarise this mail", "prompt": "Summarise this mail"}), place="t/0/0")
    assert isinstance(event, RequestStarted)
    assert (event.sketch, event.input_tokens) == (sketch("Summarise this mail"), 5)
    assert b"mail" not in encode(event)


def test_a_dead_letter_keeps_no_prompt() -> None:
    letter = accept(body(STARTED | {"query": "Summarise this mail", "request_id": ""}), place="t/0/0")
    assert isinstance(letter, EventRejected)
    assert b"mail" not in base64.b64decode(letter.payload)


def test_free_text_is_redacted() -> None:
    failed = accept(body(COMPLETED | {"error_type": "401 for ana@example.org"}), place="p")
    asked = accept(body(STARTED | {"attributes": {"who": "ana@example.org", "n": 1}, "category": "ana@example.org"}), place="p")
    judged = accept(body(STARTED | {"type": "quality.assessed/1", "score": 1.0, "assessor": "ana@example.org"}), place="p")
    assert isinstance(failed, RequestCompleted) and failed.error_type == "401 for [email]"
    assert isinstance(asked, RequestStarted) and (asked.attributes, asked.category) == ({"who": "[email]", "n": 1}, "[email]")
    assert isinstance(judged, QualityAssessed) and judged.assessor == "[email]"


def test_headers_and_key_fill_what_the_body_leaves_out() -> None:
    fields = {name: value for name, value in STARTED.items() if name in ("request_id", "track")}
    headers = [("ce_id", b"e1"), ("ce_type", b"request.started/1"), ("ce_source", b"gateway"), ("ce_time", b"2023-11-14T22:13:20Z")]
    event = accept(body(fields), place="t/0/0", headers=headers, key=b"chat", keyed=True)
    assert isinstance(event, RequestStarted)
    assert (event.event_id, event.scope, event.source, event.occurred_at) == ("e1", "chat", "gateway", NOW)


@pytest.mark.parametrize("key", [None, b"mail"])
def test_a_record_whose_key_is_not_its_scope_is_refused(key: bytes | None) -> None:
    letter = accept(body(STARTED), place="t/0/0", key=key, keyed=True)
    assert isinstance(letter, EventRejected) and letter.reason.code == "wrong_key"


def test_the_origin_is_stamped_over_what_was_sent() -> None:
    origin = Origin(topic="t", partition=0, offset=7)
    event = accept(body(STARTED | {"origin": {"topic": "t", "partition": 0, "offset": 999}}), place="t/0/7", origin=origin)
    assert isinstance(event, RequestStarted) and event.origin == origin


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk-proj-abcdefghijklmnopqrst failed", "key [key] failed"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("password=hunter2; retry", "[secret]; retry"),
        ("https://ana:geheim@host/x", "https://[login]@host/x"),
        ("card 4111 1111 1111 1111", "card [card]"),
        ("batch 4111 1111 1111 1112", "batch 4111 1111 1111 1112"),
        ("call +41 44 668 18 00", "call [phone]"),
        ("from 192.168.0.17 at 10:00", "from [address] at 10:00"),
        ("DE89 3704 0044 0532 0130 00", "[iban]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "[jwt]"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-20250514"),
        ("RateLimitError: 429 after 1700000000 s", "RateLimitError: 429 after 1700000000 s"),
    ],
)
def test_redaction_hides_secrets_and_leaves_names(text: str, shown: str) -> None:
    assert redact(text) == shown
