"""A standby that is promoted: reads go on, writes are refused meanwhile, and the feed begins another epoch."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from mnemata.domain.change import START
from mnemata.domain.errors import StoreUnavailable
from mnemata.domain.memory import Operation
from mnemata.domain.scope import DEFAULT_TENANT, Scope
from mnemata.store.database import Database
from mnemata.store.migrate import migrate

PROGRAMS = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture
def primary_and_standby(own_server, version, start_again_in):
    """A primary and, on a copy of its folder, a standby. With Debian's programs only: the wheel's server takes no replicas."""
    if version != 15:
        pytest.skip("the embedded server is never replicated")
    primary, _ = own_server
    migrate(primary.url_of("postgres"))
    folder = Path(tempfile.mkdtemp(prefix="mnemata-standby-"))
    folder.chmod(0o755)
    as_user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(folder, **as_user)
    copy = [
        PROGRAMS / "pg_basebackup",
        "-D",
        folder / "data",
        "-R",
        "-c",
        "fast",
        "-d",
        primary.url_of("postgres"),
    ]
    subprocess.run(copy, check=True, cwd="/", capture_output=True, **as_user)
    standby = start_again_in(folder)
    yield primary, standby
    standby.stop()
    shutil.rmtree(folder, ignore_errors=True)


async def test_promoted_standby_begins_another_epoch(primary_and_standby, options, metrics, clock, make):
    primary, standby = primary_and_standby
    scope, memory = Scope(tenant=DEFAULT_TENANT), make()

    async def opened(server):
        return await Database.open(
            server.url_of("postgres"), options=replace(options, pool_max=2), metrics=metrics, clock=clock
        )

    first, second = await opened(primary), await opened(standby)
    async with first.platform() as transaction:
        before = await transaction.feed.epoch()
    async with second.platform() as transaction:
        following = await transaction.feed.epoch()
    with pytest.raises(StoreUnavailable):
        async with second.tenant(scope) as transaction:
            await transaction.memories.insert([memory], operation=Operation.CREATED)
    with psycopg.connect(standby.url_of("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_promote(true)")
    async with second.tenant(scope) as transaction:
        await transaction.memories.insert([memory], operation=Operation.CREATED)
    async with second.platform() as transaction:
        after = await transaction.feed.epoch()
        assert [change.memory_id for change in await transaction.feed.read(START, limit=5)] == [memory.id]
    await first.close()
    await second.close()
    assert len({before, following, after}) == 3
    assert before.split("/")[:2] == after.split("/")[:2]
