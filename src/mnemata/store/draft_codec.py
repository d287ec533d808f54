"""Checked drafts as JSON and back, exactly: what is handed over now is stored later as if it had come then."""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import GivenVector, MemoryDraft

_TIMES = ("occurred_at", "expires_at")


Placed: TypeAlias = tuple[int, MemoryDraft]
"""A draft and its place in what was sent."""


def drafts_out(drafts: Sequence[Placed]) -> str:
    """The drafts with their places as a JSON array."""
    return orjson.dumps([[place, _out(draft)] for place, draft in drafts]).decode()


def drafts_in(text: str) -> list[Placed]:
    """The drafts again. Raises ValueError, TypeError or KeyError where the text holds none."""
    return [(place, _in(value)) for place, value in orjson.loads(text)]


def _out(draft: MemoryDraft) -> dict[str, Any]:
    given = {name: getattr(draft, name) for name in draft.__slots__}
    value: dict[str, Any] = {name: one for name, one in given.items() if one is not None}
    # As text: whole numbers in metadata may be larger than the fast encoder takes.
    value["metadata"] = json.dumps(dict(draft.metadata), ensure_ascii=False)
    if draft.embedding is not None:
        value["embedding"] = [draft.embedding.space, _numbers_out(draft.embedding.values)]
    return value


def _in(value: Mapping[str, Any]) -> MemoryDraft:
    fields = dict(value)
    fields["tags"] = tuple(fields["tags"])
    fields["metadata"] = json.loads(fields["metadata"])
    fields.update({name: datetime.fromisoformat(fields[name]) for name in _TIMES if name in fields})
    if "superseded_by" in fields:
        fields["superseded_by"] = MemoryId(UUID(fields["superseded_by"]))
    if "embedding" in fields:
        space, values = fields["embedding"]
        fields["embedding"] = GivenVector(space=space, values=_numbers_in(values))
    return MemoryDraft(**fields)


def _numbers_out(values: Sequence[float]) -> str:
    # JSON has no infinity, and a vector that has one is refused where it is stored, by the number of its item.
    return base64.b64encode(array("d", values).tobytes()).decode("ascii")


def _numbers_in(text: str) -> Sequence[float]:
    return array("d", base64.b64decode(text))
