"""Changes that an index could not apply: set aside, so that they stop nothing else, and visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mnemata.domain.change import Change, Position
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Operation
from mnemata.store.connection import Row
from mnemata.store.repository import Repository
from mnemata.store.statements import statements

_SQL = statements("bookkeeping")
_FIRST_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonChange:
    """The latest change of a memory that failed; `code` is the stable code of the error."""

    change: Change
    code: str
    attempts: int
    first_seen: datetime
    last_seen: datetime


class Poison(Repository):
    async def record(self, change: Change, *, code: str, now: datetime) -> None:
        """Set the change aside; another failure of the same memory counts up."""
        parameters = {
            "memory_id": change.memory_id,
            "version": change.version,
            "xid": str(change.position.xid),
            "seq": change.position.sequence,
            "recorded_at": change.recorded_at,
            "tenant": change.tenant,
            "operation": change.operation.value,
            "code": code,
            "now": now,
        }
        await self._session.rows(_SQL["record_poison"], parameters)

    async def all(self, *, limit: int) -> list[PoisonChange]:
        """The changes that were set aside, the latest failure first."""
        return [_poison(row) for row in await self._session.rows(_SQL["list_poison"], {"limit": limit})]

    async def count(self) -> int:
        """How many memories are not in the index as they should be."""
        row = await self._session.row(_SQL["count_poison"])
        return 0 if row is None else int(row[0])

    async def codes(self, ids: Sequence[MemoryId]) -> dict[MemoryId, str]:
        """Those of the memories that were set aside, each with the code of its error."""
        rows = await self._session.rows(_SQL["poison_codes"], {"ids": list(ids)})
        return {MemoryId(row[0]): row[1] for row in rows}

    async def take(
        self, ids: Sequence[MemoryId] | None, *, after: MemoryId | None, limit: int
    ) -> list[PoisonChange]:
        """The next changes by memory, of these or of all, which are no longer set aside."""
        named = None if ids is None else list(ids)
        parameters = {"ids": named, "after": after or _FIRST_ID, "limit": limit}
        return [_poison(row) for row in await self._session.rows(_SQL["take_poison"], parameters)]

    async def clear(self, ids: Sequence[MemoryId]) -> None:
        """Forget the failures of memories that are in the index now."""
        if ids:
            await self._session.rows(_SQL["clear_poison"], {"ids": list(ids)})


def _poison(row: Row) -> PoisonChange:
    change = Change(
        position=Position(xid=row[0], sequence=row[1]),
        tenant=TenantId(row[2]),
        memory_id=MemoryId(row[3]),
        version=row[4],
        operation=Operation(row[5]),
        recorded_at=row[6],
    )
    return PoisonChange(change=change, code=row[7], attempts=row[8], first_seen=row[9], last_seen=row[10])
