import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest

from mnemata.domain import rules
from mnemata.domain.clock import ManualClock
from mnemata.domain.errors import EmbedderUnavailable
from mnemata.domain.ids import SequentialIds
from mnemata.domain.memory import Memory, MemoryDraft, Operation
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.embedding.batcher import Batcher
from mnemata.embedding.hashing import HashingEmbedder
from mnemata.observability.metrics import Metrics
from mnemata.platform import Platform
from mnemata.services.embedding_ahead import EmbeddingAhead
from mnemata.services.just_written import JustWritten
from mnemata.services.model_health import ModelHealth
from mnemata.services.projection import VectorKey, vector_key
from mnemata.store.database import Database
from mnemata.workers.backfill import Backfill
from mnemata.workers.vectors import VectorSource

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Counting(HashingEmbedder):
    """A real embedder that counts its texts."""

    texts = 0
    broken = False

    def embed_documents(self, texts: list[str]) -> np.ndarray:
        if self.broken:
            raise EmbedderUnavailable(what="The model", reason="it is broken", retry_after_s=1.0)
        self.texts += len(texts)
        return super().embed_documents(texts)


@pytest.fixture
def database(platform: Platform) -> Database:
    return platform.store.database


@pytest.fixture
def embedder() -> Counting:
    return Counting()


@pytest.fixture
async def batcher(embedder: Counting) -> AsyncIterator[Batcher]:
    batcher = Batcher(embedder, metrics=Metrics())
    yield batcher
    await batcher.close()


@pytest.fixture
async def ahead(batcher: Batcher) -> EmbeddingAhead:
    return EmbeddingAhead(batcher, texts=4)


@pytest.fixture
async def source(
    database: Database, embedder: Counting, batcher: Batcher, ahead: EmbeddingAhead
) -> VectorSource:
    return VectorSource(
        database,
        batcher,
        space=embedder.space,
        health=ModelHealth(there=True),
        written=JustWritten(space=embedder.space),
        ahead=ahead,
    )


def memory_of(content: str) -> Memory:
    draft = MemoryDraft(content=content)
    return rules.new_memory(draft, memory_id=SequentialIds().new(), tenant=DEFAULT_TENANT, now=NOW)


@pytest.fixture
def memory() -> Memory:
    return memory_of("The kettle is in the attic.")


async def stored(database: Database, source: VectorSource, memory: Memory) -> dict[VectorKey, np.ndarray]:
    async with database.platform() as transaction:
        return await transaction.embeddings.get(source.space, [vector_key(memory)])


async def test_made_vectors_are_in_the_store_after_they_were_kept_and_not_before(
    database: Database, source: VectorSource, memory: Memory
) -> None:
    made = await source.of([memory], embed=[memory])
    before = await stored(database, source, memory)
    await source.keep()
    after = await stored(database, source, memory)

    assert before == {}
    assert np.array_equal(after[vector_key(memory)], made[memory.id])


async def test_a_text_is_not_embedded_again_while_its_vector_waits_to_be_kept(
    source: VectorSource, embedder: Counting, memory: Memory
) -> None:
    first = await source.of([memory], embed=[memory])
    again = await source.of([memory], embed=[memory])

    assert embedder.texts == 1
    assert np.array_equal(first[memory.id], again[memory.id])


async def test_vectors_are_there_while_they_are_brought_into_the_store(
    source: VectorSource, memory: Memory, database_url: str
) -> None:
    made = await source.of([memory], embed=[memory])
    with psycopg.connect(database_url) as slow:
        slow.execute("LOCK TABLE embeddings IN SHARE MODE")
        keeping = asyncio.create_task(source.keep())
        await asyncio.sleep(0)
        meanwhile = await source.of([memory], embed=[])
        assert not keeping.done()
    await keeping

    assert np.array_equal(meanwhile[memory.id], made[memory.id])


async def test_what_the_model_began_before_the_commit_is_not_embedded_again_and_is_kept(
    database: Database, source: VectorSource, ahead: EmbeddingAhead, embedder: Counting, memory: Memory
) -> None:
    ahead.begin([memory])
    found = await source.of([memory], embed=[memory])
    await source.keep()

    assert embedder.texts == 1
    assert np.array_equal((await stored(database, source, memory))[vector_key(memory)], found[memory.id])


async def test_what_the_model_failed_at_before_the_commit_is_embedded_by_the_indexer(
    source: VectorSource, ahead: EmbeddingAhead, embedder: Counting, memory: Memory
) -> None:
    embedder.broken = True
    ahead.begin([memory])
    coming = ahead.take(vector_key(memory))
    assert coming is not None
    assert await coming is None
    embedder.broken = False

    assert memory.id in await source.of([memory], embed=[memory])


async def test_what_nobody_took_makes_room_for_others(ahead: EmbeddingAhead) -> None:
    undone = [memory_of(f"undone {number}") for number in range(4)]
    ahead.begin(undone)
    ahead.begin([memory_of("there is no room for this one yet")])
    last = ahead.take(vector_key(undone[3]))
    assert last is not None
    await last
    wanted = [memory_of(f"wanted {number}") for number in range(3)]
    ahead.begin(wanted)

    assert ahead.take(vector_key(memory_of("there is no room for this one yet"))) is None
    assert all(ahead.take(vector_key(one)) is not None for one in wanted)


async def test_what_the_store_does_not_take_is_left_to_the_backfill(
    database: Database, source: VectorSource, memory: Memory
) -> None:
    await source.of([memory], embed=[memory])
    await database.close()
    await source.keep()

    assert source.wanting


async def test_backfill_looks_at_a_few_memories_a_statement_and_misses_none(
    platform: Platform, database: Database, source: VectorSource, embedder: Counting
) -> None:
    ids, scope = SequentialIds(), Scope(tenant=DEFAULT_TENANT, role=Role.WRITER)
    memories = [
        rules.new_memory(
            MemoryDraft(content=f"kettle {number}"), memory_id=ids.new(), tenant=DEFAULT_TENANT, now=NOW
        )
        for number in range(9)
    ]
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert(memories, operation=Operation.CREATED)
        # Those that the second look is at have their vectors already.
        there = await source.of(memories[3:6], embed=memories[3:6])
        await transaction.embeddings.put(
            source.space, {memory.embedding_key: there[memory.id] for memory in memories[3:6]}
        )
    batcher = Batcher(embedder, metrics=Metrics())
    backfill = Backfill(database, batcher, source, platform.barrier, clock=ManualClock(NOW), looked_at=3)

    first = await backfill.step(after=None)
    second = await backfill.step(after=first)
    third = await backfill.step(after=second)

    async with database.platform() as transaction:
        assert await transaction.embeddings.missing(source.space, limit=10) == []
    assert [first, second, third] == [memories[2].id, memories[5].id, memories[8].id]
    assert await backfill.step(after=third) is None
    await batcher.close()
