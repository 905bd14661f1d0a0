"""The type of a field in a few words, from its JSON Schema."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
CONFIGURATION = "OptimizationConfig"


def field_type(field: Schema) -> str:
    """A field's type in a few words, its bounds included.

    >>> field_type({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]})
    'number, 0 to 1'
    """
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return "[configuration](settings.md)" if name == CONFIGURATION else f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(field_type(choice) for choice in field["anyOf"] if choice.get("type") != "null")
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    return _plain(field)


def _plain(field: Schema) -> str:
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {field_type(field.get('items', {}))}"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"map of {field_type(inner)}" if isinstance(inner, Mapping) else "map"
    return kind + _bounds(field)


def _bounds(field: Schema) -> str:
    lower, upper = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum", field.get("exclusiveMaximum"))
    if upper is not None and upper <= 1000 and lower is not None:
        return f", {lower:g} to {upper:g}"
    if lower is not None and lower >= 0:
        return f", {'above' if 'exclusiveMinimum' in field else 'at least'} {lower:g}" if lower < 1e6 else ""
    return f", at most {field['maxLength']} characters" if "maxLength" in field else ""


__all__ = ["Schema", "field_type"]
