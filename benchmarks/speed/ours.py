"""The platform's own search, without HTTP: the index alone, and the whole use case with its round trip to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.corpus import Corpus, Turn
from benchmarks.speed.peers.contestant import HITS, Ask
from benchmarks.speed.quiet import until_quiet
from mnemata.domain.change import Position
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, Filter
from mnemata.domain.ids import MemoryId, Uuid7Factory
from mnemata.domain.memory import GivenVector, Memory, MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.rules import new_memory
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.domain.vector import Space
from mnemata.embedding.onnx import MINILM
from mnemata.index.local.engine import LocalIndex
from mnemata.index.local.options import LocalOptions
from mnemata.index.protocol import Embedded, IndexQuery, Upsert
from mnemata.platform import Platform
from mnemata.ranking.defaults import DEPTH, FUSION
from mnemata.ranking.fusion import fuse
from mnemata.settings import load

_AT_ONCE = 1_000


class OurIndex:
    """`LocalIndex.search` and `fuse`."""

    def __init__(self) -> None:
        self.name = "Mnemata, index and fusion"
        self.about = f"default settings, {DEPTH} candidates a leg, five text fields, convex fusion"

    async def prepare(self, corpus: Corpus, folder: Path) -> None:
        space = Space(name="given", dimensions=corpus.vectors.shape[1])
        # Only the background's rhythm differs from the defaults: it comes to rest sooner.
        options = LocalOptions(fold_interval_s=0.5, save_interval_s=0.5)
        self._index = LocalIndex(folder, epoch="speed", space=space, options=options)
        self._number: dict[MemoryId, int] = {}
        await self._index.open()
        upserts = _upserts(corpus, space)
        for start in range(0, len(upserts), _AT_ONCE):
            batch = upserts[start : start + _AT_ONCE]
            await self._index.apply(batch, position=Position(xid=1, sequence=start + len(batch)))
        self._number = {upsert.memory.id: number for number, upsert in enumerate(upserts)}
        await self._index.flush()
        await asyncio.to_thread(until_quiet, still_s=2.0)

    async def introduce(self, asks: Sequence[Ask]) -> None:
        """Nothing: the index knows no cache."""

    async def ask(self, ask: Ask) -> Any:
        legs = await self._index.search(
            IndexQuery(
                tenant=DEFAULT_TENANT,
                mode=Mode.HYBRID,
                words=Words(text=ask.text),
                vector=ask.vector,
                filter=narrowed(ask),
                depth=DEPTH,
            )
        )
        return fuse(legs.lexical, legs.vector, FUSION)[:HITS]

    def numbers(self, answer: Any) -> Sequence[int]:
        return [self._number[fused.memory_id] for fused in answer]

    async def nearest(self, ask: Ask) -> Sequence[int]:
        query = IndexQuery(
            tenant=DEFAULT_TENANT,
            mode=Mode.VECTOR,
            words=Words(),
            vector=ask.vector,
            filter=narrowed(ask),
            depth=HITS,
        )
        legs = await self._index.search(query)
        return [self._number[candidate.memory_id] for candidate in legs.vector]

    async def close(self) -> None:
        await self._index.close()


class OurRecall:
    """`Recall.search` of an open platform: the vector is in the query cache, the memories come from PostgreSQL."""

    def __init__(self) -> None:
        self.name = "Mnemata, recall with hydration"
        self.about = "the whole use case without HTTP, the question's vector cached"

    async def prepare(self, corpus: Corpus, folder: Path) -> None:
        self._embedder = Remembered(corpus)
        settings = load(environment={}, data_dir=folder)
        self._scope = Scope(tenant=DEFAULT_TENANT, role=Role.WRITER)
        self._platform = await Platform.open(settings, embedder=self._embedder)
        self._number: dict[MemoryId, int] = {}
        turns = corpus.turns[: len(corpus.vectors)]
        for start in range(0, len(turns), _AT_ONCE):
            await self._store(corpus, turns[start : start + _AT_ONCE])
        # The index looks every ten seconds whether a graph is worth building; of few vectors it builds none.
        small = len(corpus.vectors) <= settings.index.exact_below
        await asyncio.to_thread(until_quiet, still_s=1.0 if small else 12.0)

    async def _store(self, corpus: Corpus, turns: Sequence[Turn]) -> None:
        drafts = [
            # Without a session, so that the index compares the very vectors that the others compare.
            MemoryDraft(
                content=turn.text,
                user_id=turn.user,
                role=turn.speaker,
                embedding=GivenVector(
                    space=self._embedder.space.name, values=tuple(corpus.vectors[turn.number].tolist())
                ),
            )
            for turn in turns
        ]
        stored = await self._platform.services.remember.many(self._scope, drafts)
        for turn, result in zip(turns, stored, strict=True):
            if isinstance(result, Exception):
                raise result
            self._number[result.memory.id] = turn.number

    async def introduce(self, asks: Sequence[Ask]) -> None:
        """Bring the questions' vectors into the query cache, by searches that find nothing."""
        for ask in asks:
            await self._search(replace(ask, user="nobody"), Mode.VECTOR)

    async def ask(self, ask: Ask) -> Any:
        return await self._search(ask, Mode.HYBRID)

    def numbers(self, answer: Any) -> Sequence[int]:
        return [self._number[hit.memory.id] for hit in answer.hits]

    async def nearest(self, ask: Ask) -> Sequence[int]:
        return self.numbers(await self._search(ask, Mode.VECTOR))

    async def close(self) -> None:
        await self._platform.close()

    async def _search(self, ask: Ask, mode: Mode) -> Any:
        self._embedder.known[ask.text] = ask.vector
        query = Query(text=ask.text, words=Words(text=ask.text), filter=narrowed(ask), mode=mode, limit=HITS)
        answer = await self._platform.services.recall.search(self._scope, query)
        if answer.degraded:
            raise SystemExit(f"the search was degraded ({answer.degraded}): its time means nothing")
        return answer


class Remembered:
    """An Embedder that knows the vectors of the questions: what is timed is the search, not the model."""

    def __init__(self, corpus: Corpus) -> None:
        self.space = Space(name=MINILM.space.name, dimensions=corpus.vectors.shape[1])
        self.known: dict[str, NDArray[np.float32]] = {}
        self._unknown = corpus.vectors[0]

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self.known.get(text, self._unknown) for text in texts], np.float32)

    embed_queries = embed_documents

    def close(self) -> None:
        self.known.clear()


def narrowed(ask: Ask) -> Filter:
    return EVERYTHING if ask.user is None else AnyOf(field=Field(name="user_id"), values=(ask.user,))


def _upserts(corpus: Corpus, space: Space) -> list[Upsert]:
    """Every turn with its neighbours' words, as the indexer gives them to the index; the vectors as they are."""
    ids, now = Uuid7Factory(), datetime.now(UTC)
    turns = corpus.turns[: len(corpus.vectors)]
    memories = [
        new_memory(_draft(turn), memory_id=ids.new(), tenant=DEFAULT_TENANT, now=now) for turn in turns
    ]
    return [
        Upsert(
            memory=memory,
            vector=Embedded(vector=corpus.vectors[number], space=space),
            before=_spoken(memories, number, number - 1),
            after=_spoken(memories, number, number + 1),
        )
        for number, memory in enumerate(memories)
    ]


def _draft(turn: Turn) -> MemoryDraft:
    return MemoryDraft(
        content=turn.text,
        user_id=turn.user,
        session_id=turn.session,
        sequence=turn.sequence,
        role=turn.speaker,
    )


def _spoken(memories: Sequence[Memory], own: int, other: int) -> str:
    if not 0 <= other < len(memories) or memories[other].session_id != memories[own].session_id:
        return ""
    return memories[other].embedded_text
