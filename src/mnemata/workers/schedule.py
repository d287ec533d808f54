"""Scheduled backups, oldest dropped first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics

log = get_logger("workers")


class BackupSchedule:
    def __init__(
        self, back_up: Callable[[], Awaitable[None]], *, interval_s: float, metrics: Metrics
    ) -> None:
        self._back_up = back_up
        self._interval_s = interval_s
        self._metrics = metrics

    async def run(self) -> None:
        """Back up at every interval until cancelled; one that fails is counted and the next one tried."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._back_up()
            except MnemataError as error:
                self._metrics.backups.labels("failed").inc()
                log.exception("scheduled_backup_failed", code=error.code)
            else:
                self._metrics.backups.labels("ok").inc()
