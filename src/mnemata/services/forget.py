"""Forget memories: they leave every read and search at once, their history stays until it is purged."""

from __future__ import annotations

from dataclasses import dataclass

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import MemoryNotFound
from mnemata.domain.filter import Field, Filter, Range, both
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Operation
from mnemata.domain.revision import forgotten
from mnemata.domain.scope import Role, Scope
from mnemata.observability.metrics import Metrics
from mnemata.services.findable import Findable
from mnemata.services.outcome import WaitFor
from mnemata.services.revise import locked
from mnemata.store.database import Database

_CHUNK = 1_000
"""Memories per transaction: locks stay short however many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """`matched`: memories that the filter finds. `forgotten`: how many of them are gone; none in a dry run."""

    matched: int
    forgotten: int
    dry_run: bool
    indexed: bool = True


class Forget:
    def __init__(self, database: Database, findable: Findable, *, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._findable = findable
        self._clock = clock
        self._metrics = metrics

    async def one(
        self,
        scope: Scope,
        memory_id: MemoryId,
        *,
        if_match: int | None = None,
        wait_for: WaitFor = WaitFor.INDEX,
    ) -> bool:
        """Forget one memory; whether searches have lost it by now. Raises MemoryNotFound, also the second time."""
        scope.require(Role.WRITER)
        async with self._database.tenant(scope) as transaction:
            memory = await locked(transaction, memory_id, if_match=if_match)
            if memory.deleted_at is not None or memory.expired_at(self._clock.now()):
                raise MemoryNotFound(memory_id=memory_id)
            after = forgotten(memory, now=self._clock.now())
            positions = await transaction.memories.replace([after], operation=Operation.FORGOTTEN)
        self._metrics.writes.labels(Operation.FORGOTTEN.value).inc()
        written = {memory_id: positions[0]}
        return await self._findable.after(written, wait_for, tenant=scope.tenant, ids=[memory_id])

    async def by_filter(
        self,
        scope: Scope,
        condition: Filter,
        *,
        dry_run: bool = True,
        wait_for: WaitFor = WaitFor.INDEX,
    ) -> Forgotten:
        """Forget every memory that the filter finds; in a dry run only count them.

        Works in chunks of their own transactions: a call that is broken off has forgotten a part, and the same call
        again forgets the rest. Memories stored after the start are spared.
        """
        scope.require(Role.WRITER)
        started = self._clock.now()
        condition = both(condition, Range(field=Field(name="created_at"), high=started))
        matched = await self._count(scope, condition)
        if dry_run:
            return Forgotten(matched=matched, forgotten=0, dry_run=True)
        gone, left = 0, matched
        positions: dict[MemoryId, Position] = {}
        while left:
            chunk = await self._forget_chunk(scope, condition)
            gone += len(chunk)
            positions |= chunk
            # Where another call took the very same ones, there may be more behind them.
            left = left - len(chunk) if chunk else await self._count(scope, condition)
        indexed = await self._findable.after(positions, wait_for, tenant=scope.tenant)
        return Forgotten(matched=matched, forgotten=gone, dry_run=False, indexed=indexed)

    async def _count(self, scope: Scope, condition: Filter) -> int:
        async with self._database.tenant(scope) as transaction:
            return await transaction.memories.count(condition, now=self._clock.now())

    async def _forget_chunk(self, scope: Scope, condition: Filter) -> dict[MemoryId, Position]:
        now = self._clock.now()
        async with self._database.tenant(scope) as transaction:
            ids = await transaction.memories.ids_matching(condition, limit=_CHUNK, now=now, lock=True)
            memories = await transaction.memories.get_many(ids)
            after = [forgotten(memory, now=now) for memory in memories.values()]
            positions = await transaction.memories.replace(after, operation=Operation.FORGOTTEN)
        self._metrics.writes.labels(Operation.FORGOTTEN.value).inc(len(positions))
        return dict(zip((memory.id for memory in after), positions, strict=True))
