"""Storing memories: the row, its version and its change go together, in one statement for up to a thousand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from mnemata.domain.change import Position
from mnemata.domain.errors import MemoryNotFound, VersionMismatch
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory, Operation
from mnemata.store import rows
from mnemata.store.connection import Row
from mnemata.store.repository import TenantRepository
from mnemata.store.statements import Statement, statements

_SQL = statements("memories")


class Writing(TenantRepository):
    async def insert(self, memories: Sequence[Memory], *, operation: Operation) -> dict[MemoryId, Position]:
        """The positions of the stored memories' changes, by id.

        One that is absent was not stored: its `external_id` is in use, also where an earlier one of the same call uses
        it. Raises AlreadyExists for an id that is in use, TenantNotFound.
        """
        if not memories:
            return {}
        found = await self._send(_SQL["insert"], memories, operation)
        return {MemoryId(row[0]): Position(xid=row[1], sequence=row[2]) for row in found}

    async def replace(self, memories: Sequence[Memory], *, operation: Operation) -> list[Position]:
        """The positions of the changes, in order, after each memory took the place of the version before it.

        Each memory carries its new version. Raises VersionMismatch or MemoryNotFound where one is not at the version
        before (roll the transaction back then), AlreadyExists where another has its `external_id`.
        """
        if not memories:
            return []
        found = await self._send(_SQL["replace"], memories, operation)
        positions = {row[0]: Position(xid=row[1], sequence=row[2]) for row in found}
        lost = [memory for memory in memories if memory.id not in positions]
        if lost:
            await self._refuse(lost[0])
        return [positions[memory.id] for memory in memories]

    async def _send(
        self, statement: Statement, memories: Sequence[Memory], operation: Operation
    ) -> Sequence[Row]:
        parameters = {"memories": rows.as_json(memories), "operation": operation.value}
        found = await self._session.rows(statement, parameters, identities=self._identities(memories))
        self._session.announce()
        return found

    def _identities(self, memories: Sequence[Memory]) -> Mapping[str, str]:
        return {
            "memories_pkey": _few(str(memory.id) for memory in memories),
            "memories_by_external_id": _few(memory.external_id for memory in memories),
            "memories_tenant_fkey": self._tenant,
        }

    async def _refuse(self, memory: Memory) -> None:
        row = await self._session.row(_SQL["actual_versions"], {"ids": [memory.id]})
        if row is None:
            raise MemoryNotFound(memory_id=memory.id)
        raise VersionMismatch(memory_id=memory.id, expected=memory.version - 1, actual=row[1])


def _few(names: Iterable[str | None]) -> str:
    """The names, or the first of many: which one of them it was, PostgreSQL does not tell."""
    first = list(islice(filter(None, names), 4))
    return ", ".join(first[:3]) + (", ..." if len(first) > 3 else "")
