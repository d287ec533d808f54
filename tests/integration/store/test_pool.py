from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from mnemata.domain.errors import (
    DeadlineExceeded,
    MnemataError,
    OutcomeUnknown,
    PoolExhausted,
    StorageFull,
    StoreUnavailable,
    Unavailable,
)
from mnemata.domain.memory import Operation
from mnemata.domain.scope import DEFAULT_TENANT, Scope
from mnemata.store import liveness
from mnemata.store.database import Database, PoolOptions
from mnemata.store.migrate import migrate

# Two connections, both made at the start: what a test does not mean to run out of, it has.
TIGHT = PoolOptions(
    pool_min=2,
    pool_max=2,
    acquire_timeout_s=60,
    connect_timeout_s=60,
    statement_timeout_s=60,
    lock_timeout_s=60,
    application_name="tight",
)


@pytest.fixture
async def opened(url, metrics, clock):
    """`await opened(lock_timeout_s=1)`: a database of two connections with limits of its own."""
    databases = []

    async def open_with(**limits):
        options = replace(TIGHT, **limits)
        databases.append(await Database.open(url, options=options, metrics=metrics, clock=clock))
        return databases[-1]

    yield open_with
    for database in databases:
        await database.close()


@pytest.fixture
async def tight(opened):
    return await opened()


async def until(condition):
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_exhausted_pool_is_said_to_be_so_and_when_to_try_again(opened, metrics):
    tight = await opened(acquire_timeout_s=2)
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


async def test_statement_that_takes_too_long_is_stopped(opened):
    tight = await opened(statement_timeout_s=1)
    with pytest.raises(DeadlineExceeded) as stopped:
        async with tight.platform() as transaction:
            await transaction.session.rows(sql.SQL("SELECT pg_sleep(300)").format())
    assert stopped.value.facts["limit_s"] == 1


async def test_wait_for_a_locked_row_ends(opened, scope, make):
    tight, memory = await opened(lock_timeout_s=0.1), make()
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


@pytest.mark.parametrize("rested_s", [0.0, 60.0])
async def test_idle_connections_that_were_cut_are_replaced_unseen(tight, url, rested_s, monkeypatch):
    # Whether the server is asked before each transaction, or only listened to.
    monkeypatch.setattr(liveness, "RESTED_S", rested_s)
    await tight.ping()
    with psycopg.connect(url, autocommit=True) as connection:
        # Waits for each until it has gone.
        connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'tight'"
        )
    await tight.ping()


@pytest.mark.parametrize(("rested_s", "asked"), [(0.0, True), (60.0, False)])
async def test_server_is_asked_only_whether_a_rested_connection_works(tight, rested_s, asked, monkeypatch):
    monkeypatch.setattr(liveness, "RESTED_S", rested_s)
    for _ in range(4):
        await tight.ping()
    said = []

    async def listened(connection):
        # Not those of a server that other tests keep in this process.
        if connection.info.parameter_status("application_name") == "tight":
            said.append(connection)

    monkeypatch.setattr(liveness.AsyncConnectionPool, "check_connection", listened)
    await tight.ping()
    assert bool(said) is asked


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
    assert len(failures) == 1
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
    options = replace(TIGHT, connect_timeout_s=2)
    with pytest.raises(StoreUnavailable):
        await Database.open(f"postgresql:///x?host={tmp_path}", options=options, metrics=metrics, clock=clock)


async def test_closed_store_is_unavailable(url, options, metrics, clock):
    opened = await Database.open(url, options=options, metrics=metrics, clock=clock)
    await opened.close()
    await opened.close()
    with pytest.raises(StoreUnavailable):
        await opened.ping()


async def test_cancelled_statement_frees_its_connection(tight, url):
    async def sleep():
        async with tight.platform() as transaction:
            await transaction.session.rows(sql.SQL("SELECT pg_sleep(300)").format())

    async def asleep():
        return await asyncio.to_thread(sleepers_of, url) == 1

    async def nobody_asleep():
        return await asyncio.to_thread(sleepers_of, url) == 0

    for _ in range(4):
        task = asyncio.create_task(sleep())
        await until(asleep)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(nobody_asleep)
    await tight.ping()


def sleepers_of(url):
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    )
    with psycopg.connect(url) as connection:
        return connection.execute(waiting).fetchone()[0]


async def test_server_restarted_under_load_is_missed_for_a_moment_and_then_works_by_itself(
    own_server, metrics, clock, make
):
    server, start_again = own_server
    url = server.url_of("postgres")
    await asyncio.to_thread(migrate, url)
    # A connection for every writer: nobody waits for another, only for the server.
    options = replace(TIGHT, pool_min=4, pool_max=4, acquire_timeout_s=5)
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

    async def written(count):
        async with asyncio.timeout(60):
            while len(acknowledged) < count:
                await asyncio.sleep(0.02)

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await written(20)
    await asyncio.to_thread(server.stop)
    async with asyncio.timeout(60):
        while not errors:
            await asyncio.sleep(0.02)
    before = len(acknowledged)
    await asyncio.to_thread(start_again)
    await written(before + 50)
    running = False
    await asyncio.gather(*writers)
    async with database.tenant(Scope(tenant=DEFAULT_TENANT)) as transaction:
        kept = await transaction.memories.get_many(acknowledged)
    await database.close()
    # What was about to be committed at that moment may have been.
    assert {type(error) for error in errors} <= {StoreUnavailable, OutcomeUnknown}
    assert list(kept) == acknowledged
