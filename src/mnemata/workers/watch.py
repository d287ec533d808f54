"""Watches the index: how far behind the feed it is, how large, and that it becomes durable."""

from __future__ import annotations

import asyncio
import time

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import MnemataError
from mnemata.index.protocol import SearchIndex
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.barrier import IndexBarrier
from mnemata.services.lag import lag_behind
from mnemata.store.database import Database

log = get_logger("workers")

_STALL_AFTER_S = 30.0


class Watch:
    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        barrier: IndexBarrier,
        *,
        clock: Clock,
        metrics: Metrics,
        name: str = "local",
        interval_s: float = 5.0,
        flush_every: int = 6,
    ) -> None:
        self._database = database
        self._index = index
        self._barrier = barrier
        self._clock = clock
        self._name = name
        self._metrics = metrics
        self._interval_s = interval_s
        self._flush_every = flush_every
        self._flushed: tuple[Position, ...] | None = None
        self._seen: tuple[Position, ...] | None = None
        self._moved_at = time.monotonic()

    async def run(self) -> None:
        """Report at every interval, flush at every few, until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(self._interval_s)
            rounds += 1
            try:
                await self.report()
                if rounds % self._flush_every == 0:
                    await self.flush()
            except MnemataError as error:
                log.warning("watch_waits", code=error.code)

    async def report(self) -> None:
        """Set the gauges of lag and size; sound the alarm where changes wait and the feed does not move."""
        async with self._database.platform() as transaction:
            lag = await lag_behind(transaction, self._barrier)
        statistics = await self._index.statistics()
        age_s = 0.0 if lag.oldest is None else max((self._clock.now() - lag.oldest).total_seconds(), 0.0)
        self._metrics.index_lag_changes.set(lag.changes)
        self._metrics.index_lag_seconds.set(age_s)
        self._metrics.index_documents.set(statistics.documents)
        self._metrics.index_bytes.set(statistics.bytes_on_disk)
        if self._stands_still(waiting=lag.changes > 0):
            self._metrics.feed_stalls.inc()
            log.error("feed_stands_still", waiting_changes=lag.changes, oldest_change_age_s=round(age_s, 1))

    def _stands_still(self, *, waiting: bool) -> bool:
        """Whether changes wait and none was applied for long. A feed that is merely long is no alarm."""
        positions, now = self._barrier.positions, time.monotonic()
        if positions != self._seen or not waiting:
            self._seen, self._moved_at = positions, now
        return now - self._moved_at > _STALL_AFTER_S

    async def flush(self) -> None:
        """Make the index durable where it has moved, and note its position in the store."""
        positions = self._barrier.positions
        if positions == self._flushed:
            return
        await self._index.flush()
        statistics = await self._index.statistics()
        async with self._database.platform() as transaction:
            await transaction.report_position(
                self._name,
                epoch=statistics.epoch,
                position=statistics.durable_position,
                now=self._clock.now(),
            )
        self._flushed = positions
