"""Endpoints fuzzed from the OpenAPI document of a server: no answer is a 5xx, and each is one that the document describes."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from serving import TOKEN

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [
    ("POST", "/v1/events"),
    ("POST", "/v1/traces"),
    ("POST", "/v1/logs"),
    ("POST", "/v1/recommendations"),
    ("GET", "/v1/status"),
    ("GET", "/v1/incidents"),
    ("GET", "/v1/incidents/{incident}"),
    ("GET", "/v1/series"),
    ("GET", "/v1/policy"),
    ("GET", "/v1/requests/{request_id}"),
    ("GET", "/v1/stream"),
    ("GET", "/metrics"),
    ("GET", "/health"),
    ("GET", "/ready"),
]
HEADERS = {"authorization": f"Bearer {TOKEN}"}
CASES = [(*operation, True) for operation in OPERATIONS] + [(*operation, False) for operation in OPERATIONS if operation[1].startswith("/v1/")]


def document_of(place: Any) -> Any:
    """The document of the server at this address."""
    return schemathesis.openapi.from_url(str(place.join("/openapi.json")), headers=HEADERS)


def fuzz(document: Any, method: str, path: str, *, is_valid: bool, examples: int) -> None:
    """Ask so many times, with input that fits the document or with input that does not; the same each time."""
    mode = schemathesis.GenerationMode.POSITIVE if is_valid else schemathesis.GenerationMode.NEGATIVE

    @given(case=document[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    def ask(case: Any) -> None:
        if path == "/v1/stream":
            case.query = {**(case.query or {}), "follow": "false"}
        case.call_and_validate(headers=HEADERS, checks=CHECKS, timeout=20)

    ask()


__all__ = ["CASES", "OPERATIONS", "document_of", "fuzz"]
