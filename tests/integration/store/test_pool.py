from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from mnemata.domain.errors import (
    DeadlineExceeded,
    MnemataError,
    PoolExhausted,
    StorageFull,
    StoreUnavailable,
    Unavailable,
)
from mnemata.domain.memory import Operation
from mnemata.domain.scope import DEFAULT_TENANT, Scope
from mnemata.store.database import Database, PoolOptions
from mnemata.store.migrate import migrate

TIGHT = PoolOptions(
    pool_min=1,
    pool_max=2,
    acquire_timeout_s=0.3,
    connect_timeout_s=2,
    statement_timeout_s=0.2,
    lock_timeout_s=0.1,
    application_name="tight",
)


@pytest.fixture
async def tight(url, metrics, clock):
    opened = await Database.open(url, options=TIGHT, metrics=metrics, clock=clock)
    yield opened
    await opened.close()


async def test_exhausted_pool_is_said_to_be_so_and_when_to_try_again(tight, metrics):
    async with tight.platform() as first, tight.platform() as second:
        await first.memories_in_all()
        await second.memories_in_all()
        busy = metrics.registry.get_sample_value("mnemata_pool_connections", {"state": "busy"})
        with pytest.raises(PoolExhausted) as refused:
            await tight.ping()
    assert refused.value.retry_after_s == 1.0
    assert busy == 2
    assert metrics.registry.get_sample_value("mnemata_pool_timeouts_total") == 1
    await tight.ping()


async def test_statement_that_takes_too_long_is_stopped(tight):
    with pytest.raises(DeadlineExceeded) as stopped:
        async with tight.platform() as transaction:
            await transaction.session.rows(sql.SQL("SELECT pg_sleep(5)").format())
    assert stopped.value.facts["limit_s"] == 0.2


async def test_wait_for_a_locked_row_ends(tight, scope, make):
    memory = make()
    async with tight.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    async with tight.tenant(scope) as holder:
        await holder.memories.get(memory.id, lock=True)
        with pytest.raises(DeadlineExceeded) as ended:
            async with tight.tenant(scope) as waiter:
                await waiter.memories.get(memory.id, lock=True)
    assert ended.value.facts["limit_s"] == 0.1


async def test_transaction_in_which_a_statement_failed_does_not_pretend_to_commit(tight, scope, make):
    memory = make()
    with pytest.raises(MnemataError):
        async with tight.tenant(scope) as transaction:
            await transaction.memories.insert([memory], operation=Operation.CREATED)
            with pytest.raises(MnemataError):
                await transaction.session.rows(sql.SQL("SELECT 1/0").format())
    async with tight.tenant(scope) as transaction:
        assert await transaction.memories.get(memory.id) is None


async def test_lost_connection_is_unavailable_and_the_next_one_works(tight, scope, make, url):
    memory = make()
    with pytest.raises(StoreUnavailable) as lost:
        async with tight.tenant(scope) as transaction:
            await transaction.memories.insert([memory], operation=Operation.CREATED)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tight'"
                )
            await transaction.memories.get(memory.id)
    async with tight.tenant(scope) as transaction:
        assert await transaction.memories.get(memory.id) is None
    assert lost.value.retry_after_s == 1.0


async def test_failure_that_nobody_noticed_is_noticed_at_the_commit(tight, scope, make):
    memory = make()
    with pytest.raises(MnemataError):
        async with tight.tenant(scope) as transaction:
            await transaction.memories.insert([memory], operation=Operation.CREATED)
            with pytest.raises(MnemataError):
                await transaction.session.rows(sql.SQL("SELECT 1/0").format())
            transaction.session._failed = False


async def test_connection_that_cannot_even_roll_back_is_given_up(tight, url):
    with pytest.raises(LookupError):
        async with tight.platform() as transaction:
            await transaction.memories_in_all()
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tight'"
                )
            raise LookupError
    await tight.ping()


async def test_idle_connections_that_were_cut_are_replaced_unseen(tight, url):
    await tight.ping()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tight'"
        )
    await tight.ping()


async def test_server_that_refuses_writes_and_is_no_standby_is_full(tight, scope, make):
    with pytest.raises(StorageFull):
        async with tight.tenant(scope) as transaction:
            await transaction.session.rows(sql.SQL("SET TRANSACTION READ ONLY").format())
            await transaction.memories.insert([make()], operation=Operation.CREATED)


async def test_deadlock_is_unavailable_for_one_and_done_for_the_other(database, scope, make):
    memories = [make("a"), make("b")]
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert(memories, operation=Operation.CREATED)
    both_hold = asyncio.Barrier(2)

    async def cross(first, second):
        async with database.tenant(scope) as transaction:
            await transaction.memories.replace([replace(first, version=2)], operation=Operation.UPDATED)
            await both_hold.wait()
            await transaction.memories.replace([replace(second, version=2)], operation=Operation.UPDATED)

    outcomes = await asyncio.gather(cross(*memories), cross(*reversed(memories)), return_exceptions=True)
    failures = [outcome for outcome in outcomes if outcome is not None]
    assert len(failures) >= 1
    assert isinstance(failures[0], StoreUnavailable)


async def test_full_disk_is_told_from_other_failures(database):
    raise_full = sql.SQL("DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$").format()
    with pytest.raises(StorageFull):
        async with database.platform() as transaction:
            await transaction.session.rows(raise_full)


async def test_failure_of_ours_says_nothing_of_the_statement(database):
    with pytest.raises(MnemataError) as failed:
        async with database.platform() as transaction:
            await transaction.session.rows(sql.SQL("SELECT secret FROM nowhere").format())
    assert "nowhere" not in str(failed.value)
    assert isinstance(failed.value.__cause__, psycopg.errors.UndefinedTable)


async def test_store_that_nobody_runs_cannot_be_opened(tmp_path, metrics, clock):
    with pytest.raises(StoreUnavailable):
        await Database.open(f"postgresql:///x?host={tmp_path}", options=TIGHT, metrics=metrics, clock=clock)


async def test_closed_store_is_unavailable(url, options, metrics, clock):
    opened = await Database.open(url, options=options, metrics=metrics, clock=clock)
    await opened.close()
    await opened.close()
    with pytest.raises(StoreUnavailable):
        await opened.ping()


async def test_cancelled_statement_frees_its_connection(tight):
    async def sleep():
        async with tight.platform() as transaction:
            await transaction.session.rows(sql.SQL("SELECT pg_sleep(5)").format())

    for _ in range(4):
        task = asyncio.create_task(sleep())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await tight.ping()


async def test_server_restarted_under_load_is_missed_for_a_moment_and_then_works_by_itself(
    own_server, metrics, clock, make
):
    server, start_again = own_server
    url = server.url_of("postgres")
    await asyncio.to_thread(migrate, url)
    options = replace(TIGHT, pool_max=4, acquire_timeout_s=1, statement_timeout_s=5, lock_timeout_s=5)
    database = await Database.open(url, options=options, metrics=metrics, clock=clock)
    acknowledged, errors, running = [], [], True

    async def write():
        while running:
            memory = make("under load")
            try:
                async with database.tenant(Scope(tenant=DEFAULT_TENANT)) as transaction:
                    await transaction.memories.insert([memory], operation=Operation.CREATED)
                acknowledged.append(memory.id)
            except Unavailable as error:
                errors.append(error)
                await asyncio.sleep(0.02)

    writers = [asyncio.create_task(write()) for _ in range(6)]
    await asyncio.sleep(0.5)
    before = len(acknowledged)
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(1.5)
    await asyncio.to_thread(start_again)
    restarted = time.monotonic()
    while len(acknowledged) < before + 50:
        assert time.monotonic() - restarted < 20
        await asyncio.sleep(0.05)
    running = False
    await asyncio.gather(*writers)
    async with database.tenant(Scope(tenant=DEFAULT_TENANT)) as transaction:
        kept = await transaction.memories.get_many(acknowledged)
    await database.close()
    assert before > 0
    assert errors
    assert {type(error) for error in errors} == {StoreUnavailable}
    assert list(kept) == acknowledged
