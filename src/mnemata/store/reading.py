"""Reading memories by what names them: id, the caller's own key, a version, a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory, MemoryVersion
from mnemata.store import rows
from mnemata.store.connection import Asked, Row
from mnemata.store.repository import TenantRepository, filled
from mnemata.store.statements import statements

_SQL = statements("memories")
_MEMORY = {"columns": rows.memory_columns("m")}
_VERSION = {"columns": rows.version_columns("v")}
_GET = {False: filled(_SQL["get_many"], _MEMORY), True: filled(_SQL["lock_many"], _MEMORY)}
_BY_EXTERNAL_ID = {
    False: filled(_SQL["by_external_ids"], _MEMORY),
    True: filled(_SQL["lock_by_external_ids"], _MEMORY),
}
_HISTORY = filled(_SQL["history"], _VERSION)
_ONE_VERSION = filled(_SQL["version"], _VERSION)
_AS_OF = filled(_SQL["as_of"], _VERSION)


class Reading(TenantRepository):
    async def get(self, memory_id: MemoryId, *, lock: bool = False) -> Memory | None:
        """The memory, whatever its state (see Memory.current_at), or None. `lock`: until the transaction ends."""
        row = await self._session.row(_GET[lock], {"ids": [memory_id]})
        return None if row is None else rows.memory(row)

    async def get_many(
        self, ids: Sequence[MemoryId], *, as_of: datetime | None = None
    ) -> dict[MemoryId, Memory]:
        """Those of the memories that are there, whatever their state, in the order of `ids`: one round trip.

        `as_of`: as they were at that moment, without those that were not there, forgotten or expired then.
        """
        return in_order(ids, await self._session.rows(*by_ids(ids, as_of))) if ids else {}

    async def by_external_ids(self, external_ids: Sequence[str], *, lock: bool = False) -> dict[str, Memory]:
        """Those of the memories that are there, whatever their state, by `external_id`."""
        if not external_ids:
            return {}
        found = await self._session.rows(
            _BY_EXTERNAL_ID[lock], {"tenant": self._tenant, "external_ids": list(external_ids)}
        )
        return {memory.external_id or "": memory for memory in map(rows.memory, found)}

    async def history(self, memory_id: MemoryId) -> list[MemoryVersion]:
        """Every version, the newest first; empty where there is no such memory."""
        return [rows.memory_version(row) for row in await self._session.rows(_HISTORY, {"id": memory_id})]

    async def version(self, memory_id: MemoryId, version: int) -> MemoryVersion | None:
        """One version, or None."""
        row = await self._session.row(_ONE_VERSION, {"id": memory_id, "version": version})
        return None if row is None else rows.memory_version(row)

    async def as_of(self, memory_id: MemoryId, moment: datetime) -> Memory | None:
        """The memory as it was at the moment; None where it was not there, forgotten or expired then."""
        return (await self.get_many([memory_id], as_of=moment)).get(memory_id)


def by_ids(ids: Sequence[MemoryId], as_of: datetime | None) -> Asked:
    """What reads memories by their ids, as they are or as they were at a moment."""
    if as_of is None:
        return _GET[False], {"ids": list(ids)}
    return _AS_OF, {"ids": list(ids), "moment": as_of}


def in_order(ids: Sequence[MemoryId], found: Sequence[Row]) -> dict[MemoryId, Memory]:
    """The memories of rows that `by_ids` gave, in the order of the ids."""
    by_id = {MemoryId(row[0]): row for row in found}
    return {memory_id: rows.memory(by_id[memory_id]) for memory_id in ids if memory_id in by_id}
