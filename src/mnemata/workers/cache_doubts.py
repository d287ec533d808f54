"""Keeps processes from reading a cache that one of them could not tell of a write.

Who cannot tell the cache raises a doubt in PostgreSQL. Who learns of it stops reading, begins a new epoch in the cache where
it can reach it, and says that it did: one such process is enough for all. A process reads the cache only for a while after it
has asked PostgreSQL, so that one which learns of nothing stops by itself, and who raised a doubt waits no longer than that.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from mnemata.cache.standing import Standing
from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger
from mnemata.store.database import Database
from mnemata.store.doubts import DOUBT_CHANNEL, Doubt

log = get_logger("workers")

SURE_S = 2.0
"""For so long after PostgreSQL said that there is no doubt, the cache is read."""

# Clocks of two machines do not run at quite the same speed.
_MARGIN = 1.05
_LOOK_S = 0.5
_DEAF_LOOK_S = 0.25
_MENDED_YET_S = 0.02
_SAY_AGAIN_S = 0.25

Renew = Callable[[], Awaitable[bool]]
"""Begins a new epoch in the cache; whether that was possible."""


class CacheDoubts:
    """Of one process. `cache`: the namespace of its keys; `standing`: what decides whether it is read."""

    def __init__(self, database: Database, standing: Standing, *, cache: str, sure_s: float = SURE_S) -> None:
        self._database = database
        self._standing = standing
        self._cache = cache
        self._sure_s = sure_s
        self._look_again = asyncio.Event()
        # Those who tell at once share a round that begins after all of them have come.
        self._turn = asyncio.Lock()
        self._begun = 0
        self._ended = 0
        self._known_to_all = 0
        standing.sure_until = -math.inf

    async def tell(self) -> None:
        """Return once no process reads what the cache held before; never raises, and waits for a PostgreSQL that is away."""
        came = self._begun
        async with self._turn:
            if self._ended > came:
                return
            self._begun += 1
            number = self._begun
            await self._round()
            self._ended = number

    async def run(self, renew: Renew) -> None:
        """Until cancelled: learn of doubts, and mend them."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._follow(renew))

    async def look(self, renew: Renew) -> None:
        """Ask PostgreSQL once, and mend what is in doubt. Raises what its transactions raise."""
        asked_at = time.monotonic()
        doubt = await self._read()
        if doubt.open:
            self._standing.sure_until = -math.inf
            if not await renew():
                return
            asked_at = time.monotonic()
            # Only then is the cache read again: who raises a doubt meanwhile sees by this row whether all know of one.
            doubt = await self._mend(doubt.told)
        if not doubt.open:
            self._standing.sure_until = asked_at + self._sure_s

    async def _round(self) -> None:
        raised = await self._raise()
        if raised.mended < self._known_to_all:
            # That doubt has never been mended, and whoever has not learned of it has long been unsure.
            return
        try:
            async with asyncio.timeout(self._sure_s * _MARGIN):
                await self._mended(raised.told)
        except TimeoutError:
            self._known_to_all = raised.told
            log.warning("cache_in_doubt", told=raised.told)

    async def _raise(self) -> Doubt:
        while True:
            try:
                async with self._database.platform(single=True) as transaction:
                    doubt = await transaction.doubts.raise_(self._cache)
            except MnemataError as error:
                log.warning("cache_doubt_not_told", code=error.code)
                await asyncio.sleep(_SAY_AGAIN_S)
            else:
                self._look_again.set()
                return doubt

    async def _mended(self, told: int) -> None:
        while True:
            try:
                if (await self._read()).mended >= told:
                    return
            except MnemataError as error:
                log.warning("cache_doubts_not_read", code=error.code)
            await asyncio.sleep(_MENDED_YET_S)

    async def _listen(self) -> None:
        async for _ in self._database.listen(DOUBT_CHANNEL):
            self._look_again.set()

    async def _follow(self, renew: Renew) -> None:
        while True:
            try:
                await self.look(renew)
            except MnemataError as error:
                log.warning("cache_doubts_not_read", code=error.code)
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_S if self._database.listens else _DEAF_LOOK_S):
                await self._look_again.wait()
        except TimeoutError:
            return
        finally:
            self._look_again.clear()

    async def _read(self) -> Doubt:
        async with self._database.platform(single=True) as transaction:
            return await transaction.doubts.read(self._cache)

    async def _mend(self, told: int) -> Doubt:
        async with self._database.platform(single=True) as transaction:
            return await transaction.doubts.mend(self._cache, told)
