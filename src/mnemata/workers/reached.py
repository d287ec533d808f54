"""Tells this process's barrier what the processes that feed the index have reached."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import groupby
from operator import itemgetter

from mnemata.domain.change import START
from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger
from mnemata.services.barrier import IndexBarrier
from mnemata.store.database import Database
from mnemata.store.leases import REACHED_CHANNEL, Reached, read, read_ahead

log = get_logger("workers")

_POLL_S = 1.0
_DEAF_POLL_S = 0.025
_DEAF_IDLE_S = 0.25


class ReachedListener:
    """Hears of positions as they are reached, and reads them from their table in case that it did not hear."""

    def __init__(
        self,
        database: Database,
        barrier: IndexBarrier,
        *,
        name: str,
        resume: Callable[[], Awaitable[object]],
        caught_up: asyncio.Event,
    ) -> None:
        self._database = database
        self._barrier = barrier
        self._name = name
        self._resume = resume
        self._caught_up = caught_up
        self._epoch = ""
        self._tokens: dict[int, int] = {}
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._poll())

    async def _listen(self) -> None:
        async for heard in self._database.listen(REACHED_CHANNEL):
            positions, ahead = read(heard.payload, self._name), read_ahead(heard.payload, self._name)
            for partition, position in positions:
                self._barrier.advance(position, partition=partition)
            for partition, places in groupby(ahead, key=itemgetter(0)):
                self._barrier.ahead([position for _, position in places], partition=partition)
            if not positions and not ahead:
                self._look.set()

    async def _poll(self) -> None:
        while True:
            try:
                await self.look()
            except MnemataError as error:
                log.warning("positions_not_read", code=error.code)
            await self._wait()

    async def _wait(self) -> None:
        """Until it is time to look again: soon, where nothing can be heard and somebody waits."""
        wait_s = _POLL_S
        if not self._database.listens:
            wait_s = _DEAF_POLL_S if self._barrier.waited_for else _DEAF_IDLE_S
        try:
            async with asyncio.timeout(wait_s):
                await self._look.wait()
        except TimeoutError:
            return
        finally:
            self._look.clear()

    async def look(self) -> None:
        """Read what every partition has reached. Whether the index has caught up is known after it."""
        async with self._database.platform() as transaction:
            epoch = await transaction.feed.epoch()
            rows = await transaction.leases.reached(self._name)
        if epoch != self._epoch:
            self._begin(epoch)
        rows = [row for row in rows if row.epoch == epoch and row.partition < self._barrier.partitions]
        for row in rows:
            self._note(row)
        if len(rows) < self._barrier.partitions or not all(row.caught_up for row in rows):
            self._caught_up.clear()
        elif not self._caught_up.is_set():
            # It may be another index than before.
            await self._resume()
            self._caught_up.set()

    def _begin(self, epoch: str) -> None:
        """What was reached in another epoch, a promoted standby's for one, says nothing of this one: positions there are lower."""
        self._epoch = epoch
        self._tokens.clear()
        self._caught_up.clear()
        self._barrier.start_from(START)

    def _note(self, row: Reached) -> None:
        """Forward; or back, where an owner began anew. A row that was read late never takes back what was heard since."""
        before, self._tokens[row.partition] = self._tokens.get(row.partition, 0), row.token
        if row.caught_up and row.token == before:
            self._barrier.advance(row.position, partition=row.partition)
        else:
            self._barrier.start_from(row.position, partition=row.partition)
