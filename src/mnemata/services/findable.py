"""After the commit: wake the indexer and, where asked, wait until searches find what was written."""

from __future__ import annotations

from collections.abc import Sequence

from mnemata.domain.change import Position
from mnemata.services.barrier import IndexBarrier
from mnemata.services.outcome import WaitFor


class Findable:
    def __init__(self, barrier: IndexBarrier, *, timeout_s: float) -> None:
        self._barrier = barrier
        self._timeout_s = timeout_s

    async def after(self, positions: Sequence[Position], wait_for: WaitFor) -> bool:
        """Whether searches see all of the positions; never raises: the write is durable already."""
        if not positions:
            return True
        self._barrier.wake()
        if wait_for is WaitFor.NONE:
            return max(positions) <= self._barrier.position
        return await self._barrier.wait(max(positions), timeout_s=self._timeout_s)
