from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import numpy as np
import psycopg
import pytest

from mnemata.domain.change import START, Change, Position
from mnemata.domain.errors import AlreadyExists, IdempotencyConflict, SpaceMismatch, TenantNotFound
from mnemata.domain.ids import TenantId
from mnemata.domain.memory import Operation
from mnemata.domain.scope import DEFAULT_TENANT, Role
from mnemata.domain.vector import Space
from mnemata.store.access import StoredKey
from mnemata.store.poison import PoisonChange
from mnemata.store.transactions import IndexPosition

pytestmark = pytest.mark.every_postgres


@pytest.fixture
def tomorrow(clock):
    return clock.now() + timedelta(days=1)


async def test_idempotency_key_gives_the_first_outcome_again(database, scope, tomorrow):
    async with database.tenant(scope) as transaction:
        assert await transaction.idempotency.claim("k", b"f", expires_at=tomorrow) is None
        await transaction.idempotency.keep("k", b"made")
    async with database.tenant(scope) as transaction:
        assert await transaction.idempotency.claim("k", b"f", expires_at=tomorrow) == b"made"


async def test_idempotency_key_of_another_request_is_refused(database, scope, tomorrow):
    async with database.tenant(scope) as transaction:
        await transaction.idempotency.claim("k", b"f", expires_at=tomorrow)
    with pytest.raises(IdempotencyConflict):
        async with database.tenant(scope) as transaction:
            await transaction.idempotency.claim("k", b"another", expires_at=tomorrow)


async def test_second_request_with_a_key_waits_for_the_first(database, scope, tomorrow, url):
    async def second():
        async with database.tenant(scope) as transaction:
            return await transaction.idempotency.claim("k", b"f", expires_at=tomorrow)

    async with database.tenant(scope) as transaction:
        await transaction.idempotency.claim("k", b"f", expires_at=tomorrow)
        waiting = asyncio.create_task(second())
        await until_somebody_waits_for_a_lock(url)
        assert not waiting.done()
        await transaction.idempotency.keep("k", b"made")
    assert await waiting == b"made"


async def until_somebody_waits_for_a_lock(url):
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection, asyncio.timeout(60):
        while await (await connection.execute(waiting)).fetchone() is None:
            await asyncio.sleep(0.02)


async def test_key_of_a_write_that_failed_is_free_again(database, scope, tomorrow):
    with pytest.raises(LookupError):
        async with database.tenant(scope) as transaction:
            await transaction.idempotency.claim("k", b"f", expires_at=tomorrow)
            raise LookupError
    async with database.tenant(scope) as transaction:
        assert await transaction.idempotency.claim("k", b"another", expires_at=tomorrow) is None


async def test_expired_key_is_free_again_and_dropped(database, scope, clock, tomorrow):
    async with database.tenant(scope) as transaction:
        await transaction.idempotency.claim("k", b"f", expires_at=clock.now() + timedelta(seconds=1))
        await transaction.idempotency.keep("k", b"made")
        await transaction.idempotency.claim("stays", b"f", expires_at=tomorrow)
    clock.set(clock.now() + timedelta(seconds=1))
    async with database.tenant(scope) as transaction:
        assert await transaction.idempotency.claim("k", b"another", expires_at=clock.now()) is None
    async with database.platform() as transaction:
        await transaction.drop_idempotency_keys(clock.now())
    async with database.tenant(scope) as transaction:
        assert await transaction.idempotency.claim("k", b"third", expires_at=tomorrow) is None
        with pytest.raises(IdempotencyConflict):
            await transaction.idempotency.claim("stays", b"another", expires_at=tomorrow)


async def test_vectors_come_back_as_they_were_put_and_the_first_one_stays(database, scope, space):
    first, second = np.array([1, -2, 3.5, 1e-30], dtype=np.float32), np.zeros(4, dtype=np.float32)
    keys = [bytes([n]) * 32 for n in range(3)]
    async with database.tenant(scope) as transaction:
        assert await transaction.embeddings.put(space, {keys[0]: first}) == {keys[0]}
        assert await transaction.embeddings.put(space, {keys[0]: second, keys[1]: second}) == {keys[1]}
        assert await transaction.embeddings.put(space, {}) == set()
        found = await transaction.embeddings.get(space, keys)
        assert await transaction.embeddings.get(space, []) == {}
        assert await transaction.embeddings.get(Space(name="another", dimensions=4), keys) == {}
    async with database.platform() as transaction:
        everywhere = await transaction.embeddings.get(
            space, [(DEFAULT_TENANT, keys[0]), (TenantId("x"), keys[1])]
        )
        assert await transaction.embeddings.spaces() == [space]
    assert {key: vector.tolist() for key, vector in found.items()} == {
        keys[0]: first.tolist(),
        keys[1]: second.tolist(),
    }
    assert [(key, vector.tolist()) for key, vector in everywhere.items()] == [
        ((DEFAULT_TENANT, keys[0]), first.tolist())
    ]


async def test_vector_of_another_length_is_refused(database, scope, space):
    async with database.tenant(scope) as transaction:
        await transaction.embeddings.put(space, {b"k" * 32: np.zeros(4, dtype=np.float32)})
    with pytest.raises(SpaceMismatch):
        async with database.tenant(scope) as transaction:
            await transaction.embeddings.put(space, {b"l" * 32: np.zeros(3, dtype=np.float32)})
    with pytest.raises(SpaceMismatch):
        async with database.tenant(scope) as transaction:
            await transaction.embeddings.get(Space(name=space.name, dimensions=3), [b"k" * 32])


async def test_missing_vectors_are_those_of_memories_that_may_be_seen(database, scope, make, space, clock):
    memories = [make(str(n)) for n in range(5)]
    hidden = [make("a", deleted_at=clock.now()), make("b", superseded_by=memories[0].id)]
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([*memories, *hidden], operation=Operation.CREATED)
        await transaction.embeddings.put(space, {memories[1].embedding_key: np.ones(4, dtype=np.float32)})
    async with database.platform() as transaction:
        first = await transaction.embeddings.missing(space, limit=2)
        rest = await transaction.embeddings.missing(space, limit=10, after=first[-1].id)
        within = await transaction.embeddings.missing(
            space, limit=10, after=memories[0].id, until=memories[3].id
        )
    assert first + rest == [memories[0], *memories[2:]]
    assert within == memories[2:4]


async def test_set_aside_change_is_listed_counted_and_cleared(database, clock, make):
    change = Change(
        position=Position(xid=5, sequence=7),
        tenant=DEFAULT_TENANT,
        memory_id=make().id,
        version=1,
        operation=Operation.CREATED,
        recorded_at=clock.now(),
    )
    again = replace(change, version=2, operation=Operation.UPDATED, position=Position(xid=6, sequence=8))
    first, later = clock.now(), clock.now() + timedelta(minutes=1)
    async with database.platform() as transaction:
        await transaction.poison.record(change, code="bad", now=first)
        await transaction.poison.record(again, code="worse", now=later)
        found = await transaction.poison.all(limit=10)
        assert await transaction.poison.count() == 1
        await transaction.poison.clear([])
        await transaction.poison.clear([change.memory_id])
        assert await transaction.poison.count() == 0
    assert found == [PoisonChange(change=again, code="worse", attempts=2, first_seen=first, last_seen=later)]


async def test_index_position_is_the_last_one_reported(database, clock):
    async with database.platform() as transaction:
        for position in (START, Position(xid=9, sequence=1)):
            await transaction.report_position("local", epoch="e", position=position, now=clock.now())
        assert await transaction.positions() == [
            IndexPosition(
                name="local", epoch="e", position=Position(xid=9, sequence=1), updated_at=clock.now()
            )
        ]


async def test_tenants_are_listed_with_what_they_hold(database, scope, other_scope, make, clock):
    async with database.tenant(scope) as transaction:
        memories = [make(), make(), make(deleted_at=clock.now())]
        await transaction.memories.insert(memories, operation=Operation.CREATED)
    async with database.platform() as transaction:
        assert await transaction.access.add_tenant(TenantId("new"), now=clock.now())
        assert not await transaction.access.add_tenant(TenantId("new"), now=clock.now())
        found = await transaction.access.tenants()
    assert [(tenant.id, tenant.memories) for tenant in found] == [("default", 2), ("new", 0), ("other", 0)]
    assert found[1].created_at == clock.now()


async def test_api_key_lives_from_adding_to_revoking(database, clock):
    key = StoredKey(
        id="k1",
        tenant=DEFAULT_TENANT,
        role=Role.ADMIN,
        label="laptop",
        secret_hash=b"h" * 32,
        created_at=clock.now(),
    )
    used, revoked = clock.now() + timedelta(seconds=1), clock.now() + timedelta(hours=1)
    async with database.platform() as transaction:
        access = transaction.access
        await access.add_key(key)
        assert await access.key("k1") == key
        assert await access.key("k2") is None
        assert await access.keys(DEFAULT_TENANT) == [key]
        assert await access.keys(TenantId("x")) == []
        await access.touch("k1", now=used)
        await access.touch("k1", now=used + timedelta(seconds=59))
        assert (await access.key("k1")).last_used_at == used
        await access.touch("k1", now=used + timedelta(seconds=61))
        assert (await access.key("k1")).last_used_at == used + timedelta(seconds=61)
        assert not await access.revoke("k1", tenant=TenantId("x"), now=revoked)
        assert await access.revoke("k1", tenant=DEFAULT_TENANT, now=revoked)
        assert await access.revoke("k1", tenant=DEFAULT_TENANT, now=revoked + timedelta(hours=1))
        assert (await access.key("k1")).revoked_at == revoked


async def test_api_key_twice_or_for_nobody_is_refused(database, clock):
    key = StoredKey(
        id="k1",
        tenant=DEFAULT_TENANT,
        role=Role.READER,
        label="",
        secret_hash=b"h" * 32,
        created_at=clock.now(),
    )
    async with database.platform() as transaction:
        await transaction.access.add_key(key)
    with pytest.raises(AlreadyExists) as twice:
        async with database.platform() as transaction:
            await transaction.access.add_key(key)
    with pytest.raises(TenantNotFound) as nobody:
        async with database.platform() as transaction:
            await transaction.access.add_key(replace(key, id="k2", tenant=TenantId("nobody")))
    assert twice.value.facts == {"what": "API key", "identity": "k1"}
    assert nobody.value.facts == {"tenant": "nobody"}


async def test_what_is_stored_is_told_before_any_table_was_analysed(database, scope, other_scope, make):
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([make() for _ in range(50)], operation=Operation.CREATED)
    async with asyncio.timeout(60):
        while True:
            # The server gathers what was written within a second or so.
            async with database.platform() as transaction:
                statistics = await transaction.statistics()
            if statistics.memories == statistics.versions == statistics.changes == 50:
                break
            await asyncio.sleep(0.05)
    assert (statistics.embeddings, statistics.tenants) == (0, 2)


async def test_statistics_tell_the_server_and_what_is_stored(database, scope, make, version):
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([make() for _ in range(50)], operation=Operation.CREATED)
    async with database._pool.connection() as connection:
        await connection.execute("ANALYZE")
    async with database.platform() as transaction:
        statistics = await transaction.statistics()
    assert statistics.server_version.startswith(str(version))
    assert statistics.bytes > 1_000_000
    assert (statistics.memories, statistics.versions, statistics.changes) == (50, 50, 50)
    assert (statistics.embeddings, statistics.tenants) == (0, 1)
