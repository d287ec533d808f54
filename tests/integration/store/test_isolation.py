"""Row-level security: a second wall that holds for hand-written SQL too, and for a login that is a superuser."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest
from psycopg import sql

from mnemata.domain.errors import MnemataError
from mnemata.domain.filter import EVERYTHING
from mnemata.domain.memory import Operation
from mnemata.domain.query import Words

TABLES = ["memories", "own_memories", "versions", "changes", "embeddings", "tenants", "idempotency_keys"]


def test_everything_that_a_tenant_may_read_is_tried_here_and_nothing_runs_with_more_rights(url):
    """A table or a function of a later migration is seen by the tests below, or not by tenants."""
    readable = """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f')
          AND has_table_privilege('mnemata_tenant', oid, 'SELECT')
    """
    elevated = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    with psycopg.connect(url) as connection:
        assert {row[0] for row in connection.execute(readable)} == set(TABLES)
        assert connection.execute(elevated).fetchall() == []


@pytest.fixture
async def theirs(database, other_scope, make, space):
    memory = make("their secret", tenant=other_scope.tenant, external_id="x", session_id="s", tags=("t",))
    async with database.tenant(other_scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
        await transaction.embeddings.put(space, {memory.embedding_key: np.ones(4, dtype=np.float32)})
        await transaction.idempotency.claim("k", b"f", expires_at=memory.created_at)
    return memory


@pytest.mark.parametrize("table", TABLES)
async def test_hand_written_sql_sees_and_counts_no_row_of_another_tenant(database, scope, theirs, table):
    query = sql.SQL("SELECT count(*) FROM {} AS t WHERE to_json(t)::text LIKE '%other%'").format(
        sql.Identifier(table)
    )
    async with database.tenant(scope) as transaction:
        assert (await transaction.session.rows(query))[0][0] == 0


@pytest.mark.parametrize("table", TABLES)
async def test_same_sql_sees_them_as_their_own_tenant(database, other_scope, theirs, table):
    query = sql.SQL("SELECT count(*) FROM {} AS t WHERE to_json(t)::text LIKE '%other%'").format(
        sql.Identifier(table)
    )
    async with database.tenant(other_scope) as transaction:
        assert (await transaction.session.rows(query))[0][0] >= 1


async def test_hand_written_update_reaches_no_row_of_another_tenant(database, scope, theirs):
    async with database.tenant(scope) as transaction:
        touched = await transaction.session.rows(
            sql.SQL("UPDATE memories SET content = 'x' RETURNING id").format()
        )
    assert touched == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM memories",
        "DELETE FROM changes",
        "UPDATE own_memories SET content = 'x'",
        "UPDATE changes SET operation = 'purged'",
        "TRUNCATE memories CASCADE",
        "SELECT * FROM api_keys",
        "SELECT * FROM poison_changes",
        "SELECT * FROM index_positions",
        "UPDATE feed_epoch SET started_at = now()",
        "UPDATE memories SET tenant = 'other' WHERE tenant = 'default'",
        "INSERT INTO embeddings (dimensions, tenant, space, key, vector) VALUES (1, 'other', 's', 'k', 'v')",
        "CREATE TABLE public.mine (id int)",
    ],
)
async def test_tenant_role_may_not(database, scope, make, theirs, statement):
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([make()], operation=Operation.CREATED)
    with pytest.raises(MnemataError) as refused:
        async with database.tenant(scope) as transaction:
            await transaction.session.rows(sql.SQL(statement).format())
    assert isinstance(refused.value.__cause__, psycopg.errors.InsufficientPrivilege)


async def test_memory_cannot_be_written_into_another_tenant(database, scope, other_scope, make):
    with pytest.raises(MnemataError):
        async with database.tenant(scope) as transaction:
            await transaction.memories.insert([make(tenant=other_scope.tenant)], operation=Operation.CREATED)


async def test_no_read_of_the_store_gives_another_tenants_memory(database, scope, theirs, clock, space):
    now = clock.now()
    async with database.tenant(scope) as transaction:
        memories = transaction.memories
        assert await memories.get(theirs.id) is None
        assert await memories.get(theirs.id, lock=True) is None
        assert await memories.get_many([theirs.id]) == {}
        assert await memories.by_external_ids(["x"]) == {}
        assert await memories.history(theirs.id) == []
        assert await memories.version(theirs.id, 1) is None
        assert await memories.as_of(theirs.id, now) is None
        assert await memories.page(EVERYTHING, limit=10, now=now) == []
        assert await memories.page_as_of(EVERYTHING, limit=10, as_of=now) == []
        assert await memories.count(EVERYTHING, now=now) == 0
        assert await memories.count_as_of(EVERYTHING, as_of=now) == 0
        assert await memories.ids_matching(EVERYTHING, limit=10, now=now) == []
        assert await memories.with_turns([theirs.id], width=3, now=now) == ({}, {theirs.id: ((), ())})
        assert await memories.search_words(Words(text="secret"), EVERYTHING, limit=10, now=now) == []
        assert (
            await memories.search_words(Words(text="secret"), EVERYTHING, limit=10, now=now, as_of=now) == []
        )
        assert (await memories.vectors(space, EVERYTHING, limit=10, now=now))[0] == []
        assert await transaction.embeddings.get(space, [theirs.embedding_key]) == {}
        assert await transaction.idempotency.claim("k", b"other", expires_at=now) is None


async def test_without_a_role_and_a_tenant_the_owner_of_the_tables_sees_nothing(url, theirs):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE store_owner LOGIN")
        try:
            for table in ("memories", "versions", "changes", "embeddings", "idempotency_keys", "api_keys"):
                name = sql.Identifier(table)
                connection.execute(sql.SQL("ALTER TABLE {} OWNER TO store_owner").format(name))
                connection.execute("SET ROLE store_owner")
                count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
                connection.execute("RESET ROLE")
                assert count == (0,)
        finally:
            connection.execute("REASSIGN OWNED BY store_owner TO postgres")
            connection.execute("DROP OWNED BY store_owner")
            connection.execute("DROP ROLE store_owner")


async def test_role_and_tenant_end_with_their_transaction(database, scope, url, metrics, clock):
    async with database.tenant(scope) as transaction:
        inside = await transaction.session.row(sql.SQL("SELECT current_user, pg_backend_pid()").format())
    async with database._pool.connection() as connection:
        outside = await (await connection.execute("SELECT current_user, pg_backend_pid()")).fetchone()
    assert (inside[0], outside[0]) == ("mnemata_tenant", "postgres")
    assert inside[1] == outside[1]
