from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import psycopg
import pytest

from mnemata.domain.change import START, Position
from mnemata.domain.errors import IndexMoved
from mnemata.domain.memory import Operation
from mnemata.store.feed import Lag

pytestmark = pytest.mark.every_postgres


async def read(database, after=START, limit=100):
    async with database.platform() as transaction:
        return await transaction.feed.read(after, limit=limit)


async def store(database, scope, *memories):
    async with database.tenant(scope) as transaction:
        return await transaction.memories.insert(memories, operation=Operation.CREATED)


async def test_transaction_that_commits_late_is_not_skipped(database, scope, make):
    early, late = make("begun first, committed last"), make("begun last, committed first")
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(database.tenant(scope))
        await slow.memories.insert([early], operation=Operation.CREATED)
        await store(database, scope, late)
        while_open = await read(database)
        async with database.platform() as transaction:
            head = await transaction.feed.head()
            lag = await transaction.feed.lag(START)
    after_commit = await read(database)
    assert while_open == []
    assert head == START
    assert lag == Lag(changes=1, oldest=late.updated_at)
    assert [change.memory_id for change in after_commit] == [early.id, late.id]


async def test_reader_that_follows_under_concurrent_writers_sees_every_change_once(database, scope, make):
    batches = [[make(f"{writer}/{n}") for n in range(3)] for writer in range(40)]
    seen: list = []
    done = asyncio.Event()

    async def follow():
        position = START
        while not done.is_set() or await read(database, position):
            for change in await read(database, position, limit=7):
                assert change.position > position
                position = change.position
                seen.append(change.memory_id)
            await asyncio.sleep(0)

    async def write(batch):
        async with database.tenant(scope) as transaction:
            for memory in batch:
                await transaction.memories.insert([memory], operation=Operation.CREATED)

    follower = asyncio.create_task(follow())
    for start in range(0, 40, 2):
        await asyncio.gather(*(write(batch) for batch in batches[start : start + 2]))
    done.set()
    await follower
    assert sorted(seen) == sorted(memory.id for batch in batches for memory in batch)
    assert len(seen) == 120


async def test_change_tells_what_happened_to_whom(database, scope, make):
    memory = make()
    await store(database, scope, memory)
    changed = replace(memory, version=2, content="x")
    async with database.tenant(scope) as transaction:
        await transaction.memories.replace([changed], operation=Operation.UPDATED)
    async with database.platform() as transaction:
        await transaction.feed.announce_embedded([changed], now=memory.updated_at)
        await transaction.feed.announce_embedded([], now=memory.updated_at)
    changes = await read(database)
    assert [(change.operation, change.version) for change in changes] == [
        (Operation.CREATED, 1),
        (Operation.UPDATED, 2),
        (Operation.EMBEDDED, 2),
    ]
    assert {(change.memory_id, change.tenant, change.recorded_at) for change in changes} == {
        (memory.id, memory.tenant, memory.updated_at)
    }


async def test_pages_follow_one_another(database, scope, make):
    await store(database, scope, *(make(str(n)) for n in range(10)))
    whole = await read(database)
    first = await read(database, limit=4)
    rest = await read(database, first[-1].position, limit=100)
    assert first + rest == whole
    async with database.platform() as transaction:
        assert await transaction.feed.head() == whole[-1].position
        assert (await transaction.feed.lag(first[-1].position)).changes == 6
        assert await transaction.feed.lag(whole[-1].position) == Lag(changes=0, oldest=None)


async def test_rolled_back_write_leaves_no_change(database, scope, make):
    with pytest.raises(LookupError):
        async with database.tenant(scope) as transaction:
            await transaction.memories.insert([make()], operation=Operation.CREATED)
            raise LookupError
    assert await read(database) == []


async def test_epoch_stays_until_a_new_one_begins(database, scope, make):
    await store(database, scope, make(), make())
    before = await read(database)
    async with database.platform() as transaction:
        first = await transaction.feed.epoch()
        assert await transaction.feed.epoch() == first
        await transaction.feed.new_epoch()
    await store(database, scope, make("later"))
    after = await read(database)
    async with database.platform() as transaction:
        assert await transaction.feed.epoch() != first
    assert first.count("/") == 2
    assert after[:2] == before
    assert after[2].position > after[1].position > START


async def test_position_of_the_future_is_not_known(database, scope, make):
    positions = await store(database, scope, make())
    async with database.platform() as transaction:
        assert await transaction.feed.knows(START)
        assert await transaction.feed.knows(next(iter(positions.values())))
        assert not await transaction.feed.knows(Position(xid=2**40, sequence=1))


async def test_listener_is_woken_by_commits_and_comes_back_after_a_lost_connection(
    database, scope, make, url
):
    wakes = database.listen()
    await asyncio.wait_for(anext(wakes), 60)
    await store(database, scope, make())
    await asyncio.wait_for(anext(wakes), 60)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
    await asyncio.wait_for(anext(wakes), 60)
    await store(database, scope, make())
    await asyncio.wait_for(anext(wakes), 60)
    await wakes.aclose()


async def test_position_of_another_epoch_is_refused_also_where_nothing_is_behind_it(database, scope, make):
    memory, far = make(), Position(xid=2**40, sequence=0)
    await store(database, scope, memory)
    async with database.platform() as transaction:
        feed = transaction.feed
        epoch = await feed.epoch()
        assert [change.memory_id for change in await feed.read(START, limit=5, epoch=epoch)] == [memory.id]
        assert await feed.read(far, limit=5, epoch=epoch) == []
        assert await feed.read_partitions({0: far}, limit=5, epoch=epoch) == []
        await feed.new_epoch()
        for position in (START, far):
            with pytest.raises(IndexMoved):
                await feed.read(position, limit=5, epoch=epoch)
            with pytest.raises(IndexMoved):
                await feed.read_partitions({0: position}, limit=5, epoch=epoch)
