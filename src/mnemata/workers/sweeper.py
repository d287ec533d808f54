"""Ends what is over: expired memories leave every read, and forgotten ones are purged after the grace period."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from mnemata.domain.clock import Clock
from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.barrier import IndexBarrier
from mnemata.store.database import Database

log = get_logger("workers")

_CHUNK = 500
_SOONEST_S = 0.05


class Sweeper:
    def __init__(
        self,
        database: Database,
        barrier: IndexBarrier,
        *,
        clock: Clock,
        metrics: Metrics,
        interval_s: float,
        purge_after_s: float,
    ) -> None:
        self._database = database
        self._barrier = barrier
        self._clock = clock
        self._metrics = metrics
        self._interval_s = interval_s
        self._purge_after = timedelta(seconds=purge_after_s)

    async def run(self) -> None:
        """Sweep for ever: at every interval, and at the moment when the next memory expires."""
        while True:
            wait_s = self._interval_s
            try:
                await self.sweep()
                wait_s = await self._until_next()
            except MnemataError as error:
                log.warning("sweep_waits", code=error.code)
            await asyncio.sleep(wait_s)

    async def sweep(self) -> dict[str, int]:
        """Expire and purge what is due now; how many memories of each."""
        expired = await self._expire()
        purged = await self._purge()
        await self._drop_keys()
        if expired or purged:
            self._barrier.wake()
            log.info("swept", expired=expired, purged=purged)
        return {"expired": expired, "purged": purged}

    async def _expire(self) -> int:
        done = 0
        while True:
            async with self._database.platform() as transaction:
                count = await transaction.expire_due(self._clock.now(), limit=_CHUNK)
            self._metrics.swept.labels("expired").inc(count)
            done += count
            if count < _CHUNK:
                return done

    async def _purge(self) -> int:
        done = 0
        while True:
            async with self._database.platform() as transaction:
                count = await transaction.purge_due(self._clock.now() - self._purge_after, limit=_CHUNK)
            self._metrics.swept.labels("purged").inc(count)
            done += count
            if count < _CHUNK:
                return done

    async def _drop_keys(self) -> None:
        async with self._database.platform() as transaction:
            await transaction.drop_idempotency_keys(self._clock.now())

    async def _until_next(self) -> float:
        async with self._database.platform() as transaction:
            due = await transaction.next_expiry()
        if due is None:
            return self._interval_s
        seconds = (due - self._clock.now()).total_seconds()
        return min(max(seconds, _SOONEST_S), self._interval_s)
