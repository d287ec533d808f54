"""Doubts about a cache that processes share: raised where it could not be told of a write, mended by a new epoch in it."""

from __future__ import annotations

from dataclasses import dataclass

from mnemata.store.connection import Parameters
from mnemata.store.repository import Repository
from mnemata.store.statements import Statement, statements

_SQL = statements("doubts")

DOUBT_CHANNEL = "mnemata_doubt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How many doubts were told, and how many of them are mended."""

    told: int = 0
    mended: int = 0

    @property
    def open(self) -> bool:
        return self.told > self.mended


class Doubts(Repository):
    """By the namespace of the cache's keys."""

    async def raise_(self, cache: str) -> Doubt:
        """One more, told to whoever listens too: those told before may be mended already."""
        parameters = {"cache": cache, "channel": DOUBT_CHANNEL}
        return await self._doubt(_SQL["raise"], parameters)

    async def mend(self, cache: str, told: int) -> Doubt:
        """Say that everything cached was given up after so many had been told; what is true then."""
        return await self._doubt(_SQL["mend"], {"cache": cache, "told": told})

    async def read(self, cache: str) -> Doubt:
        return await self._doubt(_SQL["read"], {"cache": cache})

    async def _doubt(self, statement: Statement, parameters: Parameters) -> Doubt:
        row = await self._session.row(statement, parameters)
        return Doubt() if row is None else Doubt(told=row[0], mended=row[1])
