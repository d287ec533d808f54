from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import sql

from mnemata.domain.errors import MnemataError
from mnemata.domain.memory import Operation
from mnemata.store.database import Database


@pytest.fixture
async def opened(url, options, metrics, clock):
    databases = []

    async def open_with(**limits):
        databases.append(
            await Database.open(url, options=replace(options, **limits), metrics=metrics, clock=clock)
        )
        return databases[-1]

    yield open_with
    for database in databases:
        await database.close()


async def test_single_statement_that_fails_leaves_a_connection_that_works(opened, scope, make):
    database = await opened(pool_min=1, pool_max=1)
    with pytest.raises(MnemataError):
        async with database.platform(single=True) as transaction:
            await transaction.session.rows(sql.SQL("SELECT no_such_column FROM memories").format())
    async with database.platform(single=True) as transaction:
        assert await transaction.memories_in_all() == 0
    async with database.platform() as transaction:
        assert await transaction.memories_in_all() == 0


async def test_second_statement_is_refused_where_the_first_has_ended_the_transaction(database, scope, make):
    async with database.platform(single=True) as transaction:
        await transaction.memories_in_all()
        with pytest.raises(RuntimeError, match="single statement"):
            await transaction.memories_in_all()


async def test_single_statement_takes_role_and_tenant_for_itself_alone_however_often_it_is_sent(
    opened, scope, other_scope, make
):
    database = await opened(pool_min=1, pool_max=1)
    memory = make("The kettle is in the attic.")
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    # After some times a statement is prepared, and travels in another way.
    for _ in range(12):
        async with database.tenant(other_scope, single=True) as transaction:
            assert await transaction.memories.get(memory.id) is None
        async with database.tenant(scope, single=True) as transaction:
            assert await transaction.memories.get(memory.id) == memory
        async with database._pool.connection() as connection:
            left = await connection.execute(
                "SELECT current_user = session_user, current_setting('mnemata.tenant', true)"
            )
            assert await left.fetchone() in {(True, ""), (True, None)}


async def test_single_statement_sees_its_own_tenant_only(database, scope, other_scope, make):
    memory = make("The kettle is in the attic.")
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    async with database.tenant(other_scope, single=True) as transaction:
        assert await transaction.memories.get(memory.id) is None
    async with database.tenant(scope, single=True) as transaction:
        assert await transaction.memories.get(memory.id) == memory
