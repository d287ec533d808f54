"""A process that is paused in the middle of a pipeline has nothing open: what takes locks leaves with the pipeline's end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from mnemata.domain.change import Position
from mnemata.domain.errors import MnemataError
from mnemata.domain.memory import Operation
from mnemata.store.leases import Reached
from mnemata.store.pipeline import Pipeline, together
from mnemata.workers.leasing import Leasing, Work

# libpq is told to keep statements prepared after so many runs.
RUNS = 8
_LOCKS = """
    SELECT DISTINCT c.relname FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
        JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.pid <> pg_backend_pid() AND c.relkind = 'r'
        -- The server's own vacuum comes when it likes.
        AND a.backend_type = 'client backend'
"""
_OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
"""
_HOW_MANY = sql.SQL("SELECT count(*) FROM memories").format()
# What was sent before the pipeline stood still, a commit among it, takes the server its time.
_SERVER_S = 10.0

Ends = Callable[..., Awaitable[bool | None]]


@pytest.fixture
def look_at_ends(monkeypatch, url) -> Callable[[Callable[[Ends], Ends]], None]:
    """Has the end of each pipeline on this test's database watched, and of none that another server keeps going here."""

    def watched(watch: Callable[[Ends], Ends]) -> None:
        ends = Pipeline.__aexit__
        ours, name = watch(ends), conninfo_to_dict(url)["dbname"]

        async def end(pipeline, *error):
            return await (ours if pipeline.pgconn.db.decode() == name else ends)(pipeline, *error)

        monkeypatch.setattr(Pipeline, "__aexit__", end)

    return watched


@pytest.fixture
def locked(look_at_ends, url) -> list[set[str]]:
    """The tables on which locks stayed held whenever a pipeline stood still just before its end."""
    found: list[set[str]] = []

    async def stayed() -> set[str]:
        until = time.monotonic() + _SERVER_S
        with psycopg.connect(url, autocommit=True) as connection:
            while (held := {row[0] for row in connection.execute(_LOCKS)}) and time.monotonic() < until:
                await asyncio.sleep(0.02)
        return held

    def watch(ends: Ends) -> Ends:
        async def stand_still(pipeline, *error):
            await asyncio.sleep(0.02)
            found.append(await stayed())
            return await ends(pipeline, *error)

        return stand_still

    look_at_ends(watch)
    return found


async def test_transaction_holds_no_locks_while_it_is_sent(database, locked, scope, make):
    for number in range(RUNS):
        async with database.tenant(scope) as transaction:
            memories = [make(content=f"a vole, number {number}")]
            await transaction.memories.insert(memories, operation=Operation.CREATED)
        # The second time the commit was on its way. A pool may look after its connections in between.
        assert len(locked) >= 2
        assert not any(locked)
        locked.clear()


async def test_what_a_worker_says_of_its_leases_is_open_at_no_moment(database, locked):
    told = [Reached(partition=1, position=Position(xid=7, sequence=7), caught_up=True, token=1)]
    calls: list[Callable] = [
        lambda leases: leases.take("otter", ["index/00"], ttl_s=60.0),
        lambda leases: leases.renew("otter", ttl_s=60.0),
        lambda leases: leases.give_back("otter", ["index/00"]),
        lambda leases: leases.forget("index/"),
        lambda leases: leases.reach("main", epoch="e", told=told),
    ]
    for call in calls:
        for _ in range(RUNS):
            async with database.platform(single=True) as transaction:
                await call(transaction.leases)
    assert len(locked) >= len(calls) * RUNS
    assert not any(locked)


async def test_worker_has_no_transaction_open_between_what_it_says_of_its_leases(
    database, metrics, url, look_at_ends
):
    left: list[int] = []

    def watch(ends: Ends) -> Ends:
        async def look(pipeline, *error):
            await ends(pipeline, *error)
            with psycopg.connect(url) as connection:
                left.extend(connection.execute(_OPEN).fetchone())

        return look

    look_at_ends(watch)
    work = Work(shared=["index/00", "index/01"], alone=["sweeper"])
    leasing = Leasing(database, owner="otter", work=work, ttl_s=60.0, metrics=metrics)
    await leasing.round()
    assert set(leasing.held) >= {"index/00", "index/01", "sweeper"}
    await leasing.round()
    await leasing.leave()
    assert left
    assert not any(left)


async def test_transaction_of_which_nothing_is_heard_is_ended_by_the_server(
    database, scope, make, url, monkeypatch
):
    monkeypatch.setattr("mnemata.store.database._IDLE_S", 0.1)
    with pytest.raises(MnemataError):
        async with database.tenant(scope) as transaction:
            await transaction.memories.insert([make()], operation=Operation.CREATED)
            with psycopg.connect(url) as connection:
                # Waits for the other.
                connection.execute("LOCK TABLE memories")
            await transaction.session.row(_HOW_MANY)
    async with database.tenant(scope) as transaction:
        assert await transaction.session.row(_HOW_MANY) == (0,)


async def test_that_is_so_in_all_servers_by_itself(database):
    asked = sql.SQL("SELECT current_setting('idle_in_transaction_session_timeout')").format()
    async with database.platform() as transaction:
        assert await transaction.session.row(asked) == ("10s",)


async def test_statements_that_travel_together_fail_together_and_the_connection_works_on(url):
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with together(connection) as pipeline:
                await connection.execute("CREATE TABLE half_done (x int)")
                pipeline.hold()
                await connection.execute("SELECT 1 / %s", [0])
                await connection.execute("SELECT 2")
        assert not connection.closed
        row = await (await connection.execute("SELECT to_regclass('half_done')")).fetchone()
        assert row == (None,)


async def test_statements_on_a_lost_connection_say_so(url):
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            async with together(connection) as pipeline:
                pipeline.hold()
                await connection.execute("SELECT 1")
    await connection.close()
    with pytest.raises(psycopg.OperationalError):
        async with together(connection):
            await connection.execute("SELECT 1")
