"""Every endpoint, fuzzed from the OpenAPI document of a real server."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from events import stream
from fuzzing import CASES, OPERATIONS, document_of, fuzz
from serving import serving

from pointsman.schemas import encode

EXAMPLES = int(os.environ.get("POINTSMAN_FUZZ_EXAMPLES", "25"))


@pytest.fixture(scope="module")
def document() -> Iterator[Any]:
    """The document of a server that has seen some traffic, fetched from it."""
    with serving(max_body_bytes=200_000, max_batch=100) as client:
        body = b"\n".join(encode(event) for event in stream(1, 30))
        client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"}).raise_for_status()
        yield document_of(client.base_url)


def test_the_document_has_these_operations_and_no_other(document: Any) -> None:
    found = {(result.ok().method.upper(), result.ok().path) for result in document.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path", "is_valid"), CASES)
def test_no_input_makes_the_server_fail(document: Any, method: str, path: str, is_valid: bool) -> None:
    fuzz(document, method, path, is_valid=is_valid, examples=EXAMPLES)
