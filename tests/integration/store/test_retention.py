from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import numpy as np
import psycopg
import pytest

from mnemata.domain.change import START
from mnemata.domain.errors import DeadlineExceeded
from mnemata.domain.memory import Operation
from mnemata.store.database import Database

pytestmark = pytest.mark.every_postgres


# What the platform does stops between its snapshot and the rows, for as long as somebody has the lock.
HELD_UP = """
    CREATE FUNCTION held_up() RETURNS boolean LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN true; END';
    CREATE POLICY held_up ON memories AS RESTRICTIVE FOR SELECT TO mnemata_platform USING (held_up());
"""


async def operations(database):
    async with database.platform() as transaction:
        return [
            (change.memory_id, change.operation) for change in await transaction.feed.read(START, limit=100)
        ]


async def until_it_waits_for_a_lock(task, url):
    """Or until it has ended."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection, asyncio.timeout(60):
        while not task.done() and await (await connection.execute(waiting)).fetchone() is None:
            await asyncio.sleep(0.02)


async def test_expired_memory_gets_a_last_version_and_a_change(database, scope, make, clock):
    now = clock.now()
    due = [make(str(n), expires_at=now - timedelta(minutes=n)) for n in range(3)]
    later = make(expires_at=now + timedelta(seconds=5))
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([*due, later, make("for ever")], operation=Operation.CREATED)
    async with database.platform() as transaction:
        assert await transaction.next_expiry() == due[2].expires_at
        assert await transaction.expire_due(now, limit=2) == 2
    async with database.platform() as transaction:
        assert await transaction.expire_due(now, limit=10) == 1
        assert await transaction.expire_due(now, limit=10) == 0
        assert await transaction.next_expiry() == later.expires_at
    async with database.tenant(scope) as transaction:
        ended = replace(due[0], version=2, updated_at=now, deleted_at=now)
        history = await transaction.memories.history(due[0].id)
        assert await transaction.memories.get(due[0].id) == ended
        assert await transaction.memories.as_of(due[0].id, due[0].created_at) == due[0]
    assert [(item.memory, item.operation) for item in history] == [
        (ended, Operation.EXPIRED),
        (due[0], Operation.CREATED),
    ]
    expired = {
        memory_id for memory_id, operation in await operations(database) if operation is Operation.EXPIRED
    }
    assert expired == {memory.id for memory in due}


async def test_memory_that_somebody_is_changing_expires_next_time(database, scope, make, clock):
    memory = make(expires_at=clock.now())
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    async with database.tenant(scope) as holder:
        await holder.memories.get(memory.id, lock=True)
        async with database.platform() as transaction:
            assert await transaction.expire_due(clock.now(), limit=10) == 0
    async with database.platform() as transaction:
        assert await transaction.expire_due(clock.now(), limit=10) == 1


async def test_change_that_commits_while_its_memory_expires_ends_in_the_history(
    database, scope, make, clock, url
):
    memory = make(expires_at=clock.now())
    changed = replace(memory, version=2, updated_at=memory.updated_at + timedelta(hours=1), importance=0.9)
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)

    async def expire():
        async with database.platform() as transaction:
            return await transaction.expire_due(clock.now(), limit=10)

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(HELD_UP)
        connection.execute("SELECT pg_advisory_lock(1)")
        expiring = asyncio.create_task(expire())
        await until_it_waits_for_a_lock(expiring, url)
        async with database.tenant(scope) as transaction:
            await transaction.memories.replace([changed], operation=Operation.UPDATED)
        connection.execute("SELECT pg_advisory_unlock(1)")
        assert await expiring == 1
        ends = connection.execute("SELECT version, replaced_at FROM versions ORDER BY version").fetchall()
    assert ends == [(1, changed.updated_at), (2, clock.now()), (3, None)]


async def test_purge_erases_contents_versions_and_vectors_that_nobody_else_uses(
    database, scope, other_scope, make, clock, space
):
    now = clock.now()
    gone = make("gone", deleted_at=now - timedelta(days=2))
    shared = make("shared", deleted_at=now - timedelta(days=2))
    keeper = make("shared")
    fresh = make("fresh", deleted_at=now)
    theirs = make("gone", tenant=other_scope.tenant)
    vector = np.ones(4, dtype=np.float32)
    mine = [gone, shared, keeper, fresh]
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert(mine, operation=Operation.CREATED)
        await transaction.embeddings.put(space, {memory.embedding_key: vector for memory in mine})
    async with database.tenant(other_scope) as transaction:
        await transaction.memories.insert([theirs], operation=Operation.CREATED)
        await transaction.embeddings.put(space, {theirs.embedding_key: vector})
    async with database.platform() as transaction:
        assert await transaction.purge_due(now - timedelta(days=1), limit=10) == 2
    async with database.platform() as transaction:
        assert await transaction.purge_due(now - timedelta(days=1), limit=10) == 0
    async with database.tenant(scope) as transaction:
        memories = transaction.memories
        assert list(await memories.get_many([memory.id for memory in mine])) == [keeper.id, fresh.id]
        assert await memories.history(gone.id) == []
        assert len(await memories.history(fresh.id)) == 1
        kept = await transaction.embeddings.get(space, [memory.embedding_key for memory in mine])
        assert set(kept) == {keeper.embedding_key, fresh.embedding_key}
    async with database.tenant(other_scope) as transaction:
        assert len(await transaction.embeddings.get(space, [theirs.embedding_key])) == 1
    purged = {
        memory_id for memory_id, operation in await operations(database) if operation is Operation.PURGED
    }
    assert purged == {gone.id, shared.id}


async def test_purge_takes_the_oldest_first_and_no_more_than_asked(database, scope, make, clock):
    now = clock.now()
    gone = [make(str(n), deleted_at=now - timedelta(days=n)) for n in range(1, 4)]
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert(gone, operation=Operation.CREATED)
    async with database.platform() as transaction:
        assert await transaction.purge_due(now, limit=2) == 2
    async with database.tenant(scope) as transaction:
        assert list(await transaction.memories.get_many([memory.id for memory in gone])) == [gone[0].id]


async def test_two_purges_at_once_erase_the_vector_of_a_text_that_both_have(
    database, scope, make, clock, space, url
):
    now = clock.now()
    gone = [make("the same", deleted_at=now - timedelta(days=n)) for n in (2, 1)]
    keys = [memory.embedding_key for memory in gone]
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert(gone, operation=Operation.CREATED)
        await transaction.embeddings.put(space, dict.fromkeys(keys, np.ones(4, dtype=np.float32)))

    async def purge():
        async with database.platform() as transaction:
            return await transaction.purge_due(now, limit=1)

    async with database.platform() as transaction:
        assert await transaction.purge_due(now, limit=1) == 1
        second = asyncio.create_task(purge())
        await until_it_waits_for_a_lock(second, url)
    assert await second == 1
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.get_many([memory.id for memory in gone]) == {}
        assert await transaction.embeddings.get(space, keys) == {}


async def test_purge_waits_for_another_one_no_longer_than_for_any_lock(
    database, url, options, metrics, clock
):
    hasty = replace(options, lock_timeout_s=0.05)
    other = await Database.open(url, options=hasty, metrics=metrics, clock=clock)
    try:
        async with database.platform() as transaction:
            await transaction.purge_due(clock.now(), limit=1)
            with pytest.raises(DeadlineExceeded):
                async with other.platform() as late:
                    await late.purge_due(clock.now(), limit=1)
        async with other.platform() as late:
            assert await late.purge_due(clock.now(), limit=1) == 0
    finally:
        await other.close()


async def test_scan_reads_every_memory_that_may_be_seen_in_pages(database, scope, other_scope, make, clock):
    memories = [make(str(n)) for n in range(5)]
    hidden = [make(deleted_at=clock.now()), make(superseded_by=memories[0].id)]
    theirs = make(tenant=other_scope.tenant)
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([*memories, *hidden], operation=Operation.CREATED)
    async with database.tenant(other_scope) as transaction:
        await transaction.memories.insert([theirs], operation=Operation.CREATED)
    async with database.platform() as transaction:
        first = await transaction.scan(after=None, limit=4)
        rest = await transaction.scan(after=first[-1], limit=4)
        assert await transaction.memories_in_all() == 6
    assert first + rest == [memory.id for memory in [*memories, theirs]]
