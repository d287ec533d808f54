"""After the commit: wake the indexer and, where asked, wait until searches find what was written."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mnemata.cache.publisher import Publisher
from mnemata.domain.change import Position
from mnemata.domain.ids import MemoryId, TenantId
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
        positions: Sequence[Position],
        wait_for: WaitFor,
        *,
        tenant: TenantId,
        ids: Collection[MemoryId] | None = None,
    ) -> bool:
        """Whether searches see all of the positions; never raises: the write is durable already.

        `ids`: the memories that were written; None: too many to be named.
        """
        if not positions:
            return True
        indexed = await self._indexed(positions, wait_for)
        if not indexed and self._publisher is not None:
            # The indexer has not told the cache yet, and this write is complete when we return.
            await self._publisher.changed(tenant, ids)
        return indexed

    async def _indexed(self, positions: Sequence[Position], wait_for: WaitFor) -> bool:
        self._barrier.wake()
        if wait_for is WaitFor.NONE:
            return max(positions) <= self._barrier.position
        return await self._barrier.wait(max(positions), timeout_s=self._timeout_s)
