"""Search in the store itself: for the past, and for the present while the index is not there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from mnemata.domain.filter import Filter
from mnemata.domain.query import Candidate, Mode, Words
from mnemata.domain.scope import Scope
from mnemata.domain.vector import Space
from mnemata.embedding.protocol import Vector
from mnemata.index.protocol import Legs
from mnemata.store.database import Database, TenantTransaction

MAX_COMPARED = 20_000
"""Vectors of the past that are compared one by one; more than that and the answer says that the leg is degraded."""


class StoreSearch:
    """Words by PostgreSQL's full text, meaning by exact comparison. Slower than the index, and always there."""

    def __init__(self, database: Database, *, space: Space) -> None:
        self._database = database
        self._space = space

    async def search(
        self,
        scope: Scope,
        *,
        mode: Mode,
        words: Words,
        vector: Vector | None,
        condition: Filter,
        depth: int,
        now: datetime,
        as_of: datetime | None,
    ) -> Legs:
        """What the legs find among the memories as they were at `as_of`, or as they are."""
        degraded: list[str] = []
        lexical: Sequence[Candidate] = ()
        nearest: Sequence[Candidate] = ()
        async with self._database.tenant(scope) as transaction:
            if as_of is None:
                total = await transaction.memories.count(condition, now=now)
            else:
                total = await transaction.memories.count_as_of(condition, as_of=as_of)
            if mode is not Mode.VECTOR and not words.empty:
                lexical = await transaction.memories.search_words(
                    words, condition, limit=depth, now=now, as_of=as_of
                )
            if mode is not Mode.LEXICAL and vector is not None:
                if total > MAX_COMPARED:
                    degraded.append("vector")
                else:
                    nearest = await self._nearest(
                        transaction, vector, condition, depth=depth, now=now, as_of=as_of
                    )
        found = len(lexical) if mode is Mode.LEXICAL else total
        return Legs(lexical=lexical, vector=nearest, total=found, degraded=tuple(degraded))

    async def _nearest(
        self,
        transaction: TenantTransaction,
        vector: Vector,
        condition: Filter,
        *,
        depth: int,
        now: datetime,
        as_of: datetime | None,
    ) -> list[Candidate]:
        ids, rows = await transaction.memories.vectors(
            self._space, condition, limit=MAX_COMPARED, now=now, as_of=as_of
        )
        if not ids:
            return []
        scores = rows @ vector
        order = np.argsort(-scores, kind="stable")[:depth]
        return [Candidate(memory_id=ids[place], score=float(scores[place])) for place in order]
