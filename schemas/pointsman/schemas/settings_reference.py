"""The reference of all settings as Markdown, from the classes that read them: `pointsman config reference` prints it, docs/settings.md is it."""

import json
from collections.abc import Iterator
from typing import Any

from .field_types import Schema, field_type
from .settings import Settings
from .settings_meanings import SETTINGS

HEAD = """# Settings

From low to high: the TOML file (`--config FILE`, else `pointsman.toml` in the working directory), the environment, `--set KEY=VALUE`.
`budget.usd_per_request` is `POINTSMAN_BUDGET__USD_PER_REQUEST` in the environment and `--set budget.usd_per_request=0.001` as a flag.
A key that does not exist, or a value that cannot be, ends a command with a sentence that names it. `pointsman config` prints what is in effect,
`pointsman config check` says whether it can be used; this page is what `pointsman config reference` prints."""
OF_A_SCOPE = "OptimizationConfig"


def settings_reference() -> str:
    """The page: what stands at the top of the file, then every section with its fields, defaults and meanings."""
    schema = Settings.model_json_schema()
    sections = schema["$defs"]
    top = {name: field for name, field in schema["properties"].items() if not _section(field, sections)}
    parts = [HEAD, "## At the top", *_table(top, "Settings", sections)]
    for name, field in schema["properties"].items():
        if found := _section(field, sections):
            parts += _part(name, field.get("type") == "array", found, sections)
    return "\n\n".join(parts) + "\n"


def _part(path: str, is_list: bool, record: str, sections: Schema) -> Iterator[str]:
    """A section and those within it."""
    fields = sections[record]["properties"]
    yield f"## `[[{path}]]`" if is_list else f"## `[{path}]`"
    yield sections[record].get("description", "").replace("\n\n", " ")
    yield from _table({name: field for name, field in fields.items() if not _section(field, sections)}, record, sections)
    for name, field in fields.items():
        if found := _section(field, sections):
            yield from _part(f"{path}.{name}", field.get("type") == "array", found, sections)


def _section(field: Schema, sections: Schema) -> str | None:
    """The record that a setting is, or is a list of."""
    inner = field.get("items", field) if field.get("type") == "array" else field
    name = str(inner.get("$ref", "")).rpartition("/")[2]
    return name if "properties" in sections.get(name, {}) else None


def _table(fields: Schema, record: str, sections: Schema) -> list[str]:
    if not fields:
        return []
    rows = [f"| `{name}` | {field_type(field)} | {_default(field)} | {_meaning(record, name)} |" for name, field in fields.items()]
    return ["\n".join(["| setting | type | unless set | meaning |", "| --- | --- | --- | --- |", *rows])]


def _meaning(record: str, name: str) -> str:
    return SETTINGS.get(f"{record}.{name}") or SETTINGS[f"{OF_A_SCOPE}.{name}"]


def _default(field: Schema) -> str:
    if "default" not in field:
        return "must be set"
    default: Any = field["default"]
    return "" if default in (None, [], {}) else f"`{json.dumps(default)}`"


__all__ = ["settings_reference"]
