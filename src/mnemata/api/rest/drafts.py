"""JSON to what the services take: drafts, and the changes of a merge patch. One path for single writes and batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from mnemata.api.rest.body import Document, refuse_odd
from mnemata.api.rest.schemas import memory as schemas
from mnemata.api.rest.schemas.base import parse_as
from mnemata.domain.errors import InvalidField, MnemataError, TooLarge
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import GivenVector, MemoryDraft
from mnemata.domain.rules import MAX_BATCH, MAX_IMPORT, check_draft

_ITEMS_AT_ONCE = 50


def read_draft(value: Any, *, now: datetime) -> MemoryDraft:
    """The checked draft that a JSON object describes. Raises InvalidField or TooLarge naming the field."""
    said = parse_as(schemas.MemoryDraft, value)
    given = said.embedding
    return check_draft(
        MemoryDraft(
            content=said.content,
            kind=said.kind,
            user_id=said.user_id,
            agent_id=said.agent_id,
            session_id=said.session_id,
            sequence=said.sequence,
            role=said.role,
            tags=tuple(said.tags),
            metadata=said.metadata,
            importance=said.importance,
            source=said.source,
            external_id=said.external_id,
            occurred_at=said.occurred_at,
            expires_at=_expiry(said.expires_at, said.ttl_s, now),
            superseded_by=None if said.superseded_by is None else MemoryId(said.superseded_by),
            embedding=None if given is None else GivenVector(space=given.space, values=given.values),
        )
    )


async def read_batch(document: Document, *, now: datetime) -> Sequence[MemoryDraft | MnemataError]:
    """A draft, or the error that it is, per item. Raises only where the batch as a whole is wrong."""
    items = parse_as(schemas.Batch, document.value).items
    return await _read_items(items, document, limit=MAX_BATCH, now=now)


async def read_import(document: Document, *, now: datetime) -> Sequence[MemoryDraft | MnemataError]:
    """As read_batch, of more; raises the first error where no item can be stored."""
    items = parse_as(schemas.Import, document.value).items
    drafts = await _read_items(items, document, limit=MAX_IMPORT, now=now)
    first = drafts[0]
    if isinstance(first, MnemataError) and all(isinstance(draft, MnemataError) for draft in drafts):
        raise first
    return drafts


async def _read_items(
    items: list[Any], document: Document, *, limit: int, now: datetime
) -> Sequence[MemoryDraft | MnemataError]:
    if not items:
        raise InvalidField(field="items", reason="is empty", remedy="Send at least one memory")
    if len(items) > limit:
        raise TooLarge(field="items", limit=limit, unit="memories", actual=len(items))
    drafts: list[MemoryDraft | MnemataError] = []
    for start in range(0, len(items), _ITEMS_AT_ONCE):
        # Other requests get their turn in between: a batch of large items takes tens of milliseconds.
        await asyncio.sleep(0)
        chunk = items[start : start + _ITEMS_AT_ONCE]
        drafts += [_draft_or_error(item, suspect=document.suspect, now=now) for item in chunk]
    return drafts


def read_changes(value: Any, *, now: datetime) -> dict[str, Any]:
    """The members that a merge patch names, with their values as the memory's; None clears."""
    said = parse_as(schemas.MemoryPatch, value)
    changes = {name: getattr(said, name) for name in said.model_fields_set}
    if "ttl_s" in changes:
        changes["expires_at"] = _expiry(changes.get("expires_at"), changes.pop("ttl_s"), now)
    if isinstance(changes.get("tags"), list):
        changes["tags"] = tuple(changes["tags"])
    return changes


def _draft_or_error(item: Any, *, suspect: bool, now: datetime) -> MemoryDraft | MnemataError:
    try:
        if suspect:
            refuse_odd(item)
        return read_draft(item, now=now)
    except MnemataError as error:
        return error


def _expiry(expires_at: datetime | None, ttl_s: float | None, now: datetime) -> datetime | None:
    if ttl_s is None:
        return expires_at
    if expires_at is not None:
        raise InvalidField(field="ttl_s", reason="is given beside expires_at", remedy="Send one of the two")
    try:
        return now + timedelta(seconds=ttl_s)
    except OverflowError:
        raise InvalidField(
            field="ttl_s", reason="ends too far away", remedy="Send fewer seconds, or leave it out"
        ) from None
