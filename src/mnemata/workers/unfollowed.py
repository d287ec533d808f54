"""Deletes the indices of models and formats that no process uses any more."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from mnemata.domain.clock import Clock
from mnemata.domain.errors import MnemataError
from mnemata.index.protocol import SearchIndex
from mnemata.observability.logging import get_logger
from mnemata.store.database import Database

log = get_logger("workers")

_INTERVAL_S = 600.0


class Unfollowed:
    """An index that has workers follows the feed: one that is behind it by `keep_s` seconds has none.

    Of an index that has not said yet where it is nothing is known: it is left alone.
    """

    def __init__(self, database: Database, index: SearchIndex, *, clock: Clock, keep_s: float) -> None:
        self._database = database
        self._index = index
        self._clock = clock
        self._keep = timedelta(seconds=keep_s)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except MnemataError as error:
                log.warning("unfollowed_indices_not_looked_for", code=error.code)
            await asyncio.sleep(_INTERVAL_S)

    async def look(self) -> list[str]:
        """One round of it: the names of the indices that were deleted."""
        before = self._clock.now() - self._keep
        left: list[str] = []
        for name in await self._index.relatives():
            async with self._database.platform() as transaction:
                if not await transaction.left_behind(name, before=before):
                    continue
            await self._index.forget_relative(name)
            async with self._database.platform() as transaction:
                await transaction.forget_position(name)
            left.append(name)
        return left
