"""From a line of a file to the JSON of a memory: two known formats, and where each field comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from mnemata.domain.attributes import parse_instant
from mnemata.domain.errors import InvalidField

_TEXTS = frozenset({"content", "kind", "user_id", "agent_id", "session_id", "role", "source", "external_id"})
_TIMES = frozenset({"occurred_at", "expires_at"})
TARGETS = _TEXTS | _TIMES | {"sequence", "importance", "ttl_s", "tags"}
"""Every field that a mapping may fill."""

_FIELDS = TARGETS | {"metadata", "embedding", "superseded_by"}

# What only the store says of a memory; a line that was exported brings it along.
_READ_ONLY = frozenset({"id", "tenant", "content_hash", "created_at", "updated_at", "version", "deleted_at"})
_HOLE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    """`fields`: target to a path (`metadata.speaker`) or a template (`{metadata.a}/{metadata.b}`).

    `appended`: a template put behind the content of each line that has all of its parts.
    A line without a part of a source is stored without that field. What a line holds beside a memory's fields, and a
    source names, is not sent itself.
    """

    fields: Mapping[str, str]
    appended: str | None = None

    def memory(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of the memory that a line describes; what is wrong with it, the server says."""
        memory = _own_fields(line)
        for target, source in self.fields.items():
            value = _value(line, source)
            if value is not None:
                memory[target] = _fitting(target, value)
        for name in self._beside_fields():
            memory.pop(name, None)
        extra = _filled(line, self.appended) if self.appended else None
        if extra:
            memory["content"] = f"{memory.get('content', '')}{extra}"
        return memory

    def _beside_fields(self) -> set[str]:
        """The names at the beginning of each source that are no fields of a memory."""
        paths = (path for source in self.fields.values() for path in _HOLE.findall(source) or [source])
        return {path.partition(".")[0] for path in paths} - _FIELDS


PLAIN = FieldMap(fields=MappingProxyType({}))
_TURN = {
    "user_id": "metadata.namespace",
    "role": "metadata.speaker",
    "sequence": "metadata.turn",
}
PRESETS: Mapping[str, FieldMap] = MappingProxyType(
    {
        "none": PLAIN,
        "locomo": FieldMap(
            fields=MappingProxyType(
                _TURN
                | {
                    "session_id": "{metadata.namespace}/{metadata.session}",
                    "occurred_at": "metadata.timestamp",
                }
            ),
            appended=" [image: {metadata.blip_caption}]",
        ),
        "dialogues": FieldMap(fields=MappingProxyType(_TURN | {"session_id": "metadata.namespace"})),
    }
)


def preset_for(line: Mapping[str, Any]) -> str:
    """The preset whose parts a line has: turns of conversations are recognised, everything else is taken as it is."""
    metadata = line.get("metadata")
    known = set(metadata) if isinstance(metadata, Mapping) and "_id" in line else set[str]()
    if not {"namespace", "speaker", "turn"} <= known:
        return "none"
    return "locomo" if {"session", "timestamp"} <= known else "dialogues"


def with_options(chosen: FieldMap, options: Iterable[str]) -> FieldMap:
    """The map with `field=source` options on top. Raises InvalidField for one that is not of this form."""
    fields = dict(chosen.fields)
    for option in options:
        target, separator, source = option.partition("=")
        if not separator or not source or target not in TARGETS:
            raise InvalidField(
                field=f"--map {option}",
                reason="is not FIELD=SOURCE with a field that a memory has",
                remedy=f"Fields: {', '.join(sorted(TARGETS))}; sources: speaker, metadata.speaker or '{{metadata.a}}/{{metadata.b}}'",
            )
        fields[target] = source
    return replace(chosen, fields=MappingProxyType(fields))


def _own_fields(line: Mapping[str, Any]) -> dict[str, Any]:
    if "_id" in line and "text" in line:
        parts = (line.get("title"), line["text"])
        memory: dict[str, Any] = {
            "content": "\n".join(part for part in parts if isinstance(part, str) and part)
        }
        if line["_id"] is not None:
            memory["external_id"] = str(line["_id"])
        return memory | ({"metadata": line["metadata"]} if line.get("metadata") else {})
    memory = {name: value for name, value in line.items() if name not in _READ_ONLY and value is not None}
    if "id" in line and "external_id" not in memory:
        # The id of an exported memory makes a second import of the file change nothing.
        memory["external_id"] = line["id"]
    return memory


def _value(line: Mapping[str, Any], source: str) -> Any:
    return _filled(line, source) if _HOLE.search(source) else _at(line, source)


def _filled(line: Mapping[str, Any], template: str) -> str | None:
    parts = {hole: _at(line, hole) for hole in _HOLE.findall(template)}
    if any(part is None or part == "" for part in parts.values()):
        return None
    return _HOLE.sub(lambda hole: str(parts[hole.group(1)]), template)


def _at(line: Mapping[str, Any], path: str) -> Any:
    here: Any = line
    for key in path.split("."):
        here = here.get(key) if isinstance(here, Mapping) else None
    return here


def _fitting(target: str, value: Any) -> Any:
    """The value as the field wants it: texts of numbers, lists of tags, times with a zone (UTC where none is said)."""
    if target in _TEXTS and isinstance(value, int | float):
        return str(value)
    if target == "tags" and isinstance(value, str):
        return [value]
    if target in _TIMES and isinstance(value, str):
        instant = parse_instant(value)
        return instant.isoformat() if instant else value
    return value
