"""Found on return: a writer waits here until the index has reached the position of its write."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterable, Mapping

from mnemata.domain.change import START, Position

_SOON_S = 0.02


class Pauses:
    """How long to rest when the feed has nothing: until woken, as a rule, or until it is time for a poll.

    Who is woken and finds nothing was woken for a change that cannot be read yet, because an older transaction still runs.
    Nobody says when that one ends: look again soon, and less and less often.
    """

    def __init__(self, barrier: IndexBarrier, poll_interval_s: float) -> None:
        self._barrier = barrier
        self._longest_s = self._next_s = poll_interval_s

    def found(self) -> None:
        """There was something."""
        self._next_s = self._longest_s

    async def rest(self) -> None:
        woken = await self._barrier.work(self._next_s)
        self._next_s = min(_SOON_S if woken else 2 * self._next_s, self._longest_s)


class IndexBarrier:
    """Where writers and the indexer meet, on one event loop.

    Writers `wake` the indexer after their commit and `wait` for the positions of their changes; the indexer `advance`s and releases in
    one go everybody whose position was reached. The feed may be divided into partitions, each with its own position.
    Single changes may be seen `ahead` of it.
    """

    def __init__(self, partitions: int = 1) -> None:
        self._positions = [START] * partitions
        # By partition, changes behind the position that searches see; in a dict for its order.
        self._ahead: list[dict[Position, None]] = [{} for _ in range(partitions)]
        self._waiting: list[list[tuple[Position, int, asyncio.Future[None]]]] = [
            [] for _ in range(partitions)
        ]
        self._order = itertools.count()
        self._work = asyncio.Event()

    @property
    def partitions(self) -> int:
        return len(self._positions)

    @property
    def position(self) -> Position:
        """What searches see by now of every partition."""
        return min(self._positions)

    @property
    def positions(self) -> tuple[Position, ...]:
        """What searches see by now, by partition."""
        return tuple(self._positions)

    @property
    def waited_for(self) -> bool:
        """Whether a writer waits."""
        return any(self._waiting)

    def wake(self) -> None:
        """Tell the indexer that there is something to read."""
        self._work.set()

    async def work(self, timeout_s: float) -> bool:
        """Return when woken, True, or after the time: a poll backs up every wake-up that was missed."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._work.wait()
        except TimeoutError:
            return False
        finally:
            self._work.clear()
        return True

    def sees(self, marks: Mapping[int, Position]) -> bool:
        """Whether searches see these positions, by partition."""
        return all(self._sees(partition, position) for partition, position in marks.items())

    def _sees(self, partition: int, position: Position) -> bool:
        return position <= self._positions[partition] or position in self._ahead[partition]

    async def wait(self, marks: Mapping[int, Position], *, timeout_s: float) -> bool:
        """True once searches see these positions, by partition; False when the time is over first."""
        if self.sees(marks):
            return True
        reached = [
            self._enter(partition, position)
            for partition, position in marks.items()
            if not self._sees(partition, position)
        ]
        self.wake()
        try:
            async with asyncio.timeout(timeout_s):
                for one in reached:
                    await one
        except TimeoutError:
            return False
        finally:
            for one in reached:
                one.cancel()
        return True

    def start_from(self, position: Position, *, partition: int | None = None) -> None:
        """Take up the feed here, also where that is behind what searches saw before: another index is live."""
        for one in self._chosen(partition):
            self._positions[one] = position
            self._ahead[one].clear()
            self._release(one)

    def advance(self, position: Position, *, partition: int | None = None) -> None:
        """Announce that searches see everything up to the position; without a partition, in all of them."""
        for one in self._chosen(partition):
            self._positions[one] = max(self._positions[one], position)
            self._forget(one)
            self._release(one)

    def ahead(self, positions: Iterable[Position], *, partition: int = 0) -> None:
        """Announce that searches see each of these changes, and all of its tenant in front of it, though they are not there yet."""
        ahead = self._ahead[partition]
        ahead.update((one, None) for one in positions if one > self._positions[partition])
        for position, _, reached in self._waiting[partition]:
            if position in ahead and not reached.done():
                reached.set_result(None)

    def _forget(self, partition: int) -> None:
        """What is not ahead any more; they came in the order of the feed, but for those of one who began again."""
        ahead = self._ahead[partition]
        while ahead and (first := next(iter(ahead))) <= self._positions[partition]:
            del ahead[first]

    def _chosen(self, partition: int | None) -> range:
        return range(self.partitions) if partition is None else range(partition, partition + 1)

    def _enter(self, partition: int, position: Position) -> asyncio.Future[None]:
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting[partition], (position, next(self._order), reached))
        return reached

    def _release(self, partition: int) -> None:
        waiting = self._waiting[partition]
        while waiting and (waiting[0][0] <= self._positions[partition] or waiting[0][2].done()):
            _, _, reached = heapq.heappop(waiting)
            if not reached.done():
                reached.set_result(None)
