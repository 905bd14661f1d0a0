"""What is read from LiteLLM's arguments about a call: names, sizes, the text to sketch. Its answers and error messages are not touched."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pointsman.schemas.settings import LiteLLMSettings

MOST_TEXT = 8192  # a sketch looks at both ends of a text
CHARACTERS_PER_TOKEN = 4
MOST_ATTRIBUTES = 12
REPORTED = frozenset({"completion", "text_completion", "responses", "anthropic_messages", "generate_content", "embedding", "rerank"})
_OWNERS = {"team": ("user_api_key_team_alias", "user_api_key_team_id"), "key": ("user_api_key_alias",)}
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_GENERATED_ID = 64  # an id that LiteLLM made is a SHA-256


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request before it is sent."""

    scope: str
    category: str | None
    conversation_id: str | None
    max_output_tokens: int | None
    input_tokens: int | None
    text: str | None
    attributes: dict[str, Any] | None
    traceparent: str | None = None


def read(arguments: Mapping[str, Any], messages: Any, group: str | None, settings: LiteLLMSettings) -> Asked:
    """The request that these arguments of a call make."""
    marks = _marks(arguments)
    text, characters = asked_text(messages)
    attributes: dict[str, Any] = {"model_group": group[:256]} if group else {}
    if arguments.get("stream"):
        attributes["stream"] = True
    given = marks.get("attributes")
    if isinstance(given, Mapping):
        attributes |= {str(name)[:256]: value for name, value in list(given.items())[:MOST_ATTRIBUTES] if _is_small(value)}
    limit = next((arguments[name] for name in ("max_tokens", "max_completion_tokens", "max_output_tokens") if arguments.get(name)), None)
    return Asked(
        _name(marks.get("scope")) or _owner(arguments, settings.scope_from) or settings.scope,
        _name(marks.get("category")),
        _name(marks.get("conversation_id")) or _name(arguments.get("litellm_session_id")) or _name(metadata(arguments).get("session_id")),
        limit if isinstance(limit, int) and limit >= 0 else None,
        -(-characters // CHARACTERS_PER_TOKEN) if characters else None,
        text,
        attributes or None,
        _traceparent(arguments),
    )


def metadata(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The call's metadata, under whichever name this kind of call has it."""
    for name in ("litellm_metadata", "metadata"):
        found = arguments.get(name)
        if isinstance(found, Mapping) and ("model_group" in found or name == "metadata"):
            return found
    return {}


def deployment_id(arguments: Mapping[str, Any]) -> str:
    """The id of the chosen deployment; empty outside a Router."""
    info = arguments.get("model_info") or metadata(arguments).get("model_info")
    return str(info.get("id") or "") if isinstance(info, Mapping) else ""


def track_of(deployment: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The track of a Router's deployment: as the user named it, else its id, else (where LiteLLM made that up) its model."""
    info, params = deployment.get("model_info") or {}, deployment.get("litellm_params") or {}
    return named(str(info.get("id") or ""), str(deployment.get("model_name") or ""), str(params.get("model") or ""), names)


def named(identity: str, group: str, model: str, names: Mapping[str, str]) -> str:
    """The track of these names, the first that the user has mapped."""
    for name in (identity, group, model):
        if name and name in names:
            return names[name]
    if identity and not _is_generated(identity):
        return identity[:256]
    return (provided(model) if model else identity or "unknown")[:256]


@lru_cache(maxsize=1024)
def provided(model: str) -> str:
    """A model with its provider, as LiteLLM understands it: `gpt-4o-mini` is `openai/gpt-4o-mini`."""
    import litellm

    try:
        bare, provider, _, _ = litellm.get_llm_provider(model)
    except Exception:
        return model
    return f"{provider}/{bare}" if provider else model


def asked_text(messages: Any) -> tuple[str | None, int]:
    """The last text of the user, its ends only where it is long, and the characters of all messages together."""
    if isinstance(messages, str):
        return _ends(messages), len(messages)
    if not isinstance(messages, list):
        return None, 0
    last, total = None, 0
    for message in messages:
        parts = list(_texts(message))
        total += sum(map(len, parts))
        if parts and (not isinstance(message, Mapping) or message.get("role", "user") == "user"):
            last = parts
    return (_ends("\n".join(last)) if last else None), total


def _texts(message: Any) -> Iterable[str]:
    content = message.get("content") if isinstance(message, Mapping) else message
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            text = part.get("text") if isinstance(part, Mapping) else None
            if isinstance(text, str):
                yield text


def _ends(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT // 2] + text[-MOST_TEXT // 2 :]


def _marks(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller says to Pointsman: `metadata["pointsman"]`, or tags like `category:code`."""
    found = metadata(arguments)
    marks: dict[str, Any] = {}
    tags = found.get("tags")
    for tag in tags if isinstance(tags, list | tuple) else ():
        name, colon, value = str(tag).partition(":")
        if colon and name in ("scope", "category"):
            marks.setdefault(name, value)
    for holder in (found.get("requester_metadata"), found):
        own = holder.get("pointsman") if isinstance(holder, Mapping) else None
        if isinstance(own, Mapping):
            marks |= own
    return marks


def _owner(arguments: Mapping[str, Any], kinds: Iterable[str]) -> str | None:
    """The team or the key of a proxy's call, the first of these kinds that it has."""
    found = metadata(arguments)
    for kind in kinds:
        for field in _OWNERS[kind]:
            if name := _name(found.get(field)):
                return name
    return None


def _traceparent(arguments: Mapping[str, Any]) -> str | None:
    """The W3C trace context that came with the call: the proxy's header, or the caller's metadata."""
    request, found = arguments.get("proxy_server_request"), metadata(arguments)
    for holder in (request.get("headers") if isinstance(request, Mapping) else None, found.get("headers"), found):
        value = holder.get("traceparent") if isinstance(holder, Mapping) else None
        if isinstance(value, str) and _TRACEPARENT.fullmatch(value):
            return value
    return None


def _name(value: Any) -> str | None:
    return value.strip()[:256] or None if isinstance(value, str) else None


def _is_small(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 256)


def _is_generated(identity: str) -> bool:
    return len(identity) == _GENERATED_ID and all(letter in "0123456789abcdef" for letter in identity)


__all__ = ["REPORTED", "Asked", "asked_text", "deployment_id", "metadata", "named", "provided", "read", "track_of"]
