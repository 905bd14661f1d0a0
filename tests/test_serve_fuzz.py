"""Every endpoint, fuzzed from the OpenAPI document of a real server: no answer is a 5xx, and each is one that the document describes."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from events import stream
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from serving import TOKEN, serving

from pointsman.schemas import encode

EXAMPLES = int(os.environ.get("POINTSMAN_FUZZ_EXAMPLES", "25"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [
    ("POST", "/v1/events"),
    ("POST", "/v1/traces"),
    ("POST", "/v1/logs"),
    ("POST", "/v1/recommendations"),
    ("GET", "/v1/status"),
    ("GET", "/v1/series"),
    ("GET", "/v1/policy"),
    ("GET", "/v1/requests/{request_id}"),
    ("GET", "/v1/stream"),
    ("GET", "/metrics"),
    ("GET", "/health"),
    ("GET", "/ready"),
]
HEADERS = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def document() -> Iterator[Any]:
    """The document of a server that has seen some traffic, fetched from it."""
    with serving(max_body_bytes=200_000, max_batch=100) as client:
        body = b"\n".join(encode(event) for event in stream(1, 30))
        client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"}).raise_for_status()
        yield schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")), headers=HEADERS)


def test_the_document_has_these_operations_and_no_other(document: Any) -> None:
    found = {(result.ok().method.upper(), result.ok().path) for result in document.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "is_valid"),
    [(*operation, True) for operation in OPERATIONS] + [(*operation, False) for operation in OPERATIONS if operation[1].startswith("/v1/")],
)
def test_no_input_makes_the_server_fail(document: Any, method: str, path: str, is_valid: bool) -> None:
    mode = schemathesis.GenerationMode.POSITIVE if is_valid else schemathesis.GenerationMode.NEGATIVE
    cases = document[path][method].as_strategy(generation_mode=mode)

    @given(case=cases)
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    def fuzz(case: Any) -> None:
        if path == "/v1/stream":
            case.query = {**(case.query or {}), "follow": "false"}
        case.call_and_validate(headers=HEADERS, checks=CHECKS, timeout=20)

    fuzz()
