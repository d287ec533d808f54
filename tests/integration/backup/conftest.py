from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import psycopg
import pytest

from mnemata.domain.clock import ManualClock, SystemClock
from mnemata.domain.ids import Uuid7Factory
from mnemata.domain.memory import Memory, Operation, text_hash
from mnemata.domain.scope import Scope
from mnemata.observability.metrics import Metrics
from mnemata.store.backup_tools import PostgresTools
from mnemata.store.database import Database, PoolOptions
from mnemata.store.embedded import EmbeddedPostgres

_NUMBERS = count()
_IDS = Uuid7Factory()


def new_memory(scope: Scope, content: str) -> Memory:
    now = datetime.now(UTC)
    return Memory(
        id=_IDS.new(),
        tenant=scope.tenant,
        content=content,
        content_hash=text_hash(content),
        kind="semantic",
        user_id=None,
        agent_id=None,
        session_id=None,
        sequence=None,
        role=None,
        tags=("kept",),
        metadata={"n": 1},
        importance=0.5,
        source=None,
        external_id=None,
        occurred_at=None,
        created_at=now,
        updated_at=now,
        expires_at=None,
        version=1,
        superseded_by=None,
        deleted_at=None,
    )


@pytest.fixture
def remember(scope: Scope):
    """Stores memories with these contents, each with its version and change, in one transaction."""

    async def store(database: Database, *contents: str) -> None:
        async with database.tenant(scope) as transaction:
            await transaction.memories.insert(
                [new_memory(scope, content) for content in contents], operation=Operation.CREATED
            )

    return store


@pytest.fixture
def tools() -> PostgresTools:
    return PostgresTools.bundled()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC))


@pytest.fixture
def open_database() -> Callable[[str], object]:
    async def opened(url: str) -> Database:
        return await Database.open(
            url, options=PoolOptions(pool_min=1), metrics=Metrics(), clock=SystemClock()
        )

    return opened


@pytest.fixture
async def database(database_url: str, open_database) -> AsyncIterator[Database]:
    database = await open_database(database_url)
    yield database
    await database.close()


@pytest.fixture
def empty_url(embedded_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"mnemata_empty_{next(_NUMBERS)}"
    with psycopg.connect(embedded_postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield embedded_postgres.url_of(name)
    with psycopg.connect(embedded_postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def tables_of():
    """Every row of every table, as text, by table."""

    def read(url: str) -> dict[str, list[str]]:
        with psycopg.connect(url) as connection:
            names = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            ).fetchall()
            return {
                name: [row[0] for row in connection.execute(f'SELECT t::text FROM "{name}" AS t ORDER BY 1')]
                for (name,) in names
            }

    return read


@pytest.fixture
def backup_path(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "whole.mnemata-backup"
