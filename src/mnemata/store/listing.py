"""Pages of memories by filter, in an order that holds while others write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import sql

from mnemata.domain.filter import Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory
from mnemata.store import rows
from mnemata.store.filters import Compiler, Source
from mnemata.store.repository import TenantRepository, filled
from mnemata.store.statements import statements

_SQL = statements("memories")


class SortKey(StrEnum):
    """What a listing is sorted by; `occurred_at` falls back to `created_at` where it is absent."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    OCCURRED_AT = "occurred_at"
    IMPORTANCE = "importance"


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """Where a page begins: behind the memory with this sort value and id."""

    value: datetime | float
    id: MemoryId


def after_of(memory: Memory, sort: SortKey) -> After:
    """The place behind the memory."""
    match sort:
        case SortKey.CREATED_AT:
            value = memory.created_at
        case SortKey.UPDATED_AT:
            value = memory.updated_at
        case SortKey.OCCURRED_AT:
            value = memory.occurred_at or memory.created_at
        case SortKey.IMPORTANCE:
            value = memory.importance
    return After(value=value, id=memory.id)


_SORTED_BY: Mapping[Source, Mapping[SortKey, sql.SQL]] = {
    Source.MEMORIES: {
        SortKey.CREATED_AT: sql.SQL("m.created_at"),
        SortKey.UPDATED_AT: sql.SQL("m.updated_at"),
        SortKey.OCCURRED_AT: sql.SQL("coalesce(m.occurred_at, m.created_at)"),
        SortKey.IMPORTANCE: sql.SQL("m.importance"),
    },
    Source.VERSIONS: {
        SortKey.CREATED_AT: sql.SQL("m.created_at"),
        SortKey.UPDATED_AT: sql.SQL("m.recorded_at"),
        SortKey.OCCURRED_AT: sql.SQL("coalesce(m.occurred_at, m.created_at)"),
        SortKey.IMPORTANCE: sql.SQL("m.importance"),
    },
}
_COLUMNS = {Source.MEMORIES: rows.memory_columns("m"), Source.VERSIONS: rows.version_columns("m")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyset:
    """The order of a page and where it begins."""

    sort: SortKey
    descending: bool
    after: After | None = None

    def places(self, compiler: Compiler, source: Source) -> Mapping[str, sql.Composable]:
        """The {beyond} and {order} of a page's statement."""
        by, key = _SORTED_BY[source][self.sort], sql.Identifier("m", source.value)
        direction = sql.SQL("DESC") if self.descending else sql.SQL("ASC")
        order = sql.SQL("{by} {direction}, {key} {direction}").format(by=by, direction=direction, key=key)
        return {"order": order, "beyond": self._beyond(compiler, by, key)}

    def _beyond(self, compiler: Compiler, by: sql.SQL, key: sql.Identifier) -> sql.Composable:
        if self.after is None:
            return sql.SQL("TRUE")
        kind = sql.SQL("float8") if self.sort is SortKey.IMPORTANCE else sql.SQL("timestamptz")
        return sql.SQL("({by}, {key}) {operator} ({value}, {id})").format(
            by=by,
            key=key,
            operator=sql.SQL("<") if self.descending else sql.SQL(">"),
            value=compiler.value(self.after.value, kind),
            id=compiler.value(self.after.id, sql.SQL("uuid")),
        )


class Listing(TenantRepository):
    async def page(
        self,
        condition: Filter,
        *,
        sort: SortKey = SortKey.CREATED_AT,
        descending: bool = True,
        after: After | None = None,
        limit: int,
        now: datetime,
    ) -> list[Memory]:
        """Up to `limit` memories that default reads see, ordered by the sort key, ties by id.

        Pages that follow one another by `after_of` their last memory neither repeat nor skip one whose sort value
        stays, whatever others write between them.
        """
        keyset = Keyset(sort=sort, descending=descending, after=after)
        return await self._page("page", condition, keyset, {"now": now, "limit": limit}, Source.MEMORIES)

    async def page_as_of(
        self,
        condition: Filter,
        *,
        as_of: datetime,
        sort: SortKey = SortKey.CREATED_AT,
        descending: bool = True,
        after: After | None = None,
        limit: int,
    ) -> list[Memory]:
        """As `page`, of the memories as they were at the moment. What was purged since is not among them."""
        keyset = Keyset(sort=sort, descending=descending, after=after)
        times = {"moment": as_of, "limit": limit}
        return await self._page("page_as_of", condition, keyset, times, Source.VERSIONS)

    async def count(self, condition: Filter, *, now: datetime) -> int:
        """How many memories default reads see."""
        compiler = Compiler()
        query = filled(_SQL["count"], {"condition": compiler.compile(condition)})
        return await self._count(query, compiler, {"now": now})

    async def count_as_of(self, condition: Filter, *, as_of: datetime) -> int:
        """How many memories default reads saw at the moment."""
        compiler = Compiler(Source.VERSIONS)
        query = filled(_SQL["count_as_of"], {"condition": compiler.compile(condition)})
        return await self._count(query, compiler, {"moment": as_of})

    async def ids_matching(
        self, condition: Filter, *, limit: int, now: datetime, lock: bool = False
    ) -> list[MemoryId]:
        """The oldest `limit` memories that default reads see. `lock`: their rows, until the transaction ends."""
        compiler = Compiler()
        statement = _SQL["lock_matching" if lock else "ids_matching"]
        query = filled(statement, {"condition": compiler.compile(condition)})
        parameters = {"tenant": self._tenant, "now": now, "limit": limit, **compiler.parameters}
        return [MemoryId(row[0]) for row in await self._session.rows(query, parameters)]

    async def _page(
        self, name: str, condition: Filter, keyset: Keyset, parameters: Mapping[str, Any], source: Source
    ) -> list[Memory]:
        compiler = Compiler(source)
        places = {
            "columns": _COLUMNS[source],
            "condition": compiler.compile(condition),
            **keyset.places(compiler, source),
        }
        query = filled(_SQL[name], places)
        found = await self._session.rows(query, {"tenant": self._tenant, **parameters, **compiler.parameters})
        return [rows.memory(row) for row in found]

    async def _count(self, query: sql.Composed, compiler: Compiler, parameters: Mapping[str, Any]) -> int:
        row = await self._session.row(query, {"tenant": self._tenant, **parameters, **compiler.parameters})
        return 0 if row is None else int(row[0])
