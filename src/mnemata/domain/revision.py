"""The next version of a memory: what a change makes of it, by rules that need no store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from mnemata.domain.errors import InvalidField
from mnemata.domain.memory import JsonValue, Memory, MemoryDraft, Metadata, text_hash
from mnemata.domain.rules import check_draft

CHANGEABLE = tuple(item.name for item in fields(MemoryDraft) if item.name != "embedding")
"""What a patch may name. The rest belongs to the store."""

_DEFAULTS: dict[str, Any] = {
    item.name: getattr(MemoryDraft(content="-"), item.name)
    for item in fields(MemoryDraft)
    if item.name != "content"
}


def draft_of(memory: Memory) -> MemoryDraft:
    """The draft that would store the same again."""
    return MemoryDraft(**{name: getattr(memory, name) for name in CHANGEABLE})


def brought_back(past: Memory, *, now: datetime) -> MemoryDraft:
    """The draft of a past version, without an expiry that is over: with it, it would be gone again at once."""
    draft = draft_of(past)
    return replace(draft, expires_at=None) if past.expired_at(now) else draft


def patched(memory: Memory, changes: Mapping[str, Any]) -> MemoryDraft:
    """The checked draft that a merge patch (RFC 7396) makes of a memory: None clears, metadata merges in depth."""
    values = {name: getattr(memory, name) for name in CHANGEABLE}
    for name, value in changes.items():
        if name not in CHANGEABLE:
            raise InvalidField(
                field=name, reason="cannot be changed", remedy=f"Change one of: {', '.join(CHANGEABLE)}"
            )
        if name == "content" and value is None:
            raise InvalidField(
                field="content", reason="cannot be cleared", remedy="Forget the memory instead"
            )
        if value is None:
            values[name] = _DEFAULTS[name]
        elif name == "metadata":
            values[name] = merge(dict(memory.metadata), value)
        else:
            values[name] = value
    return check_draft(MemoryDraft(**values))


def merge(target: JsonValue, patch: JsonValue) -> JsonValue:
    """JSON Merge Patch, RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def next_version(memory: Memory, draft: MemoryDraft, *, now: datetime) -> Memory | None:
    """The memory after the draft took its place; None where nothing would change. A forgotten one comes back."""
    values = {name: getattr(draft, name) for name in CHANGEABLE}
    after = replace(memory, **values, content_hash=text_hash(draft.content), deleted_at=None)
    if after == memory and _as_text(after.metadata) == _as_text(memory.metadata):
        return None
    return replace(after, version=memory.version + 1, updated_at=_after(memory, now))


def forgotten(memory: Memory, *, now: datetime) -> Memory:
    """The memory as forgotten: its next version, marked deleted."""
    at = _after(memory, now)
    return replace(memory, version=memory.version + 1, updated_at=at, deleted_at=at)


def _as_text(metadata: Metadata) -> str:
    """Equal only for the same values of the same types: to Python true equals 1, and 1 equals 1.0."""
    return json.dumps(dict(metadata), sort_keys=True)


def _after(memory: Memory, now: datetime) -> datetime:
    """When the next version begins: not before this one, so that the past can be read whatever clocks have said."""
    return max(now, memory.updated_at)
