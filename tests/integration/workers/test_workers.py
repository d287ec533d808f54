import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
import tantivy

from mnemata import settings as settings_module
from mnemata.domain.change import Position
from mnemata.domain.clock import ManualClock
from mnemata.domain.errors import EmbedderUnavailable, MemoryNotFound
from mnemata.domain.memory import Memory, MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.domain.vector import Space
from mnemata.embedding.hashing import HashingEmbedder
from mnemata.platform import Platform
from mnemata.services.embedding_ahead import EmbeddingAhead
from mnemata.services.outcome import WaitFor
from mnemata.settings import Settings
from mnemata.workers.backfill import Backfill
from mnemata.workers.indexer import Indexer


class Moody:
    """A real embedder that refuses to work while it is told to."""

    def __init__(self) -> None:
        self._inner = HashingEmbedder()
        self.refuses = False

    @property
    def space(self) -> Space:
        return self._inner.space

    def embed_documents(self, texts: list[str]) -> np.ndarray:
        self._mind()
        return self._inner.embed_documents(texts)

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        self._mind()
        return self._inner.embed_queries(texts)

    def close(self) -> None:
        self._inner.close()

    def _mind(self) -> None:
        if self.refuses:
            raise EmbedderUnavailable(what="The embedding model", reason="it is in a mood", retry_after_s=1)


class Slow(HashingEmbedder):
    """A real embedder that takes its time for each text."""

    def embed_documents(self, texts: list[str]) -> np.ndarray:
        time.sleep(0.02 * len(texts))
        return super().embed_documents(texts)


@pytest.fixture
def moody() -> Moody:
    return Moody()


@pytest.fixture
async def moody_platform(settings: Settings, moody: Moody) -> AsyncIterator[Platform]:
    opened = await Platform.open(settings, embedder=moody)
    yield opened
    await opened.close()


async def store(platform: Platform, scope: Scope, content: str, **fields: object) -> Memory:
    return (await platform.services.remember.one(scope, MemoryDraft(**{"content": content, **fields}))).memory


async def search(platform: Platform, scope: Scope, text: str, mode: Mode = Mode.LEXICAL) -> list[str]:
    answer = await platform.services.recall.search(scope, Query(text=text, words=Words(text=text), mode=mode))
    return [hit.memory.content for hit in answer.hits]


async def until(condition: object, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_without_the_model_writes_succeed_and_words_find_and_the_vector_follows(
    moody_platform: Platform, moody: Moody, scope: Scope
) -> None:
    moody.refuses = True
    await store(moody_platform, scope, "a walrus in the fog")
    assert await search(moody_platform, scope, "walrus") == ["a walrus in the fog"]
    answer = await moody_platform.services.recall.search(
        scope, Query(text="walrus", words=Words(text="walrus"), mode=Mode.HYBRID)
    )
    assert answer.degraded == ("vector",)
    assert [hit.memory.content for hit in answer.hits] == ["a walrus in the fog"]
    moody.refuses = False

    async def by_meaning() -> bool:
        return await search(moody_platform, scope, "walrus fog", Mode.VECTOR) == ["a walrus in the fog"]

    await until(by_meaning)


SIXTY_FOUR = {"batch_size": 64}


async def store_two_hundred(platform: Platform, scope: Scope) -> None:
    drafts = [MemoryDraft(content=f"walrus number {number}") for number in range(200)]
    await platform.services.remember.many(scope, drafts, wait_for=WaitFor.NONE)

    async def all_are_found() -> bool:
        return (await platform.services.status.report(scope))["index"]["documents"] == 200

    await until(all_are_found)


async def test_batches_of_the_feed_shrink_where_the_model_is_slow(
    settings: Settings, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a fleet, whose writers are other processes: nothing was embedded ahead of the indexer.
    monkeypatch.setattr(EmbeddingAhead, "begin", lambda *_: None)
    # Nor by the first look for what has no vector, which on a busy machine comes when all is stored.
    monkeypatch.setattr(Backfill, "run", lambda _: asyncio.Event().wait())
    chosen = settings.model_copy(update={"index": settings.index.model_copy(update=SIXTY_FOUR)})
    platform = await Platform.open(chosen, embedder=Slow())
    try:
        await store_two_hundred(platform, scope)

        assert platform.indexer.batch < 64
    finally:
        await platform.close()


async def test_batches_of_the_feed_do_not_shrink_where_the_index_is_slow(
    settings: Settings, scope: Scope
) -> None:
    chosen = settings.model_copy(update={"index": settings.index.model_copy(update=SIXTY_FOUR)})
    platform = await Platform.open(chosen, embedder=HashingEmbedder())
    apply = platform.index.apply

    async def apply_slowly(*given: object, **named: object) -> None:
        await asyncio.sleep(0.5)
        await apply(*given, **named)

    platform.index.apply = apply_slowly
    try:
        await store_two_hundred(platform, scope)

        # Each step would cost the same with half as many changes, and there would be twice as many.
        assert platform.indexer.batch == 64
    finally:
        await platform.close()


async def test_a_poisonous_change_is_set_aside_and_the_rest_goes_on(
    platform: Platform, database_url: str, scope: Scope
) -> None:
    bad = await store(platform, scope, "the one that breaks")
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        # A vector that is not of the space's length: what a damaged disk or a foreign program could leave behind.
        async with asyncio.timeout(60):
            damage = "UPDATE embeddings SET dimensions = 1, vector = '\\x00112233'::bytea"
            while (await connection.execute(damage)).rowcount == 0:
                await asyncio.sleep(0.01)
    await platform.services.revise.patch(scope, bad.id, {"tags": ["again"]})
    await store(platform, scope, "the one that follows")
    assert await search(platform, scope, "follows") == ["the one that follows"]
    report = await platform.services.status.report(scope)
    assert report["feed"]["set_aside"]["count"] == 1
    assert report["feed"]["set_aside"]["newest"][0]["memory_id"] == str(bad.id)
    assert report["feed"]["changes_waiting"] == 0


async def test_a_rebuild_answers_the_same_and_loses_no_write_made_meanwhile(
    platform: Platform, scope: Scope
) -> None:
    for number in range(30):
        await store(platform, scope, f"walrus number w{number}x", session_id="s", sequence=number)
    before = await search(platform, scope, "walrus w7x", Mode.HYBRID)
    told: list[tuple[int, int]] = []

    async def write_meanwhile() -> None:
        for number in range(30):
            await store(platform, scope, f"late l{number}x")
            assert await search(platform, scope, f"l{number}x") == [f"late l{number}x"]

    facts, _ = await asyncio.gather(
        platform.services.operations.rebuild(scope, lambda done, total: told.append((done, total))),
        write_meanwhile(),
    )
    assert facts["documents"] >= 30
    assert told[-1][0] >= 30
    assert await search(platform, scope, "walrus w7x", Mode.HYBRID) == before
    for number in range(30):
        assert await search(platform, scope, f"l{number}x") == [f"late l{number}x"]


@pytest.mark.parametrize("damage", ["gone", "garbage", "half"])
async def test_a_missing_or_damaged_index_is_built_again_from_the_store(
    settings: Settings, scope: Scope, damage: str
) -> None:
    platform = await Platform.open(settings)
    for number in range(40):
        await store(platform, scope, f"walrus number w{number}x")
    await platform.close()
    _damage(settings.data_dir / "index", damage)
    platform = await Platform.open(settings)
    try:
        # Whatever the index can do by now, nothing that was stored is missing from the answer.
        assert await search(platform, scope, "w17x") == ["walrus number w17x"]

        async def whole() -> bool:
            answer = await platform.services.recall.search(
                scope, Query(text="w23x", words=Words(text="w23x"))
            )
            return answer.degraded == () and answer.hits[0].memory.content == "walrus number w23x"

        await until(whole)
    finally:
        await platform.close()


def _damage(index: Path, damage: str) -> None:
    if damage == "gone":
        shutil.rmtree(index)
        return
    files = [path for path in sorted(index.rglob("*")) if path.is_file() and path.stat().st_size > 0]
    assert files
    for path in files:
        content = path.read_bytes()
        path.write_bytes(b"\xff" * len(content) if damage == "garbage" else content[: len(content) // 2])


async def test_what_was_stored_is_found_after_a_restart(settings: Settings, scope: Scope) -> None:
    platform = await Platform.open(settings)
    memory = await store(platform, scope, "remember the walrus")
    await platform.close()
    platform = await Platform.open(settings)
    try:
        assert await search(platform, scope, "walrus", Mode.HYBRID) == ["remember the walrus"]
        assert await platform.services.read.get(scope, memory.id) == memory
    finally:
        await platform.close()


async def test_another_model_is_another_space_and_the_index_is_built_for_it(
    settings: Settings, scope: Scope
) -> None:
    platform = await Platform.open(settings)
    await store(platform, scope, "remember the walrus")
    await platform.close()
    other = settings.model_copy(update={"embedding": settings.embedding.model_copy(update={"model": "none"})})
    platform = await Platform.open(other)
    try:
        assert await search(platform, scope, "walrus", Mode.LEXICAL) == ["remember the walrus"]
        answer = await platform.services.recall.search(
            scope, Query(text="walrus", words=Words(text="walrus"))
        )
        assert answer.degraded[:1] == ("vector",) or "vector" in answer.degraded
    finally:
        await platform.close()


async def test_what_has_expired_leaves_and_what_was_forgotten_is_purged_after_the_grace(
    settings: Settings, scope: Scope, database_url: str
) -> None:
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=UTC))
    quick = settings_module.load(
        environment={},
        **settings.model_dump(exclude={"retention", "database"}),
        database={"url": database_url},
        retention={"sweep_interval_s": 0.05, "purge_after_s": 3_600},
    )
    platform = await Platform.open(quick, clock=clock)
    try:
        memory = await store(platform, scope, "for an hour", expires_at=clock.now() + timedelta(minutes=5))
        assert await search(platform, scope, "hour") == ["for an hour"]
        clock.set(clock.now() + timedelta(minutes=6))

        async def expired() -> bool:
            history = await platform.services.read.history(scope, memory.id)
            return history[0].operation.value == "expired"

        await until(expired)
        assert await search(platform, scope, "hour") == []
        clock.set(clock.now() + timedelta(hours=2))

        async def purged() -> bool:
            try:
                await platform.services.read.history(scope, memory.id)
            except MemoryNotFound:
                return True
            return False

        await until(purged)
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            for table in ("memories", "versions", "embeddings"):
                row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()
                assert row == (0,), table
        await nothing_waits(platform, scope)
        assert await indexed(platform) == (0, 0)
        await platform.services.operations.rebuild(scope)
        assert await indexed(platform) == (0, 0)
    finally:
        await platform.close()


async def nothing_waits(platform: Platform, scope: Scope) -> None:
    async def applied() -> bool:
        return (await platform.services.status.report(scope))["feed"]["changes_waiting"] == 0

    await until(applied)


async def indexed(platform: Platform) -> tuple[int, int]:
    """How many documents and how many vectors the index has."""
    statistics = await platform.index.statistics()
    return statistics.documents, statistics.vectors


async def test_a_rebuild_and_a_drop_leave_no_word_of_a_purged_memory_in_the_files_of_the_index(
    settings: Settings, scope: Scope
) -> None:
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=UTC))
    retention = settings.retention.model_copy(update={"sweep_interval_s": 3_600.0, "purge_after_s": 60.0})
    platform = await Platform.open(settings.model_copy(update={"retention": retention}), clock=clock)
    try:
        secret = await store(platform, scope, "a walrus named qzxvwk", tags=["qzxvwk"], user_id="qzxvwk")
        await store(platform, scope, "a walrus that stays", tags=["stays"])
        await platform.index.flush()
        assert files_with(settings.data_dir / "index", "qzxvwk") == {"lexical", "g1-columns.log"}

        await platform.services.forget.one(scope, secret.id)
        clock.set(clock.now() + timedelta(minutes=2))
        assert (await platform.services.operations.sweep(scope))["purged"] == 1
        await nothing_waits(platform, scope)
        assert await indexed(platform) == (1, 1)
        old = platform.index.name
        await platform.services.operations.rebuild(scope)
        assert await indexed(platform) == (1, 1)
        await platform.services.index.drop(scope, old)

        await platform.index.flush()
        assert files_with(settings.data_dir / "index", "stays") == {"lexical", "g1-columns.log"}
        assert files_with(settings.data_dir / "index", "qzxvwk") == set()
        assert await search(platform, scope, "walrus") == ["a walrus that stays"]
    finally:
        await platform.close()


def files_with(folder: Path, word: str) -> set[str]:
    """The files under the folder that hold the word.

    Of tantivy's the words can be asked: a dictionary of terms is packed too tightly to show them.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    searchers = {
        path: tantivy.Index.open(str(path.parent)).searcher() for path in files if path.name == "meta.json"
    }
    asked = {path.parent.name for path, searcher in searchers.items() if searcher.doc_freq("content", word)}
    return asked | {path.name for path in files if word.encode() in path.read_bytes()}


async def test_keys_open_their_tenant_until_they_are_revoked(platform: Platform, scope: Scope) -> None:
    access = platform.services.access
    made = await access.create_key(scope, role=Role.READER, label="dashboard")
    inside = await access.authenticate(made.secret)
    assert (inside.tenant, inside.role) == (scope.tenant, Role.READER)
    assert [key.label for key in await access.list_keys(scope)] == ["dashboard"]
    await access.revoke_key(scope, made.key.id)
    with pytest.raises(Exception, match="not known"):
        await access.authenticate(made.secret)


async def test_what_an_older_transaction_held_back_is_found_soon_after_its_end(
    settings: Settings, scope: Scope, database_url: str
) -> None:
    platform = await Platform.open(
        settings.model_copy(update={"index": settings.index.model_copy(update={"poll_interval_s": 50.0})})
    )
    try:
        with psycopg.connect(database_url) as older:
            older.execute("SELECT pg_current_xact_id()")
            writing = asyncio.create_task(store(platform, scope, "a walrus in the fog"))
            # Committed, and woken for; what is read meanwhile does not have it.
            async with asyncio.timeout(60):
                while not platform.barrier.waited_for:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert not writing.done()
        async with asyncio.timeout(30):
            await writing
        assert await search(platform, scope, "walrus") == ["a walrus in the fog"]
    finally:
        await platform.close()


async def test_who_hears_that_a_memory_is_found_is_answered_by_the_index(
    platform: Platform, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(platform, scope, "before")
    keeping, kept, reached = asyncio.Event(), platform.indexer._vectors.keep, platform.barrier.position

    async def late() -> None:
        if platform.barrier.position > reached:
            await keeping.wait()
        await kept()

    monkeypatch.setattr(platform.indexer._vectors, "keep", late)
    platform.index_ready.clear()
    try:
        stored = await platform.services.remember.one(scope, MemoryDraft(content="a pelican"))
        answer = await platform.services.recall.search(
            scope, Query(text="pelican", words=Words(text="pelican"))
        )
    finally:
        keeping.set()

    assert stored.indexed
    assert (answer.hits[0].memory.id, answer.degraded) == (stored.memory.id, ())


async def test_an_indexer_that_failed_goes_on_where_the_index_is(
    platform: Platform, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(platform, scope, "before the fall")
    reached, begun, step, run = platform.barrier.position, [], Indexer.step, Indexer.run

    # Not those of a server that other tests keep in this process.
    async def noted(self: Indexer, position: Position) -> None:
        if self is platform.indexer:
            begun.append(position)
        await run(self, position)

    async def failing(self: Indexer) -> bool:
        if self is platform.indexer and not begun:
            raise RuntimeError
        return await step(self)

    monkeypatch.setattr(Indexer, "run", noted)
    monkeypatch.setattr(Indexer, "step", failing)
    await store(platform, scope, "after the fall")
    assert begun
    assert min(begun) >= reached
