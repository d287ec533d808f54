"""The indexer of a fleet: follows those partitions of the feed that this process has leased, all in one loop.

Leases only divide the work. What makes a process harmless that lost its leases and does not know it yet, is that an index
takes no document of an earlier ticket, and that positions in it only move forward.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from mnemata.cache.publisher import Publisher
from mnemata.domain.change import Change, Position
from mnemata.domain.errors import IndexMoved, MnemataError
from mnemata.index.protocol import SearchIndex, partition_of
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.barrier import IndexBarrier, Pauses
from mnemata.store.database import Database
from mnemata.store.leases import Reached
from mnemata.workers.indexer import Indexer, Marks
from mnemata.workers.leasing import Leasing
from mnemata.workers.pace import Pace
from mnemata.workers.turns import Turns

log = get_logger("workers")

_BACKOFF_S = (0.1, 0.25, 0.5, 1.0, 2.0)

Resume = Callable[[], Awaitable[Sequence[Position]]]
"""Opens the index, again where it moved, and gives each partition's position. Raises IndexUnavailable."""


def lease_names(index: str, partitions: int) -> list[str]:
    """The leases of an index's partitions, in their order."""
    return [f"index/{index}/{partition:03}" for partition in range(partitions)]


def watch_lease(index: str) -> str:
    """The lease of who watches an index: somebody has it while a worker that uses the index is alive."""
    return f"watch/{index}"


class PartitionFollower:
    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        indexer: Indexer,
        leasing: Leasing,
        barrier: IndexBarrier,
        *,
        name: str,
        resume: Resume,
        publisher: Publisher | None,
        poll_interval_s: float,
        fill_per_s: float,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._index = index
        self._indexer = indexer
        self._leasing = leasing
        self._barrier = barrier
        self._name = name
        self._names = {
            lease: partition for partition, lease in enumerate(lease_names(name, index.partitions))
        }
        self._resume = resume
        self._publisher = publisher
        self._poll_interval_s = poll_interval_s
        self._metrics = metrics
        self._epoch = ""
        # Of what is followed: the lease's token, where it is, and whether it has been at the head.
        self._tokens: dict[int, int] = {}
        self._positions: dict[int, Position] = {}
        self._caught_up: set[int] = set()
        self._turns = Turns(database)
        self._fill_pace = Pace(fill_per_s)

    async def run(self) -> None:
        """Follow what is leased until cancelled."""
        failures, pauses = 0, Pauses(self._barrier, self._poll_interval_s)
        while True:
            try:
                busy = await self.step()
                failures = 0
            except MnemataError as error:
                wait_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                failures += 1
                self._begin_again(error)
                log.warning(
                    "partitions_wait",
                    code=error.code,
                    reason=error.facts.get("reason"),
                    failures=failures,
                    wait_s=wait_s,
                )
                await asyncio.sleep(wait_s)
                continue
            if busy:
                pauses.found()
            else:
                await pauses.rest()

    async def step(self) -> bool:
        """Apply the next batch of what is leased; False where there was nothing to apply."""
        async with self._indexer.turn:
            await self._take_over(self._leased())
            if not self._positions:
                return False
            filling = not self._caught_up >= self._positions.keys()
            limit = self._limit(filling=filling)
            changes, ahead = await self._read(limit), []
            at_head = len(changes) < limit
            if changes:
                reached = changes[-1].position
                # While an index is filled nobody waits for what it shows.
                ahead = [] if at_head or filling else await self._turns.ahead(reached, self._positions)
                await self._indexer.apply(self._index, [*changes, *ahead], marks=self._up_to(reached))
            self._metrics.index_ahead.inc(len(ahead))
            await self._announce(changes, ahead, at_head=at_head)
        await self._indexer.settle(len(changes), limit)
        if filling:
            await self._fill_pace.after(len(changes))
        return bool(changes)

    def _limit(self, *, filling: bool) -> int:
        """How many changes to take from the line at once."""
        batch = self._indexer.batch
        return self._fill_pace.page(batch) if filling else self._turns.of_the_line(batch)

    def _leased(self) -> dict[int, int]:
        return {self._names[name]: token for name, token in self._leasing.held.items() if name in self._names}

    async def _take_over(self, leased: Mapping[int, int]) -> None:
        """Let go of what was lost, and begin with what was gained where the index says that it is."""
        for partition in [one for one, token in self._tokens.items() if leased.get(one) != token]:
            self._drop(partition)
        if leased.keys() <= self._tokens.keys():
            return
        await self._enter_epoch()
        gained = [partition for partition in leased if partition not in self._tokens]
        positions = await self._resume()
        before = await self._said()
        for partition in gained:
            self._tokens[partition], self._positions[partition] = leased[partition], positions[partition]
            self._turns.begin_again()
            if self._publisher is not None:
                self._publisher.resume(positions[partition], partition=partition)
        # An index that has all that was said of it has not been behind since: nobody needs to be told.
        self._caught_up |= {one for one in gained if one in before and before[one] <= positions[one]}
        log.info("partitions_taken", partitions=gained, following=len(self._tokens))
        await self._tell(gained)

    async def _enter_epoch(self) -> None:
        """Note the epoch, before the positions are asked for: whatever it is when they are read, the next reading compares it."""
        async with self._database.platform(single=True) as transaction:
            epoch = await transaction.feed.epoch()
        before, self._epoch = self._epoch, epoch
        if before not in ("", epoch):
            for partition in list(self._tokens):
                self._drop(partition)
            await self._indexer.leave_epoch()

    async def _said(self) -> dict[int, Position]:
        """By partition, what was said last of this epoch by somebody who had been at the head."""
        async with self._database.platform(single=True) as transaction:
            rows = await transaction.leases.reached(self._name)
        return {row.partition: row.position for row in rows if row.caught_up and row.epoch == self._epoch}

    async def _read(self, limit: int) -> list[Change]:
        async with self._database.platform(single=True) as transaction:
            return await transaction.feed.read_partitions(self._positions, limit=limit, epoch=self._epoch)

    def _up_to(self, position: Position) -> Marks:
        """Where changes bring their partitions, some of which are ahead of their place, behind the position.

        Those alone bring none anywhere: one is said to be where it is.
        """
        still: dict[int | None, Position] = dict(itertools.islice(self._positions.items(), 1))

        def marks(changes: Sequence[Change]) -> Mapping[int | None, Position]:
            parts = self._by_partition(change for change in changes if change.position <= position)
            reached: dict[int | None, Position] = {one: own[-1].position for one, own in parts.items()}
            return reached or still

        return marks

    def _by_partition(self, changes: Iterable[Change]) -> dict[int, list[Change]]:
        parts: dict[int, list[Change]] = {}
        for change in changes:
            parts.setdefault(partition_of(change.memory_id, self._index.partitions), []).append(change)
        return parts

    async def _announce(self, changes: Sequence[Change], ahead: Sequence[Change], *, at_head: bool) -> None:
        """Note where each partition is, for the cache before anybody else: then release those who wait."""
        # First what moves no watermark: a cache that went back to before it must lack one of those that follow.
        early, parts = self._by_partition(ahead), self._by_partition(changes)
        await self._publish(early)
        self._positions |= {partition: own[-1].position for partition, own in parts.items()}
        await self._publish(parts)
        news = parts.keys() | early.keys()
        if at_head:
            news |= self._positions.keys() - self._caught_up
            self._caught_up |= self._positions.keys()
        await self._tell(
            sorted(news), {one: [change.position for change in own] for one, own in early.items()}
        )

    async def _publish(self, parts: Mapping[int, Sequence[Change]]) -> None:
        if self._publisher is not None:
            for partition, own in parts.items():
                await self._publisher.publish(own, position=self._positions[partition], partition=partition)

    async def _tell(
        self, partitions: Sequence[int], ahead: Mapping[int, Sequence[Position]] = MappingProxyType({})
    ) -> None:
        told = [
            Reached(
                partition=one,
                position=self._positions[one],
                caught_up=one in self._caught_up,
                token=self._tokens[one],
            )
            for one in partitions
        ]
        if not told:
            return
        # Whoever took the partition over waits for nobody: a process that is paused here has nothing open.
        async with self._database.platform(single=True) as transaction:
            noted = await transaction.leases.reach(self._name, epoch=self._epoch, told=told, ahead=ahead)
        for one in told:
            if one.partition not in noted:
                # Another process has it, and says what is true now.
                self._drop(one.partition)
            elif one.caught_up:
                self._barrier.advance(one.position, partition=one.partition)
            else:
                self._barrier.start_from(one.position, partition=one.partition)
        if all(one.caught_up and one.partition in noted for one in told):
            for partition, positions in ahead.items():
                self._barrier.ahead(positions, partition=partition)

    def _begin_again(self, error: MnemataError) -> None:
        """After a failure nobody knows what the index holds: it is asked before anything else is done."""
        for partition in list(self._tokens):
            self._drop(partition)
        if isinstance(error, IndexMoved):
            log.warning("index_moved", index=self._name)

    def _drop(self, partition: int) -> None:
        del self._tokens[partition], self._positions[partition]
        self._turns.begin_again()
        self._caught_up.discard(partition)
        if self._publisher is not None:
            self._publisher.leave(partition)
