"""PgBouncer in transaction mode between us and PostgreSQL: every transaction may get another server connection."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from mnemata.domain.clock import SystemClock
from mnemata.domain.filter import EVERYTHING
from mnemata.domain.job import JobKind, JobState
from mnemata.domain.memory import Operation
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.services.jobs import Jobs
from mnemata.store.database import Database, Pooler
from mnemata.store.job_queue import JobQueue, QueueOptions

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
AT_ONCE = 12


@pytest.fixture
def pooled_url(url, open_folder) -> Iterator[str]:
    """The database through a PgBouncer of its own, with fewer server connections than there are clients."""
    if PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed: run deploy/servers/install.sh as root")
    parts = urlsplit(url)
    server = parse_qs(parts.query)["host"][0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = open_folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={server} user={parts.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n"
        "server_login_retry = 1\nlog_connections = 0\nlog_disconnections = 0\n"
    )
    # It refuses root; and who runs the server can reach its socket.
    user = {"user": Path(server).owner()} if os.geteuid() == 0 else {}
    with (open_folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [PGBOUNCER, str(configuration)], stdout=log, stderr=subprocess.STDOUT, **user
        )
    pooled = f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
    try:
        _until_it_answers(pooled)
        yield pooled
    finally:
        process.kill()
        process.wait(60)


def _until_it_answers(url: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url, connect_timeout=5, prepare_threshold=None).close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


@pytest.fixture
async def opened(options, metrics, clock) -> AsyncIterator[Callable]:
    made: list[Database] = []

    async def open_(at: str, **more) -> Database:
        chosen = replace(options, pool_min=2, pool_max=AT_ONCE, **more)
        made.append(await Database.open(at, options=chosen, metrics=metrics, clock=clock))
        return made[-1]

    yield open_
    for database in made:
        await database.close()


async def test_pooler_is_found_where_there_is_one_and_only_there(opened, pooled_url, url):
    through, directly = await opened(pooled_url), await opened(url)
    assert (through.pooled, directly.pooled) == (True, False)
    assert (through.listens, directly.listens) == (False, True)
    assert (await opened(pooled_url, direct_url=url)).listens


async def test_many_at_once_write_and_read_each_in_its_own_tenant(opened, pooled_url, make, clock):
    database = await opened(pooled_url)
    tenants = [f"t{number}" for number in range(AT_ONCE)]
    async with database.platform() as transaction:
        for tenant in tenants:
            await transaction.access.add_tenant(tenant, now=clock.now())

    async def live(tenant: str) -> None:
        scope = Scope(tenant=tenant, role=Role.WRITER)
        for number in range(1, 13):
            memory = replace(make(f"{tenant} says {number}"), tenant=tenant)
            async with database.tenant(scope) as transaction:
                await transaction.memories.insert([memory], operation=Operation.CREATED)
            async with database.tenant(scope) as transaction:
                found = await transaction.memories.page(EVERYTHING, limit=100, now=clock.now())
            assert len(found) == number
            assert all(one.tenant == tenant for one in found)

    async with asyncio.timeout(120):
        await asyncio.gather(*map(live, tenants))


async def test_jobs_are_done_through_the_pooler_while_others_write(opened, pooled_url, scope, make):
    database = await opened(pooled_url)

    async def handler(_, __):
        return {"done": 1}

    options = QueueOptions(poll_s=0.2, heartbeat_s=1, stalled_s=30, grace_s=1)
    queue = JobQueue(database, clock=SystemClock(), handlers={JobKind.SWEEP: handler}, options=options)
    jobs = Jobs(database, queue.enqueue, clock=SystemClock())
    operator = Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)

    async def write() -> None:
        for _ in range(30):
            async with database.tenant(scope) as transaction:
                await transaction.memories.insert([make()], operation=Operation.CREATED)

    working = asyncio.create_task(queue.run())
    try:
        asked = [await jobs.ask(operator, JobKind.SWEEP, {}) for _ in range(3)]
        async with asyncio.timeout(120):
            await asyncio.gather(write(), write())
            for one in asked:
                while (await jobs.get(operator, one)).state is not JobState.SUCCEEDED:
                    await asyncio.sleep(0.1)
    finally:
        working.cancel()
        await asyncio.wait({working})


async def test_failed_statement_gives_its_server_connection_back(opened, pooled_url, scope, make):
    database = await opened(pooled_url)
    memory = make("twice")
    async with database.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    for _ in range(3 * AT_ONCE):
        with pytest.raises(Exception, match="already"):
            async with database.tenant(scope) as transaction:
                await transaction.memories.insert([memory], operation=Operation.CREATED)
    async with asyncio.timeout(60):
        await asyncio.gather(*(database.ping() for _ in range(AT_ONCE)))


async def test_who_says_that_there_is_none_is_believed(opened, url):
    assert (await opened(url, pooler=Pooler.TRANSACTION)).pooled
    assert not (await opened(url, pooler=Pooler.NONE)).pooled
