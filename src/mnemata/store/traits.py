"""What memories are like, without their content: whose they are, how they are tagged, and their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.ids import MemoryId
from mnemata.domain.vector import Space
from mnemata.store.connection import Row
from mnemata.store.repository import TenantRepository
from mnemata.store.statements import statements

_SQL = statements("traits")

Vector: TypeAlias = NDArray[np.float32]
"""(d,) float32, of unit length, read-only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """One memory's. `vector` is its own, without its neighbours'; None while it is not there, or for ever without a model."""

    memory_id: MemoryId
    user_id: str | None
    tags: tuple[str, ...]
    created_at: datetime
    vector: Vector | None


class TraitsOfMemories(TenantRepository):
    async def latest_of_user(
        self, user_id: str, *, space: Space, limit: int, now: datetime, as_of: datetime | None = None
    ) -> list[Traits]:
        """The newest `limit` memories of the user that default reads see, the newest first. One round trip.

        `as_of`: as default reads saw them then, with the vectors of their texts of that time.
        """
        statement = _SQL["latest_of_user" if as_of is None else "latest_of_user_as_of"]
        asked = {"tenant": self._tenant, "user": user_id, "limit": limit, "moment": as_of or now}
        return [_traits(row) for row in await self._session.rows(statement, asked | _named(space))]

    async def traits(
        self, ids: Sequence[MemoryId], *, space: Space, as_of: datetime | None = None
    ) -> dict[MemoryId, Traits]:
        """Those of the memories that are there, whatever their state, or that were there at `as_of`. One round trip."""
        if not ids:
            return {}
        statement = _SQL["of_memories" if as_of is None else "of_memories_as_of"]
        asked = {"ids": list(ids), "moment": as_of}
        found = await self._session.rows(statement, asked | _named(space))
        return {traits.memory_id: traits for traits in map(_traits, found)}


def _named(space: Space) -> dict[str, str | int]:
    return {"space": space.name, "dimensions": space.dimensions}


def _traits(row: Row) -> Traits:
    return Traits(
        memory_id=MemoryId(row[0]),
        user_id=row[1],
        tags=tuple(row[2]),
        created_at=row[3],
        vector=None if row[4] is None else np.frombuffer(row[4], dtype="<f4"),
    )
