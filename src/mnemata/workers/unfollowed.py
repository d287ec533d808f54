"""Deletes the indices of models and formats that no process uses any more."""

from __future__ import annotations

import asyncio

from mnemata.domain.errors import MnemataError
from mnemata.index.protocol import SearchIndex
from mnemata.observability.logging import get_logger
from mnemata.store.database import Database
from mnemata.workers.partitions import watch_lease

log = get_logger("workers")

_INTERVAL_S = 600.0


class Unfollowed:
    """An index whose last worker ended `keep_s` seconds ago is used no more. One of which no worker is known is left alone."""

    def __init__(self, database: Database, index: SearchIndex, *, keep_s: float) -> None:
        self._database = database
        self._index = index
        self._keep_s = keep_s

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
        left: list[str] = []
        for name in await self._index.relatives():
            async with self._database.platform() as transaction:
                over_s = await transaction.leases.over_for(watch_lease(name))
            if over_s is None or over_s < self._keep_s:
                continue
            await self._index.forget_relative(name)
            async with self._database.platform() as transaction:
                await transaction.forget_position(name)
            log.warning("unfollowed_index_deleted", index=name, unused_s=round(over_s))
            left.append(name)
        return left
