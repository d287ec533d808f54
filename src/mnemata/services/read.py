"""Read memories: one, a page of them, or the history of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mnemata.cache.memories import MemoryCache
from mnemata.domain.attributes import parse_instant
from mnemata.domain.clock import Clock
from mnemata.domain.errors import InvalidCursor, InvalidField, MemoryNotFound
from mnemata.domain.filter import Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory, MemoryVersion
from mnemata.domain.scope import Role, Scope
from mnemata.services import cursors
from mnemata.store.database import Database
from mnemata.store.listing import After, SortKey, after_of

MAX_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`total` is counted only when asked for."""

    items: tuple[Memory, ...]
    next_cursor: str | None
    total: int | None = None


class Read:
    def __init__(self, database: Database, *, clock: Clock, memories: MemoryCache | None = None) -> None:
        self._database = database
        self._clock = clock
        self._memories = memories

    async def get(self, scope: Scope, memory_id: MemoryId, *, as_of: datetime | None = None) -> Memory:
        """The memory as it is, or as it was at a moment.

        Raises MemoryNotFound where there is none in this tenant, or it was forgotten or expired by then.
        """
        scope.require(Role.READER)
        if as_of is None:
            memory = await self._current(scope, memory_id)
        else:
            async with self._database.tenant(scope) as transaction:
                memory = await transaction.memories.as_of(memory_id, as_of)
        if memory is None or memory.deleted_at is not None or memory.expired_at(as_of or self._clock.now()):
            raise MemoryNotFound(memory_id=memory_id)
        return memory

    async def _current(self, scope: Scope, memory_id: MemoryId) -> Memory | None:
        async def load() -> Memory | None:
            async with self._database.tenant(scope) as transaction:
                return await transaction.memories.get(memory_id)

        if self._memories is None:
            return await load()
        return await self._memories.through(scope.tenant, memory_id, load)

    async def list(
        self,
        scope: Scope,
        *,
        condition: Filter,
        sort: SortKey = SortKey.CREATED_AT,
        descending: bool = True,
        limit: int = 50,
        cursor: str | None = None,
        as_of: datetime | None = None,
        with_total: bool = False,
    ) -> Page:
        """A page of the memories that the filter finds, in a total order that concurrent writes do not disturb.

        A memory without `occurred_at` stands at its `created_at` in that order. Raises InvalidCursor.
        """
        scope.require(Role.READER)
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidField(field="limit", reason="is out of range", remedy=f"Send 1 to {MAX_PAGE}")
        mark = cursors.fingerprint(scope.tenant, condition, sort, descending, as_of)
        now = self._clock.now()
        after = None if cursor is None else _after(cursors.decode(cursor, mark), sort)
        async with self._database.tenant(scope) as transaction:
            listing = transaction.memories
            if as_of is None:
                items = await listing.page(
                    condition, sort=sort, descending=descending, after=after, limit=limit + 1, now=now
                )
                total = await listing.count(condition, now=now) if with_total else None
            else:
                items = await listing.page_as_of(
                    condition, sort=sort, descending=descending, after=after, limit=limit + 1, as_of=as_of
                )
                total = await listing.count_as_of(condition, as_of=as_of) if with_total else None
        more = len(items) > limit
        items = items[:limit]
        following = cursors.encode(mark, _state(items[-1], sort)) if more else None
        return Page(items=tuple(items), next_cursor=following, total=total)

    async def history(self, scope: Scope, memory_id: MemoryId) -> tuple[MemoryVersion, ...]:
        """Every version, newest first, also of a forgotten memory. Raises MemoryNotFound."""
        scope.require(Role.READER)
        async with self._database.tenant(scope) as transaction:
            versions = await transaction.memories.history(memory_id)
        if not versions:
            raise MemoryNotFound(memory_id=memory_id)
        return tuple(versions)


def _state(memory: Memory, sort: SortKey) -> list[Any]:
    place = after_of(memory, sort)
    value = place.value.isoformat() if isinstance(place.value, datetime) else place.value
    return [value, str(place.id)]


def _after(state: list[Any], sort: SortKey) -> After:
    try:
        value, memory_id = state
        place = float(value) if sort is SortKey.IMPORTANCE else parse_instant(value)
        if place is None:
            raise InvalidCursor(reason="it is damaged")
        return After(value=place, id=MemoryId(UUID(memory_id)))
    except (ValueError, TypeError, AttributeError):
        raise InvalidCursor(reason="it is damaged") from None
