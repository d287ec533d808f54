"""Brings the vectors of memories that were stored while the model could not be used, or before it was chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mnemata.domain.clock import Clock
from mnemata.domain.errors import MnemataError
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory
from mnemata.embedding.batcher import Batcher
from mnemata.observability.logging import get_logger
from mnemata.services.barrier import IndexBarrier
from mnemata.services.projection import vector_key
from mnemata.store.database import Database
from mnemata.workers.vectors import VectorSource

log = get_logger("workers")

_BATCH = 256
_REST_S = 0.05
"""Between two looks for what has no vector. Nobody waits for them."""


class Backfill:
    def __init__(
        self,
        database: Database,
        batcher: Batcher,
        vectors: VectorSource,
        barrier: IndexBarrier,
        *,
        clock: Clock,
        interval_s: float = 5.0,
        looked_at: int = 5_000,
    ) -> None:
        self._database = database
        self._batcher = batcher
        self._vectors = vectors
        self._barrier = barrier
        self._clock = clock
        self._interval_s = interval_s
        # By one statement: looking at millions would take longer than any statement may.
        self._looked_at = looked_at

    async def once(self) -> None:
        """Have everything embedded that has no vector yet, by whoever runs `run`."""
        self._vectors.wanting = True

    async def run(self, *, at_start: bool = True) -> None:
        """Embed what has no vector yet: once at start, and after every failure of the model, until cancelled."""
        self._vectors.wanting |= at_start
        while True:
            if self._vectors.wanting:
                await self._attempt()
            await asyncio.sleep(self._interval_s)

    async def _attempt(self) -> None:
        self._vectors.wanting = False
        try:
            last = await self.step(after=None)
            while last is not None:
                await asyncio.sleep(_REST_S)
                last = await self.step(after=last)
        except MnemataError as error:
            self._vectors.wanting = True
            log.warning("backfill_waits", code=error.code)

    async def step(self, *, after: MemoryId | None) -> MemoryId | None:
        """Look at the next memories behind an id, embed those that have no vector, and announce them in the feed.

        The id up to which this was done; None where there were none.
        """
        async with self._database.platform() as transaction:
            ids = await transaction.scan(after=after, limit=self._looked_at)
            if not ids:
                return None
            memories = await transaction.embeddings.missing(
                self._vectors.space, limit=_BATCH, after=after, until=ids[-1]
            )
        if memories:
            await self._embed(memories)
        return memories[-1].id if len(memories) == _BATCH else ids[-1]

    async def _embed(self, memories: Sequence[Memory]) -> None:
        rows = await self._batcher.embed_documents([memory.embedded_text for memory in memories])
        async with self._database.platform() as transaction:
            made = dict(zip(map(vector_key, memories), rows, strict=True))
            await transaction.embeddings.put(self._vectors.space, made)
            await transaction.feed.announce_embedded(memories, now=self._clock.now())
        self._barrier.wake()
        log.info("vectors_backfilled", memories=len(memories))
