"""Fixtures that every kind of test may use: a real PostgreSQL, and a whole platform on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from mnemata import settings as settings_module
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.observability.metrics import Metrics
from mnemata.platform import Platform
from mnemata.settings import Settings
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.store.migrate import migrate

_NUMBERS = count()
_TEMPLATE = "mnemata_template"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users of the machine can reach: for root, the embedded server runs as one of them."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def embedded_postgres() -> Iterator[EmbeddedPostgres]:
    """One embedded server for all tests of a process, with a migrated template database."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres.start(folder, metrics=Metrics())
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
    migrate(server.url_of(_TEMPLATE))
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(embedded_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of its own at the current schema, dropped afterwards."""
    name = f"mnemata_test_{next(_NUMBERS)}"
    with psycopg.connect(embedded_postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    yield embedded_postgres.url_of(name)
    with psycopg.connect(embedded_postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """A platform's settings on a database of its own, with the quick deterministic embedder."""
    return settings_module.load(
        environment={},
        data_dir=tmp_path / "data",
        database={"url": database_url},
        embedding={"model": "hashing"},
    )


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    opened = await Platform.open(settings)
    yield opened
    await opened.close()


@pytest.fixture
def scope() -> Scope:
    return Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)
