"""What GenAI spans call things: a table per version of OpenTelemetry's semantic conventions, and for two families of names that are still written.

A version begins where a name changes. An attribute that stands in no table is never read, which is how content stays out: docs/otel.md lists both.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

Field = Literal["provider", "operation", "model", "response_model", "input_tokens", "output_tokens", "max_tokens", "conversation", "ttft_s", "cost_usd"]
Table = Mapping[Field, tuple[str, ...]]

OPENLLMETRY, OPENINFERENCE = "openllmetry", "openinference"
_1_25: Table = {
    "provider": ("gen_ai.system",),
    "operation": ("gen_ai.operation.name",),
    "model": ("gen_ai.request.model",),
    "response_model": ("gen_ai.response.model",),
    "input_tokens": ("gen_ai.usage.prompt_tokens",),
    "output_tokens": ("gen_ai.usage.completion_tokens",),
    "max_tokens": ("gen_ai.request.max_tokens",),
    "conversation": (),
    "ttft_s": ("gen_ai.latency.time_to_first_token",),
    "cost_usd": ("gen_ai.usage.cost", "gen_ai.usage.total_cost"),
}
_1_27: Table = {**_1_25, "input_tokens": ("gen_ai.usage.input_tokens",), "output_tokens": ("gen_ai.usage.output_tokens",)}
_1_34: Table = {**_1_27, "conversation": ("gen_ai.conversation.id",)}
_1_37: Table = {**_1_34, "provider": ("gen_ai.provider.name",)}
_1_41: Table = {**_1_37, "ttft_s": ("gen_ai.response.time_to_first_chunk",)}
_OPENLLMETRY: Table = {
    "provider": ("llm.vendor",),
    "operation": ("llm.request.type",),
    "model": ("llm.request.model",),
    "response_model": ("llm.response.model",),
    "input_tokens": ("llm.usage.prompt_tokens",),
    "output_tokens": ("llm.usage.completion_tokens",),
    "max_tokens": ("llm.request.max_tokens",),
    "conversation": (),
    "ttft_s": (),
    "cost_usd": (),
}
_OPENINFERENCE: Table = {
    "provider": ("llm.provider", "llm.system"),
    "operation": ("openinference.span.kind",),
    "model": ("llm.model_name", "embedding.model_name", "llm.request.model_name"),
    "response_model": ("llm.response.model_name",),
    "input_tokens": ("llm.token_count.prompt",),
    "output_tokens": ("llm.token_count.completion",),
    "max_tokens": (),
    "conversation": ("session.id",),
    "ttft_s": (),
    "cost_usd": ("llm.cost.total",),
}
_CONVENTIONS: dict[str, Table] = {"1.41": _1_41, "1.37": _1_37, "1.34": _1_34, "1.27": _1_27, "1.25": _1_25}
VERSIONS: dict[str, Table] = {**_CONVENTIONS, OPENLLMETRY: _OPENLLMETRY, OPENINFERENCE: _OPENINFERENCE}
NEWEST, DEFAULT = "1.41", "1.27"
_SINCE = tuple((tuple(int(part) for part in version.split(".")), version) for version in _CONVENTIONS)
_MARKS = (
    (OPENINFERENCE, ("openinference.span.kind", "llm.token_count.prompt", "llm.model_name")),
    ("1.41", ("gen_ai.response.time_to_first_chunk",)),
    ("1.37", ("gen_ai.provider.name", "gen_ai.input.messages")),
    ("1.34", ("gen_ai.conversation.id",)),
    ("1.27", ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")),
    ("1.25", ("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens")),
    (OPENLLMETRY, ("llm.request.type", "llm.request.model", "llm.vendor")),
)
_SCHEMA = re.compile(r"/schemas/(?P<family>[a-z-]+/)?v?(?P<major>\d{1,4})\.(?P<minor>\d{1,4})")

# Each version's own names first, then every other's, since instrumentations move one attribute at a time.
NAMES: dict[str, dict[Field, tuple[str, ...]]] = {
    version: {field: tuple(dict.fromkeys([*own[field], *(name for table in VERSIONS.values() for name in table[field])])) for field in get_args(Field)}
    for version, own in VERSIONS.items()
}

REQUESTS = {
    "chat": "chat",
    "text_completion": "text_completion",
    "generate_content": "generate_content",
    "embeddings": "embeddings",
    "completion": "text_completion",
    "embedding": "embeddings",
    "llm": "chat",
}
_PROVIDERS = {  # values of gen_ai.system that were renamed with the attribute
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "xai": "x_ai",
}

TRACK, SCOPE = "pointsman.track", "pointsman.scope"
DECISION = {"pointsman.propensity": "propensity", "pointsman.policy_version": "policy_version", "pointsman.recommendation_id": "recommendation_id"}
ERROR_TYPE, EXCEPTION, EXCEPTION_TYPE = "error.type", "exception", "exception.type"
STATUS_CODES = ("http.response.status_code", "http.status_code")
SERVER, PORT = "server.address", "server.port"
EVALUATION, SCORE, LABEL, ASSESSOR = "gen_ai.evaluation.result", "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label", "gen_ai.evaluation.name"
EVENT_NAME = "event.name"
FIRST_TOKEN = frozenset(
    {"first_token", "gen_ai.first_token", "gen_ai.content.chunk", "gen_ai.content.completion.chunk", "llm.content.completion.chunk", "First Token Stream Event"}
)
MESSAGES = frozenset({"gen_ai.content.prompt", "gen_ai.user.message", "gen_ai.client.inference.operation.details"})

INPUT = ("gen_ai.input.messages", "gen_ai.prompt", "input.value", "content")  # of attributes and of span events: sketched and dropped
INPUT_PREFIXES = ("gen_ai.prompt.", "llm.prompts.", "llm.input_messages.", "embedding.embeddings.")
_READ = frozenset(
    {name for table in VERSIONS.values() for names in table.values() for name in names}
    | {TRACK, ERROR_TYPE, *STATUS_CODES, SERVER, PORT, SCORE, LABEL, ASSESSOR, EXCEPTION_TYPE, SCOPE, "service.name", "traceloop.span.kind"}
    | {*DECISION, *INPUT[:3]}
)
_READ_OF_EVENTS = frozenset({EXCEPTION_TYPE, TRACK, SCORE, LABEL, ASSESSOR, *INPUT})
_READ_OF_RECORDS = frozenset({EVENT_NAME, TRACK, SCOPE, SCORE, LABEL, ASSESSOR})
READ_EVENTS = FIRST_TOKEN | MESSAGES | {EXCEPTION, EVALUATION}


def is_read(name: str) -> bool:
    """Whether an attribute of a span or a resource is looked at."""
    return name in _READ or name.startswith(INPUT_PREFIXES)


def is_read_of_event(name: str) -> bool:
    """Whether an attribute of a span event is looked at."""
    return name in _READ_OF_EVENTS


def is_read_of_record(name: str) -> bool:
    """Whether an attribute of a log record is looked at."""
    return name in _READ_OF_RECORDS


def recognised(schema_url: str, attributes: Iterable[str]) -> str:
    """The version by which a span was written: its schema URL says it, else its names do.

    >>> recognised("https://opentelemetry.io/schemas/1.36.0", ()), recognised("", ("gen_ai.provider.name",)), recognised("", ("llm.request.type",))
    ('1.34', '1.37', 'openllmetry')
    """
    given = _SCHEMA.search(schema_url[:256])
    if given is not None:
        if given["family"]:  # the conventions' own repository, which began after 1.41
            return NEWEST
        number = (int(given["major"]), int(given["minor"]))
        return next((version for since, version in _SINCE if number >= since), "1.25")
    return next((version for version, marks in _MARKS if any(mark in attributes for mark in marks)), DEFAULT)


def found(version: str, field: Field, attributes: Mapping[str, Any]) -> Any:
    """The value of a field, under this version's name or another's; None where it has none."""
    for name in NAMES[version][field]:
        if (value := attributes.get(name)) is not None:
            return value
    return None


def provider_of(value: Any) -> str | None:
    """A provider's name as the newest version has it.

    >>> provider_of("az.ai.openai"), provider_of("OpenAI")
    ('azure.ai.openai', 'openai')
    """
    if not isinstance(value, str) or not value:
        return None
    return _PROVIDERS.get(value.lower(), value.lower())


__all__ = ["DEFAULT", "NAMES", "NEWEST", "VERSIONS", "Field", "found", "is_read", "is_read_of_event", "is_read_of_record", "provider_of", "recognised"]
