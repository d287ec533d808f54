"""Rebuild the index beside the live one, then switch: searches never stop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from mnemata.domain.change import START
from mnemata.domain.errors import AlreadyExists
from mnemata.domain.ids import MemoryId
from mnemata.index.protocol import SearchIndex
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.barrier import IndexBarrier
from mnemata.services.operations import Progress, no_progress
from mnemata.store.database import Database
from mnemata.workers.indexer import Indexer

log = get_logger("workers")

_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    documents: int
    seconds: float


class Rebuilder:
    """Fills a staged index from the memories as they are, lets it follow the feed, and makes it the live one."""

    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        indexer: Indexer,
        barrier: IndexBarrier,
        *,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._index = index
        self._indexer = indexer
        self._barrier = barrier
        self._metrics = metrics
        self._running = asyncio.Lock()

    async def rebuild(self, *, cause: str, progress: Progress = no_progress) -> Rebuilt:
        """Build beside the live index and switch; `progress` is told memories done and in all.

        Raises AlreadyExists while another rebuild is running.
        """
        if self._running.locked():
            raise AlreadyExists(what="rebuild", identity="running")
        async with self._running:
            started = time.perf_counter()
            self._metrics.index_rebuilds.labels(cause).inc()
            staged = await self._index.stage()
            documents = await self._fill(staged, progress)
            await self._switch(staged)
            seconds = time.perf_counter() - started
            log.info("index_rebuilt", cause=cause, documents=documents, seconds=round(seconds, 3))
            return Rebuilt(documents=documents, seconds=seconds)

    async def _fill(self, staged: SearchIndex, progress: Progress) -> int:
        """Every memory as it is now. What changes meanwhile is in the feed behind the position taken first."""
        async with self._database.platform() as transaction:
            start = await transaction.feed.head()
            total = await transaction.memories_in_all()
        done = 0
        last: MemoryId | None = None
        while True:
            async with self._database.platform() as transaction:
                ids = await transaction.scan(after=last, limit=_PAGE)
            if not ids:
                break
            await self._indexer.fill(staged, ids, position=START)
            last = ids[-1]
            done += len(ids)
            progress(done, max(total, done))
        await staged.apply([], position=start)
        return done

    async def _switch(self, staged: SearchIndex) -> None:
        """Follow the feed to where the live index is, the last stretch while that one stands still."""
        while await self._follow(staged) >= _PAGE:
            pass
        async with self._indexer.turn:
            while await self._follow(staged):
                pass
            reached = (await staged.statistics()).position
            await staged.flush()
            await self._index.adopt(staged)
            await self._indexer.switched(reached)
        await self._bring_up()

    async def _bring_up(self) -> None:
        """Apply to the new index what others brought to the old one when it was on its way.

        The old one takes nothing since the switch: what it got before that is in front of the head.
        """
        async with self._database.platform() as transaction:
            head = await transaction.feed.head()
        if self._index.partitions > 1:
            while (await self._index.statistics()).position < head and await self._follow(self._index):
                pass

    async def _follow(self, staged: SearchIndex) -> int:
        """Apply the next changes to the staged index; how many there were."""
        after = (await staged.statistics()).position
        async with self._database.platform() as transaction:
            changes = await transaction.feed.read(after, limit=_PAGE)
        if changes:
            await self._indexer.apply(staged, changes)
        return len(changes)
