"""The store's history becomes another one under a running platform, and no connection breaks that would tell."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode, Query, Words


@pytest.fixture
def begin_another_epoch(database_url):
    """Begins it on a copy that lacks some memories: what a promoted standby is that was behind."""

    def begin(*lost):
        with psycopg.connect(database_url) as connection:
            for table, column in (("changes", "memory_id"), ("versions", "memory_id"), ("memories", "id")):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ANY(%s)", [list(lost)])
            connection.execute("UPDATE feed_epoch SET id = gen_random_uuid(), started_at = now()")
            # Numbers of transactions there are lower.
            connection.execute("UPDATE changes SET xid = '0'::xid8 WHERE xid <> '0'::xid8")

    return begin


async def epoch_of(platform):
    async with platform.store.database.platform() as transaction:
        return await transaction.feed.epoch()


async def found(platform, scope, text):
    query = Query(text=text, words=Words(text=text), mode=Mode.LEXICAL)
    answer = await platform.services.recall.search(scope, query)
    return {hit.memory.content for hit in answer.hits}, answer.degraded


async def test_index_is_filled_again_and_the_store_answers_meanwhile(
    platform, scope, begin_another_epoch, monkeypatch
):
    may_begin = asyncio.Event()
    drafts = [MemoryDraft(content=f"walrus number w{n}x") for n in range(4)]
    kept, *_, lost = [one.memory for one in await platform.services.remember.many(scope, drafts)]
    before, begin_anew = await epoch_of(platform), platform.index.begin_anew
    old = platform.index.name

    async def begin_when_told(epoch):
        await may_begin.wait()
        await begin_anew(epoch)

    monkeypatch.setattr(platform.index, "begin_anew", begin_when_told)
    begin_another_epoch(lost.id)
    async with asyncio.timeout(60):
        while platform.index_ready.is_set():
            await asyncio.sleep(0.01)
    assert await found(platform, scope, "w0x") == ({"walrus number w0x"}, ("index",))
    writing = asyncio.create_task(platform.services.remember.one(scope, MemoryDraft(content="late l0x")))
    async with asyncio.timeout(60):
        while not platform.barrier.waited_for:
            await asyncio.sleep(0.01)
    assert not writing.done()
    may_begin.set()

    assert (await writing).indexed
    await asyncio.wait_for(platform.index_ready.wait(), 60)
    assert await found(platform, scope, "l0x") == ({"late l0x"}, ())
    assert await found(platform, scope, "walrus") == ({f"walrus number w{n}x" for n in range(3)}, ())
    assert await platform.services.read.get(scope, kept.id) == kept
    statistics = await platform.index.statistics()
    assert statistics.documents == 4
    assert statistics.epoch == await epoch_of(platform) != before
    assert {one.name: one.fits for one in await platform.index.generations()} == {
        old: False,
        platform.index.name: True,
    }


async def test_memory_that_got_the_number_of_a_lost_version_is_indexed_as_the_store_has_it(
    platform, scope, begin_another_epoch, database_url
):
    stored = await platform.services.remember.one(scope, MemoryDraft(content="the badger is brown"))
    with psycopg.connect(database_url) as connection:
        # As another process stored it in the history that goes on, at the same version.
        connection.execute("UPDATE memories SET content = 'the badger is black'")
    begin_another_epoch()
    async with asyncio.timeout(60):
        while (await platform.index.statistics()).epoch != await epoch_of(platform):
            await asyncio.sleep(0.01)
        await platform.index_ready.wait()

    assert await found(platform, scope, "black") == ({"the badger is black"}, ())
    assert await found(platform, scope, "brown") == (set(), ())
    assert (await platform.services.read.get(scope, stored.memory.id)).content == "the badger is black"


async def test_rebuild_of_the_epoch_before_does_not_become_the_live_index(
    platform, scope, begin_another_epoch
):
    await platform.services.remember.one(scope, MemoryDraft(content="a walrus"))
    staged = await platform.index.stage()
    begin_another_epoch()
    async with asyncio.timeout(60):
        while (await platform.index.statistics()).epoch != await epoch_of(platform):
            await asyncio.sleep(0.01)
    with pytest.raises(IndexUnavailable, match="staged"):
        await platform.index.adopt(staged)
    async with asyncio.timeout(60):
        while await found(platform, scope, "walrus") != ({"a walrus"}, ()):
            await asyncio.sleep(0.01)
