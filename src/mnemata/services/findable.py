"""After the commit: wake the indexer and, where asked, wait until searches find what was written."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mnemata.cache.publisher import Publisher
from mnemata.domain.change import Position
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.index.protocol import partition_of
from mnemata.services.barrier import IndexBarrier
from mnemata.services.outcome import WaitFor


class Findable:
    def __init__(
        self, barrier: IndexBarrier, *, timeout_s: float, publisher: Publisher | None = None
    ) -> None:
        self._barrier = barrier
        self._timeout_s = timeout_s
        self._publisher = publisher

    async def after(
        self,
        positions: Mapping[MemoryId, Position],
        wait_for: WaitFor,
        *,
        tenant: TenantId,
        ids: Collection[MemoryId] | None = None,
    ) -> bool:
        """Whether searches see the changes of all these memories; never raises: the write is durable already.

        `ids`: the memories that were written; None: too many to be named.
        """
        if not positions:
            return True
        indexed = await self._indexed(positions, wait_for)
        if not indexed and self._publisher is not None:
            # The indexer has not told the cache yet, and this write is complete when we return.
            await self._publisher.changed(tenant, ids)
        return indexed

    async def _indexed(self, positions: Mapping[MemoryId, Position], wait_for: WaitFor) -> bool:
        marks = self._marks(positions)
        self._barrier.wake()
        if wait_for is WaitFor.NONE:
            return self._barrier.sees(marks)
        return await self._barrier.wait(marks, timeout_s=self._timeout_s)

    def _marks(self, positions: Mapping[MemoryId, Position]) -> dict[int, Position]:
        """The last of the positions in each partition."""
        marks: dict[int, Position] = {}
        for memory_id, position in positions.items():
            partition = partition_of(memory_id, self._barrier.partitions)
            marks[partition] = max(position, marks.get(partition, position))
        return marks
