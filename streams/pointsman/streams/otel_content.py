"""The input text of a span, out of every attribute and span event in which instrumentations put it: for its sketch, and for nothing else."""

import json
import re
from collections.abc import Mapping
from typing import Any

from .otel_attributes import MESSAGES
from .otlp import Span

_INDEXED = re.compile(
    r"(?:gen_ai\.prompt|llm\.prompts|llm\.input_messages|embedding\.embeddings)\.(?P<place>\d{1,6})\.(?:message\.|embedding\.)?(?P<what>content|role|text)"
)
Message = tuple[str, str]  # role, text


def input_text(span: Span) -> str | None:
    """What the user said last, where roles are known, else all of it; None where the span carries no content."""
    for name in ("gen_ai.input.messages", "gen_ai.prompt"):
        if (value := span.attributes.get(name)) is not None:
            return _chosen(_messages(value))
    messages = _indexed(span.attributes) or _of_events(span)
    if not messages and (value := span.attributes.get("input.value")) is not None:
        messages = _messages(value)
    return _chosen(messages)


def _chosen(messages: list[Message]) -> str | None:
    said = [text for role, text in messages if role in ("user", "human") and text]
    return said[-1] if said else "\n".join(text for _, text in messages) or None


def _indexed(attributes: Mapping[str, Any]) -> list[Message]:
    """Messages whose parts are attributes of their own: `gen_ai.prompt.0.role`, `gen_ai.prompt.0.content`."""
    found: dict[int, dict[str, str]] = {}
    for name, value in attributes.items():
        if isinstance(value, str) and (part := _INDEXED.fullmatch(name)) is not None:
            found.setdefault(int(part["place"]), {})[part["what"]] = value
    return [(parts.get("role", ""), _plain(parts.get("content", parts.get("text", "")))) for _, parts in sorted(found.items())]


def _plain(text: str) -> str:
    """A content that is JSON itself (several parts) as its text."""
    return "\n".join(said for _, said in _messages(text)) if text[:1] in "[{" and text else text


def _of_events(span: Span) -> list[Message]:
    found: list[Message] = []
    for moment in span.moments:
        if moment.name in MESSAGES:
            for name in ("gen_ai.input.messages", "gen_ai.prompt"):
                found += _messages(moment.attributes.get(name))
            if isinstance(content := moment.attributes.get("content"), str):
                found.append(("user", content))
    return found


def _messages(value: Any) -> list[Message]:
    """Messages as JSON text or as structure; other text is one message without a role."""
    if isinstance(value, str):
        try:
            given = json.loads(value) if value[:1] in "[{" else value
        except (ValueError, RecursionError):
            given = value
    else:
        given = value
    if isinstance(given, dict):
        given = given["messages"] if isinstance(given.get("messages"), list) else [given]
    if isinstance(given, list):
        return [_message(element) for element in given]
    return [("", given)] if isinstance(given, str) else []


def _message(element: Any) -> Message:
    if not isinstance(element, dict):
        return "", element if isinstance(element, str) else ""
    role = element.get("role")
    return role if isinstance(role, str) else "", _text(element)


def _text(element: dict[str, Any]) -> str:
    content = next((element[name] for name in ("parts", "content", "text") if element.get(name) is not None), "")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = (part if isinstance(part, str) else (part.get("content") or part.get("text")) if isinstance(part, dict) else None for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))


__all__ = ["input_text"]
