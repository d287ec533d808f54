"""Fixtures that every kind of test may use: a real PostgreSQL, and a whole platform on it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from deploy.servers.ports import free_ports
from deploy.servers.search_node import SearchNode, SearchNodeOptions

from mnemata import settings as settings_module
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.observability.metrics import Metrics
from mnemata.platform import Platform
from mnemata.settings import Settings
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.store.migrate import migrate

_NUMBERS = count()
_TEMPLATE = "mnemata_template"
_NODE_START_S = 180.0

# How long an example takes says more about what else the machine does than about the code.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first: one that comes last is waited for by one worker while the others have nothing."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users of the machine can reach: for root, the embedded server runs as one of them."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def patience() -> dict[str, dict[str, Any]]:
    """Settings with which a machine that has more to do than these tests is no reason to fail."""
    limits = ("acquire_timeout_s", "connect_timeout_s", "statement_timeout_s", "lock_timeout_s")
    return {"database": dict.fromkeys(limits, 60), "index": {"wait_timeout_s": 60}}


@pytest.fixture(scope="session")
def make_quick() -> Callable[[str], None]:
    """Switches off, in the server at a URL, what tests whose data nobody keeps do without.

    Whether a commit survives a power cut is for tests with servers of their own. And the feed is read up to the oldest
    transaction of the whole server: an automatic ANALYZE anywhere hides, for a moment, what was just stored.
    """

    def switch_off(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in ("fsync", "autovacuum"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")

    return switch_off


@pytest.fixture(scope="session")
def embedded_postgres(make_quick: Callable[[str], None]) -> Iterator[EmbeddedPostgres]:
    """One embedded server for all tests of a process, with a migrated template database."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres.start(folder, metrics=Metrics())
    make_quick(server.url_of("postgres"))
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


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[Callable[[str], str]]:
    """Where a cluster of the kind is: one that runs already (MNEMATA_TEST_ELASTICSEARCH names it), or a node of its own.

    A node takes half a minute and a gigabyte: it is started when a test first asks for it, once for each process.
    """
    with ExitStack() as stack:
        urls: dict[str, str] = {}

        def url(kind: str) -> str:
            if kind not in urls:
                urls[kind] = os.environ.get(f"MNEMATA_TEST_{kind.upper()}") or _started(kind, stack)
            return urls[kind]

        yield url


def _started(kind: str, stack: ExitStack) -> str:
    folder = Path(tempfile.mkdtemp(prefix=f"mnemata-{kind}-"))
    folder.chmod(0o755)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    http, transport = free_ports(2)
    options = SearchNodeOptions(
        engine=kind, folder=folder, http_port=http, transport_port=transport, short_lived=True
    )
    node = SearchNode(options)
    try:
        node.launch()
    except (OSError, RuntimeError) as error:
        pytest.skip(f"{kind} cannot be started here: {error}")
    stack.callback(node.stop)
    node.wait(_NODE_START_S)
    return node.url


@pytest.fixture
def settings(tmp_path: Path, database_url: str, patience: dict[str, dict[str, Any]]) -> Settings:
    """A platform's settings on a database of its own, with the quick deterministic embedder."""
    return settings_module.load(
        environment={},
        data_dir=tmp_path / "data",
        database={"url": database_url, **patience["database"]},
        embedding={"model": "hashing"},
        index=patience["index"],
    )


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    opened = await Platform.open(settings)
    yield opened
    await opened.close()


@pytest.fixture
def scope() -> Scope:
    return Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)
