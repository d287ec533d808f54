"""Search in the store itself: for the past, and for the present while the index is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from mnemata.domain.filter import Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate, Mode, Words
from mnemata.domain.scope import Scope
from mnemata.domain.vector import Space
from mnemata.embedding.protocol import Vector
from mnemata.index.protocol import Legs
from mnemata.store.database import Database, TenantTransaction

MAX_COMPARED = 20_000
"""Vectors that are compared one by one; where there are more, the answer says that the leg is degraded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked, of the memories as they were at `as_of`, or as they are `now`."""

    words: Words
    condition: Filter
    depth: int
    now: datetime
    as_of: datetime | None


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
        """What the legs find; phrases, prefixes and exclusions hold in both."""
        asked = _Question(words=words, condition=condition, depth=depth, now=now, as_of=as_of)
        degraded: list[str] = []
        lexical: Sequence[Candidate] = ()
        nearest: Sequence[Candidate] = ()
        async with self._database.tenant(scope) as transaction:
            total = await _count(transaction, asked)
            if mode is not Mode.VECTOR and not words.empty:
                lexical = await _found(transaction, asked, words, limit=depth)
            if mode is not Mode.LEXICAL and vector is not None:
                if total > MAX_COMPARED:
                    degraded.append("vector")
                else:
                    nearest = await self._nearest(transaction, asked, vector)
        found = len(lexical) if mode is Mode.LEXICAL else total
        return Legs(lexical=lexical, vector=nearest, total=found, degraded=tuple(degraded))

    async def _nearest(
        self, transaction: TenantTransaction, asked: _Question, vector: Vector
    ) -> list[Candidate]:
        ids, rows = await transaction.memories.vectors(
            self._space, asked.condition, limit=MAX_COMPARED, now=asked.now, as_of=asked.as_of
        )
        if not ids:
            return []
        required = await _required(transaction, asked)
        excluded = await _excluded(transaction, asked)
        scores = rows @ vector
        order = np.argsort(-scores, kind="stable")
        ranked = (Candidate(memory_id=ids[place], score=float(scores[place])) for place in order)
        held = [
            candidate
            for candidate in ranked
            if (required is None or candidate.memory_id in required) and candidate.memory_id not in excluded
        ]
        return held[: asked.depth]


async def _count(transaction: TenantTransaction, asked: _Question) -> int:
    if asked.as_of is None:
        return await transaction.memories.count(asked.condition, now=asked.now)
    return await transaction.memories.count_as_of(asked.condition, as_of=asked.as_of)


async def _found(
    transaction: TenantTransaction, asked: _Question, words: Words, *, limit: int
) -> list[Candidate]:
    return await transaction.memories.search_words(
        words, asked.condition, limit=limit, now=asked.now, as_of=asked.as_of
    )


async def _required(transaction: TenantTransaction, asked: _Question) -> set[MemoryId] | None:
    """The memories that have every phrase and prefix; None where there are none of either."""
    if not (asked.words.phrases or asked.words.prefixes):
        return None
    must = replace(asked.words, text="", excluded=())
    return {found.memory_id for found in await _found(transaction, asked, must, limit=MAX_COMPARED)}


async def _excluded(transaction: TenantTransaction, asked: _Question) -> set[MemoryId]:
    """The memories that have any of the words or phrases that must not match."""
    gone: set[MemoryId] = set()
    for text in asked.words.excluded:
        found = await _found(transaction, asked, Words(phrases=(text,)), limit=MAX_COMPARED)
        gone |= {candidate.memory_id for candidate in found}
    return gone
