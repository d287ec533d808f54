"""Scheduled backups, oldest dropped first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from mnemata.domain.clock import Clock
from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics

log = get_logger("workers")

_STARTED_WITHIN_S = 300.0


class BackupSchedule:
    """`newest`: when the newest scheduled backup was made; None where there is none. `started`: set after start-up."""

    def __init__(
        self,
        back_up: Callable[[], Awaitable[None]],
        newest: Callable[[], Awaitable[datetime | None]],
        *,
        started: asyncio.Event,
        interval_s: float,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._back_up = back_up
        self._newest = newest
        self._started = started
        self._interval_s = interval_s
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Back up at every interval until cancelled; one that fails is counted and the next one tried.

        The first one when the newest is an interval old, whenever this process began: it may have been started again
        and again.
        """
        # A start has enough to do. One that takes very long is no reason to have no backup.
        with suppress(TimeoutError):
            async with asyncio.timeout(_STARTED_WITHIN_S):
                await self._started.wait()
        await asyncio.sleep(await self._due_in_s())
        while True:
            await self._once()
            await asyncio.sleep(self._interval_s)

    async def _due_in_s(self) -> float:
        newest = await self._newest()
        if newest is None:
            return 0.0
        age_s = (self._clock.now() - newest).total_seconds()
        # One of the future, by a clock that was put back since, is waited for as one that was made now.
        return min(max(self._interval_s - age_s, 0.0), self._interval_s)

    async def _once(self) -> None:
        try:
            await self._back_up()
        except Exception as error:
            self._metrics.backups.labels("failed").inc()
            code = error.code if isinstance(error, MnemataError) else type(error).__name__
            log.exception("scheduled_backup_failed", code=code)
        else:
            self._metrics.backups.labels("ok").inc()
