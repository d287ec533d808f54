"""Behind PgBouncer in transaction mode, which gives every transaction another server connection."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from mnemata.domain.filter import EVERYTHING
from mnemata.domain.memory import Operation
from mnemata.store.database import Database, PoolOptions

PROGRAM = Path("/usr/sbin/pgbouncer")

CONFIGURATION = """
[databases]
* = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture
def pooler_url(url: str, tmp_path: Path) -> Iterator[str]:
    """The test's database by way of PgBouncer, with two server connections for everybody."""
    if not PROGRAM.exists():
        pytest.skip("PgBouncer is not installed: run tests/install-servers.sh as root")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = probe.getsockname()[1]
    parts = urlsplit(url)
    address = parse_qs(parts.query)
    file = tmp_path / "pgbouncer.ini"
    file.write_text(
        CONFIGURATION.format(host=address["host"][0], port=address.get("port", ["5432"])[0], listen=listen)
    )
    for folder in [tmp_path, *tmp_path.parents[:2]]:
        folder.chmod(0o755)
    # Its socket may be its owner's alone.
    as_user = {"user": Path(address["host"][0]).stat().st_uid} if os.geteuid() == 0 else {}
    process = subprocess.Popen(
        [PROGRAM, "-q", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **as_user
    )
    through = f"postgresql://postgres@127.0.0.1:{listen}{parts.path}"
    try:
        _wait_for(through)
        yield through
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


async def test_tenants_stay_apart_and_statements_work_while_connections_are_shared(
    pooler_url, scope, other_scope, make, metrics, clock
):
    options = PoolOptions(pool_min=4, pool_max=8, prepare=False)
    database = await Database.open(pooler_url, options=options, metrics=metrics, clock=clock)

    async def one(own):
        memory = make(tenant=own.tenant)
        async with database.tenant(own) as transaction:
            await transaction.memories.insert([memory], operation=Operation.CREATED)
        async with database.tenant(own) as transaction:
            found = await transaction.memories.page(EVERYTHING, limit=100, now=clock.now())
        assert memory in found
        assert {item.tenant for item in found} == {own.tenant}

    for _ in range(8):
        await asyncio.gather(*(one(own) for own in (scope, other_scope) * 4))
    async with database.tenant(scope) as transaction:
        assert await transaction.memories.count(EVERYTHING, now=clock.now()) == 32
    await database.close()
