"""The CloudEvents binding of a Kafka record."""

from events import started, stream
from hypothesis import given
from hypothesis import strategies as st

from pointsman.schemas import decode, encode
from pointsman.schemas.cloudevents import event_fields, headers


def test_headers_carry_the_attributes() -> None:
    named = dict(headers(started("r1", 0.0)))
    assert named["ce_type"] == b"request.started/1"
    assert named["ce_time"] == b"2023-11-14T22:13:20Z"


def test_what_the_body_leaves_out_comes_from_the_headers_and_the_key() -> None:
    event = decode(event_fields(b'{"request_id":"r1"}', headers(started("r1", 0.0)), b"chat"))
    assert (event.event_id, event.scope, event.occurred_at) == ("r1-local-started", "chat", 1_700_000_000.0)


def test_a_whole_event_is_left_as_it_is() -> None:
    for event in stream(1, 20):
        assert event_fields(encode(event), headers(event), b"other") == encode(event)
        assert decode(encode(event)) == event


@given(st.binary(max_size=200))
def test_bytes_that_are_no_object_come_back(value: bytes) -> None:
    assert isinstance(event_fields(value, [], None), bytes)
