"""What is put into the cache behind an answer: in the background, and no more at once than a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

_AT_ONCE = 64


class Fills:
    """For one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> bool:
        """Whether so much is under way that what comes next is better not kept."""
        return len(self._tasks) >= _AT_ONCE

    def start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Return when nothing is left to be kept."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Give up what is still to be kept."""
        for task in list(self._tasks):
            task.cancel()
        await self.settled()
