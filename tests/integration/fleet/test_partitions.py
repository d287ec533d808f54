"""Processes that share the indexing of one cluster: what is acknowledged is found, whoever does it."""

from __future__ import annotations

import asyncio
import contextlib
import time

import httpx
import psycopg
import pytest

from mnemata.domain.ids import TenantId
from mnemata.domain.memory import MemoryDraft
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.index.cluster import engine
from mnemata.index.cluster.document import document_of
from mnemata.services.outcome import WaitFor

pytestmark = pytest.mark.slow


@pytest.fixture
def enter_light(database_url):
    """The scope of a tenant that stores little."""

    def enter_light() -> Scope:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("INSERT INTO tenants (id) VALUES ('light')")
        return Scope(tenant=TenantId("light"), role=Role.OPERATOR)

    return enter_light


async def shares(platform):
    """How many partitions each owner has."""
    async with platform.store.database.platform() as transaction:
        leases = await transaction.leases.renew("onlooker", ttl_s=60.0)
    held = [lease.owner for lease in leases if lease.name.startswith("index/") and lease.holds_s > 0]
    return sorted(held.count(owner) for owner in set(held))


async def test_doors_without_an_indexer_find_on_return_what_a_worker_indexes(open_process, remember, find):
    doors = await open_process(works=False)
    await open_process(works=True)
    await asyncio.wait_for(doors.index_ready.wait(), 60)
    stored = await remember(doors, *(f"otter number {n}" for n in range(20)))
    assert all(result.indexed for result in stored)
    contents, degraded = await find(doors, "otter")
    assert set(contents) == {f"otter number {n}" for n in range(20)}
    assert degraded == ()


async def test_what_one_door_stores_another_finds_and_forgetting_holds_everywhere(
    open_process, remember, find, scope
):
    first, second = await open_process(works=False), await open_process(works=False)
    await open_process(works=True)
    for doors in (first, second):
        await asyncio.wait_for(doors.index_ready.wait(), 60)
    (heron, swan) = await remember(first, "a heron stood there", "a swan stood there")
    assert set((await find(second, "stood there"))[0]) == {heron.memory.content, swan.memory.content}
    assert await second.services.forget.one(scope, heron.memory.id)
    assert (await find(first, "stood there"))[0] == [swan.memory.content]


async def test_concurrent_writers_share_the_refreshes_that_they_wait_for(open_process, remember):
    first, second = await open_process(works=False), await open_process(works=False)
    await open_process(works=True)
    for doors in (first, second):
        await asyncio.wait_for(doors.index_ready.wait(), 60)
    before = _refreshes(first)
    writes = [remember(doors, f"plover number {n}") for n in range(40) for doors in (first, second)]
    stored = await asyncio.gather(*writes)
    assert all(result.indexed for (result,) in stored)
    assert 1 <= _refreshes(first) - before <= len(writes) / 4


def _refreshes(platform):
    """How often the index's shards were told to show what was written to them."""
    search = platform.settings.search
    told = httpx.get(f"{search.url}/{search.index}-*/_stats/refresh", timeout=60).raise_for_status().json()
    return told["_all"]["total"]["refresh"]["external_total"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_tenant_with_little_is_found_while_much_of_another_waits_in_the_feed(
    open_process, find, scope, until, enter_light, workers
):
    small = {"batch_size": 20}
    doors = await open_process(works=False)
    working = [await open_process(works=True, index=small) for _ in range(workers)]
    await asyncio.wait_for(doors.index_ready.wait(), 60)
    await until(lambda: all(worker.leasing.held for worker in working))
    light = enter_light()
    async with contextlib.AsyncExitStack() as held:
        for worker in working:
            await held.enter_async_context(worker.indexer.turn)
        drafts = [MemoryDraft(content=f"a lynx, number {n}") for n in range(600)]
        await doors.services.remember.many(scope, drafts, wait_for=WaitFor.NONE)
        few = [MemoryDraft(content=f"a heron, number {n}") for n in range(5)]
        writing = asyncio.create_task(doors.services.remember.many(light, few))
        await until(lambda: doors.barrier.waited_for)
        async with doors.store.database.platform() as transaction:
            last = await transaction.feed.head()
    assert all(result.indexed for result in await writing)
    assert doors.barrier.position < last
    name = "mnemata_index_changes_ahead_total"
    assert sum(worker.metrics.registry.get_sample_value(name) for worker in working) >= len(few)
    query = Query(text="heron", words=Words(text="heron"), mode=Mode.LEXICAL)
    assert len((await doors.services.recall.search(light, query)).hits) == 5

    async def all_are_found():
        return len((await find(doors, "lynx", limit=1000))[0]) == 600

    await until(all_are_found)


async def test_index_is_filled_below_the_rate_and_in_the_order_of_the_feed(
    open_process, find, scope, enter_light
):
    doors = await open_process(works=False)
    drafts = [MemoryDraft(content=f"a lynx, number {n}") for n in range(120)]
    await doors.services.remember.many(scope, drafts, wait_for=WaitFor.NONE)
    light = enter_light()
    await doors.services.remember.one(light, MemoryDraft(content="a heron"), wait_for=WaitFor.NONE)

    began = time.monotonic()
    worker = await open_process(works=True, index={"batch_size": 20, "rebuild_per_s": 40})
    await asyncio.wait_for(worker.index_ready.wait(), 60)
    # What a second allows is taken at once.
    assert time.monotonic() - began >= (120 - 40 - 20) / 40
    assert worker.metrics.registry.get_sample_value("mnemata_index_changes_ahead_total") == 0
    await asyncio.wait_for(doors.index_ready.wait(), 60)
    assert len((await find(doors, "lynx"))[0]) == 120


async def test_another_epoch_of_the_store_begins_another_index_though_no_connection_broke(
    open_process, remember, find, until, database_url
):
    doors = await open_process(works=False)
    worker = await open_process(works=True)
    await asyncio.wait_for(doors.index_ready.wait(), 60)
    lost, *_ = await remember(doors, *(f"otter number {n}" for n in range(20)))
    before = max(doors.barrier.positions)
    with psycopg.connect(database_url) as connection:
        # As on a promoted standby that was behind: something is not there, and numbers of transactions are lower.
        for table, column in (("changes", "memory_id"), ("versions", "memory_id"), ("memories", "id")):
            connection.execute(f"DELETE FROM {table} WHERE {column} = %s", [lost.memory.id])
        connection.execute("UPDATE feed_epoch SET id = gen_random_uuid(), started_at = now()")
        connection.execute("UPDATE changes SET xid = '0'::xid8 WHERE xid <> '0'::xid8")
    async with doors.store.database.platform() as transaction:
        epoch = await transaction.feed.epoch()

    async def begun_anew():
        statistics = [await platform.index.statistics() for platform in (doors, worker)]
        return all(one.epoch == epoch for one in statistics) and doors.index_ready.is_set()

    await until(begun_anew)
    await asyncio.wait_for(worker.index_ready.wait(), 60)
    assert {position.xid for platform in (doors, worker) for position in platform.barrier.positions} == {0}
    assert before.xid > 0
    assert (await worker.index.statistics()).documents == 19
    contents, degraded = await find(doors, "otter")
    assert set(contents) == {f"otter number {n}" for n in range(1, 20)}
    assert degraded == ()
    assert all(result.indexed for result in await remember(doors, *(f"stoat {n}" for n in range(20))))
    assert len((await find(doors, "stoat"))[0]) == 20


async def test_two_workers_share_evenly_and_one_that_ends_hands_over_at_once(
    open_process, remember, find, until
):
    doors = await open_process(works=False)
    staying = await open_process(works=True, worker={"lease_s": 300})
    await asyncio.wait_for(doors.index_ready.wait(), 60)
    assert await shares(doors) == [16]
    leaving = await open_process(works=True, worker={"lease_s": 300})
    await until(lambda: leaving.leasing.alive)
    await staying.leasing.round()
    await leaving.leasing.round()
    assert await shares(doors) == [8, 8]
    assert all(result.indexed for result in await remember(doors, *(f"robin {n}" for n in range(40))))
    await leaving.close()
    await staying.leasing.round()
    assert await shares(doors) == [16]
    assert all(result.indexed for result in await remember(doors, *(f"wren {n}" for n in range(40))))
    assert len((await find(doors, "robin"))[0]) == 40
    assert len((await find(doors, "wren"))[0]) == 40


async def _are(platform, expected):
    return await shares(platform) == expected


async def test_worker_that_could_not_renew_holds_nothing_and_does_no_harm_when_it_comes_back(
    open_process, remember, find, until, scope
):
    doors = await open_process(works=False)
    paused = await open_process(works=True)
    await asyncio.wait_for(doors.index_ready.wait(), 60)
    (memory,) = await remember(doors, "the badger is brown")
    async with paused.indexer.turn:
        # It has no turn to do anything in, and its leases run out.
        paused.leasing.renew_every_s = 3_600
        await until(lambda: not paused.leasing.held)
        heir = await open_process(works=True)
        await until(lambda: bool(heir.leasing.held))
        revised = await doors.services.revise.patch(
            scope, memory.memory.id, {"content": "the badger is black"}
        )
        assert revised.indexed
    await paused.leasing.round()
    await heir.leasing.round()
    await paused.leasing.round()
    assert await shares(doors) == [8, 8]
    assert all(result.indexed for result in await remember(doors, *(f"stoat {n}" for n in range(32))))
    assert (await find(doors, "badger"))[0] == ["the badger is black"]
    assert len((await find(doors, "stoat"))[0]) == 32


async def test_work_for_one_is_done_by_one_and_by_another_when_that_one_ends(
    open_process, until, database_url
):
    first = await open_process(works=True)
    second = await open_process(works=True)
    alone = {"watch", "sweeper", "backfill", "backups"}
    await until(lambda: alone <= _kinds(first) | _kinds(second))
    assert not alone & _kinds(first) & _kinds(second)
    await first.close()
    await until(lambda: alone <= _kinds(second))


def _kinds(platform):
    return {name.split("/")[0] for name in platform.leasing.held}


async def test_rebuild_by_one_process_loses_nothing_that_others_acknowledge_meanwhile(
    open_process, remember, find, scope, until
):
    doors = await open_process(works=False)
    builder = await open_process(works=True)
    await open_process(works=True)
    await asyncio.wait_for(doors.index_ready.wait(), 60)
    await remember(doors, *(f"newt {n}" for n in range(60)))
    stop = asyncio.Event()

    async def write():
        written = []
        while not stop.is_set():
            written += await remember(doors, f"toad {len(written)}")
        return written

    writing = asyncio.create_task(write())
    await builder.services.operations.rebuild(scope)
    stop.set()
    written = await writing

    async def everything():
        toads, newts = (await find(doors, "toad"))[0], (await find(doors, "newt"))[0]
        return len(toads) == min(len(written), 200) and len(newts) == 60

    await until(everything)


async def test_memory_of_which_no_document_can_be_made_is_set_aside_by_followers_and_by_a_rebuild(
    open_process, remember, find, scope, until, monkeypatch
):
    def refusing(upsert, analysis):
        if upsert.memory.content == "a cursed lynx":
            raise RuntimeError("no such document")
        return document_of(upsert, analysis)

    async def set_aside():
        return (await worker.services.index.set_aside(scope, limit=10))["items"]

    worker = await open_process(works=True)
    await asyncio.wait_for(worker.index_ready.wait(), 60)
    monkeypatch.setattr(engine, "document_of", refusing)
    stored = await remember(worker, *(f"lynx {n}" for n in range(20)), "a cursed lynx")
    await until(set_aside)
    assert len((await find(worker, "lynx"))[0]) == 20
    assert (await worker.services.operations.rebuild(scope))["switched"]
    assert [one["memory_id"] for one in await set_aside()] == [str(stored[-1].memory.id)]
    assert len((await find(worker, "lynx"))[0]) == 20
    monkeypatch.undo()
    await worker.services.index.retry(scope, None)

    async def all_are_found():
        return len((await find(worker, "lynx"))[0]) == 21

    await until(all_are_found)
    assert await set_aside() == []


async def test_write_that_does_not_wait_is_found_a_moment_later(open_process, find, scope, until):
    doors = await open_process(works=False)
    await open_process(works=True)
    await doors.services.remember.one(scope, MemoryDraft(content="a vole passed"), wait_for=WaitFor.NONE)

    async def found():
        return await find(doors, "vole") == (["a vole passed"], ())

    await until(found)


async def test_without_workers_answers_come_from_the_store_and_say_so(
    open_process, find, scope, database_url
):
    doors = await open_process(works=False, index={"wait_timeout_s": 0.2})
    stored = await doors.services.remember.one(scope, MemoryDraft(content="a marten slept"))
    assert not stored.indexed
    contents, degraded = await find(doors, "marten")
    assert contents == ["a marten slept"]
    assert "index" in degraded
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM index_reached").fetchone() == (0,)
