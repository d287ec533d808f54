"""Found on return: a writer waits here until the index has reached the position of its write."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from mnemata.domain.change import START, Position


class IndexBarrier:
    """Where writers and the indexer meet, on one event loop.

    Writers `wake` the indexer after their commit and `wait` for a position; the indexer `advance`s and releases in
    one go everybody whose position was reached.
    """

    def __init__(self) -> None:
        self._position = START
        self._waiting: list[tuple[Position, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._work = asyncio.Event()

    @property
    def position(self) -> Position:
        """What searches see by now."""
        return self._position

    def wake(self) -> None:
        """Tell the indexer that there is something to read."""
        self._work.set()

    async def work(self, timeout_s: float) -> None:
        """Return when woken, or after the time: a poll backs up every wake-up that was missed."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._work.wait()
        except TimeoutError:
            return
        finally:
            self._work.clear()

    async def wait(self, position: Position, *, timeout_s: float) -> bool:
        """True once searches see the position; False when the time is over first."""
        if position <= self._position:
            return True
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._order), reached))
        self.wake()
        try:
            async with asyncio.timeout(timeout_s):
                await reached
        except TimeoutError:
            return False
        return True

    def start_from(self, position: Position) -> None:
        """Take up the feed here, also where that is behind what searches saw before: another index is live."""
        self._position = position
        self.advance(position)

    def advance(self, position: Position) -> None:
        """Announce that searches see everything up to the position."""
        self._position = max(self._position, position)
        while self._waiting and self._waiting[0][0] <= self._position:
            _, _, reached = heapq.heappop(self._waiting)
            if not reached.done():
                reached.set_result(None)
