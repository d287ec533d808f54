from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from mnemata.domain.errors import ConfigurationError, MnemataError, StoreUnavailable
from mnemata.domain.filter import EVERYTHING
from mnemata.domain.memory import Operation
from mnemata.store import migrate as migration
from mnemata.store.database import Database
from mnemata.store.migrate import current, migrate, newest, pending, revisions

pytestmark = pytest.mark.every_postgres

SQUAWK = Path(sys.executable).with_name("squawk")
FILES = sorted((Path(migration.__file__).parent / "migrations" / "versions").glob("*.sql"))


def test_empty_database_is_brought_to_the_newest_schema_once(empty_url):
    assert current(empty_url) is None
    assert pending(empty_url) == revisions()
    assert migrate(empty_url) == newest()
    assert current(empty_url) == newest()
    assert pending(empty_url) == []
    assert migrate(empty_url) == newest()


@pytest.mark.parametrize("earlier", revisions()[:-1])
async def test_every_earlier_schema_goes_forward_with_what_it_holds(
    empty_url, earlier, options, metrics, clock, scope, make
):
    assert migrate(empty_url, to=earlier) == earlier
    assert pending(empty_url) == [revision for revision in revisions() if revision > earlier]
    memory = make("kept", tags=("a",), metadata={"n": 1})
    database = await Database.open(empty_url, options=options, metrics=metrics, clock=clock)
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    assert migrate(empty_url) == newest()
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.page(EVERYTHING, limit=10, now=clock.now()) == [memory]
    await database.close()


# A row of every table, as any version of the schema that has the table takes it.
ROWS = {
    "tenants": "INSERT INTO tenants (id) VALUES ('acme')",
    "memories": """
        INSERT INTO memories (
            id, version, importance, created_at, updated_at, occurred_at, expires_at, sequence, tenant, kind, user_id,
            session_id, role, external_id, tags, metadata, attributes, term_hashes, content_hash, embedding_key, content
        ) VALUES (
            '00000000-0000-7000-8000-000000000001', 2, 0.5, now(), now(), now(), now() + interval '1 day', 3, 'acme',
            'semantic', 'ana', 's1', 'Ana', 'e1', '{a,b}', '{"n": 1}', '{}', '{}', sha256('x'), sha256('y'), 'a memory'
        )
    """,
    "versions": """
        INSERT INTO versions (
            memory_id, version, recorded_at, importance, created_at, operation, tenant, kind, tags, metadata, attributes,
            content_hash, embedding_key, content
        )
        SELECT id, n, now(), 0.5, now(), 'created', tenant, kind, tags, metadata, attributes, content_hash, embedding_key,
            'version ' || n
        FROM memories, generate_series(1, 2) AS n
    """,
    "changes": """
        INSERT INTO changes (memory_id, recorded_at, version, operation, tenant)
        SELECT memory_id, recorded_at, version, operation, tenant FROM versions
    """,
    "embeddings": """
        INSERT INTO embeddings (dimensions, tenant, space, key, vector)
        VALUES (1, 'acme', 'test/1', sha256('y'), '\\x0000803f')
    """,
    "api_keys": """
        INSERT INTO api_keys (id, tenant, role, label, secret_hash, created_at)
        VALUES ('k1', 'acme', 'reader', 'a key', sha256('secret'), now())
    """,
    "idempotency_keys": """
        INSERT INTO idempotency_keys (tenant, key, fingerprint, outcome, expires_at)
        VALUES ('acme', 'i1', 'f', 'o', now())
    """,
    "index_positions": "INSERT INTO index_positions VALUES ('local', 'epoch', '7', 8, now())",
    "poison_changes": """
        INSERT INTO poison_changes (
            memory_id, version, xid, seq, recorded_at, first_seen, last_seen, tenant, operation, code
        )
        SELECT memory_id, version, xid, seq, now(), now(), now(), tenant, operation, 'some_code'
        FROM changes WHERE version = 2
    """,
    "leases": "INSERT INTO leases VALUES ('index:0', 'worker 1', 4, now())",
    "index_reached": "INSERT INTO index_reached VALUES ('cluster', 3, 'epoch', 4, '7', 8, true)",
    "cache_doubts": "INSERT INTO cache_doubts VALUES ('namespace', 2, 1)",
    "procrastinate_jobs": "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('jobs', 'rebuild')",
    "job_reports": """
        INSERT INTO job_reports (job_id, tenant, done, total, created_at, updated_at)
        SELECT id, 'acme', 5, 9, now(), now() FROM procrastinate_jobs
    """,
    "import_chunks": """
        INSERT INTO import_chunks (job_id, number, tenant, memories, items)
        SELECT job_id, 0, 'acme', 1, '[]' FROM job_reports
    """,
}


def test_every_table_of_ours_has_a_row_that_migrations_are_tried_with(url):
    with psycopg.connect(url) as connection:
        there = set(tables(connection))
    apart = {"schema_revision", "feed_epoch"}
    assert {name for name in there - apart if not name.startswith("procrastinate_")} <= ROWS.keys() <= there


@pytest.mark.parametrize("earlier", revisions()[:-1])
def test_going_forward_leaves_every_row_of_every_table_as_it_was(empty_url, earlier):
    migrate(empty_url, to=earlier)
    with psycopg.connect(empty_url, autocommit=True) as connection:
        there = tables(connection)
        for table, statement in ROWS.items():
            if table in there:
                connection.execute(statement)
        before = {table: rows_of(connection, table) for table in there}
    assert migrate(empty_url) == newest()
    with psycopg.connect(empty_url) as connection:
        for table in before.keys() - {"schema_revision"}:
            after = rows_of(connection, table)
            assert len(after) == len(before[table]), table
            assert after or table.startswith("procrastinate_"), table
            # A later version may have more columns.
            assert all(new | old == new for old, new in zip(before[table], after, strict=True)), table


def tables(connection: psycopg.Connection) -> list[str]:
    query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    return [row[0] for row in connection.execute(query)]


def rows_of(connection: psycopg.Connection, table: str) -> list[dict]:
    query = sql.SQL("SELECT to_jsonb(t) FROM {} AS t ORDER BY to_jsonb(t)::text").format(
        sql.Identifier(table)
    )
    return [row[0] for row in connection.execute(query)]


def test_processes_that_start_together_migrate_once(empty_url):
    program = "import sys; from mnemata.store.migrate import migrate; print(migrate(sys.argv[1]))"
    command = [sys.executable, "-c", program, empty_url]
    together = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    outputs = [process.communicate(timeout=240) for process in together]
    assert [process.returncode for process in together] == [0, 0, 0], outputs
    assert sum("schema_migrated" in stdout + stderr for stdout, stderr in outputs) == 1
    assert current(empty_url) == newest()


def test_migration_waits_for_the_one_that_is_running(empty_url):
    with psycopg.connect(empty_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [migration._LOCK])
        waiting = threading.Thread(target=migrate, args=[empty_url])
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert current(empty_url) is None
    waiting.join(240)
    assert current(empty_url) == newest()


def test_migration_that_fails_changes_nothing(empty_url):
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE api_keys (in_the_way int)")
    with pytest.raises(MnemataError) as failed:
        migrate(empty_url)
    assert isinstance(failed.value.__cause__, psycopg.errors.DuplicateTable)
    assert current(empty_url) is None
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT to_regclass('memories')").fetchone() == (None,)


def test_schema_of_a_newer_program_is_refused(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE schema_revision SET version_num = '9999'")
    for call in (migrate, pending):
        with pytest.raises(ConfigurationError, match="newer than this program"):
            call(url)


def test_server_that_is_too_old_is_refused(empty_url, monkeypatch):
    monkeypatch.setattr(migration, "_OLDEST_SERVER", 990_000)
    with pytest.raises(ConfigurationError, match="too old"):
        migrate(empty_url)


def test_server_that_is_away_is_unavailable(tmp_path):
    with pytest.raises(StoreUnavailable):
        migrate(f"postgresql:///x?host={tmp_path}")


async def test_owner_of_the_database_who_is_no_superuser_can_migrate_and_serve(
    server, empty_url, options, metrics, clock, scope, make
):
    with psycopg.connect(empty_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute("CREATE ROLE store_app LOGIN CREATEROLE")
        connection.execute("GRANT mnemata_tenant, mnemata_platform TO store_app WITH ADMIN OPTION")
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO store_app").format(name))
    url = empty_url.replace("postgres@", "store_app@", 1)
    assert "store_app" in url
    try:
        migrate(url)
        database = await Database.open(url, options=options, metrics=metrics, clock=clock)
        memory = make()
        async with database.tenant(scope) as transaction:
            await transaction.memories.insert([memory], operation=Operation.CREATED)
        async with database.platform() as transaction:
            assert [found for found, _ in await transaction.documents([memory.id])] == [memory]
            assert (await transaction.feed.epoch()).count("/") == 2
        await database.close()
    finally:
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute("REASSIGN OWNED BY store_app TO postgres")
            connection.execute("DROP OWNED BY store_app")
            connection.execute("DROP ROLE store_app")


def test_login_without_the_rights_is_told_what_it_needs(empty_url):
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE store_guest LOGIN")
        try:
            url = empty_url.replace("postgres@", "store_guest@", 1)
            with pytest.raises(ConfigurationError, match="CREATEROLE"):
                migrate(url)
        finally:
            connection.execute("DROP ROLE store_guest")
    assert current(empty_url) is None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_migration_is_safe_to_run_by_the_linter(file):
    found = subprocess.run(
        [SQUAWK, "--pg-version", "15", "--assume-in-transaction", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_migration_bounds_its_locks_and_statements(file):
    text = file.read_text("utf-8")
    assert "SET LOCAL lock_timeout" in text
    assert "SET LOCAL statement_timeout" in text


def test_every_table_and_column_says_what_it_is(url):
    query = """
        SELECT c.relname, a.attname
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum >= 0
          AND c.relname <> 'schema_revision' AND NOT starts_with(c.relname, 'procrastinate_')
          AND NOT (c.relkind = 'v' AND a.attnum > 0)
          AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL
        UNION ALL
        SELECT c.relname, NULL
        FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
          AND c.relname <> 'schema_revision' AND NOT starts_with(c.relname, 'procrastinate_')
          AND obj_description(c.oid, 'pg_class') IS NULL
    """
    with psycopg.connect(url) as connection:
        assert connection.execute(query).fetchall() == []


def test_every_table_with_a_tenant_forces_row_level_security(url):
    query = """
        SELECT c.relname
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant'
        WHERE c.relkind = 'r' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
    """
    with psycopg.connect(url) as connection:
        assert connection.execute(query).fetchall() == []


def test_opening_a_database_loads_no_migration_library():
    program = (
        "import sys; import mnemata.store.database, mnemata.store.migrate;"
        "print(sorted({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
