"""Keeps a process's clock at PostgreSQL's time: the processes of a fleet agree, whatever their machines' clocks say."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from mnemata.domain.clock import SteadyClock
from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger
from mnemata.store.database import Database

log = get_logger("workers")

_EVERY_S = 10.0
_TOLD_BEYOND = timedelta(seconds=1)
# Asked for so long, the answer says too little of what time it is now.
_SLOWEST_S = 0.5


class Timekeeper:
    def __init__(self, database: Database, clock: SteadyClock, *, every_s: float = _EVERY_S) -> None:
        self._database = database
        self._clock = clock
        self._every_s = every_s

    async def run(self) -> None:
        """Until cancelled. While the store does not answer, the clock goes on by itself."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.look()
            except MnemataError as error:
                log.warning("time_not_read", code=error.code)

    async def look(self, *, slowest_s: float = _SLOWEST_S) -> None:
        """Set the clock by the store's, unless the answer took longer than `slowest_s`. Raises as Database.platform."""
        async with self._database.platform() as transaction:
            # Waiting for a connection is over.
            asked = time.monotonic()
            at = await transaction.time()
            told = time.monotonic()
        if told - asked > slowest_s:
            return
        behind = self._clock.set(at, since=(asked + told) / 2)
        if abs(behind) > _TOLD_BEYOND:
            log.warning("clock_set", behind_s=round(behind.total_seconds(), 3))
