"""One object of the contract as HTML: a table of its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

Json = dict[str, Any]


def schema_article(name: str, schema: Json) -> str:
    """The article of one schema."""
    return "".join(_parts(name, schema))


def prose(text: str) -> str:
    """Text with `code` marked, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def reference_name(schema: Json) -> str:
    """The name of the schema that this one refers to; empty where it is written out."""
    return schema.get("$ref", "").rpartition("/")[2]


def kind_of(schema: Json) -> str:
    """The type of a field in a few words, as HTML."""
    name = reference_name(schema)
    if name:
        return f'<a href="#schema-{name}">{name}</a>'
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if options:
        return " or ".join(map(kind_of, options))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {kind_of(schema.get('items', {}))}"
    words = [str(schema.get("format") or schema.get("type") or "any"), *_bounds(schema)]
    return escape(", ".join(words))


def _bounds(schema: Json) -> Iterator[str]:
    names = {"minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
    for name, sign in names.items():
        if name in schema:
            yield f"{sign} {schema[name]:,}"
    if "maxLength" in schema:
        yield f"at most {schema['maxLength']:,} characters"


def _parts(name: str, schema: Json) -> Iterator[str]:
    yield f'<article id="schema-{name}"><h3>{name}</h3><p>{prose(schema.get("description", ""))}</p>'
    if "enum" in schema:
        yield f"<p>{kind_of(schema)}</p>"
    properties: Json = schema.get("properties", {})
    if properties:
        yield "<table><tr><th>Field</th><th>Type</th><th></th></tr>"
        for field, described in properties.items():
            yield _row(field, described, required=field in schema.get("required", []))
        yield "</table>"
    yield "</article>"


def _row(field: str, schema: Json, *, required: bool) -> str:
    default = schema.get("default")
    notes = [kind_of(schema), "required" if required else ""]
    if default is not None and default not in ({}, []):
        notes.append(f"default {escape(str(default).lower() if isinstance(default, bool) else str(default))}")
    description = schema.get("description") or next(
        (option["description"] for option in schema.get("anyOf", []) if "description" in option), ""
    )
    return (
        f"<tr><td><code>{escape(field)}</code></td>"
        f'<td class="kind">{"<br>".join(filter(None, notes))}</td><td>{prose(description)}</td></tr>'
    )
