"""A standby that is promoted: reads go on, writes are refused meanwhile, and the feed and the index begin anew."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from mnemata import settings as settings_module
from mnemata.domain.change import START
from mnemata.domain.errors import IndexMoved, Kind, MnemataError, StoreUnavailable
from mnemata.domain.memory import MemoryDraft, Operation
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.platform import Platform
from mnemata.services.outcome import WaitFor
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
        # Not promoted yet: nothing is begun anew for it.
        with pytest.raises(StoreUnavailable):
            await transaction.feed.read(START, limit=5, epoch=before)
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
        with pytest.raises(IndexMoved):
            await transaction.feed.read(START, limit=5, epoch=before)
        with pytest.raises(IndexMoved):
            await transaction.feed.read_partitions({0: START}, limit=5, epoch=before)
    await first.close()
    await second.close()
    assert len({before, following, after}) == 3
    assert before.split("/")[:2] == after.split("/")[:2]


@pytest.fixture
async def failing_over(primary_and_standby, own_server, tmp_path, patience):
    """A platform on whichever of the two takes writes, with an index of its own."""
    primary, standby = primary_and_standby
    hosts = ",".join(server.url_of("postgres").partition("host=")[2] for server in (primary, standby))
    url = f"postgresql://postgres@/postgres?host={hosts}&target_session_attrs=read-write"
    settings = settings_module.load(
        environment={},
        data_dir=tmp_path / "data",
        database={"url": url, **patience["database"], "connect_timeout_s": 5, "acquire_timeout_s": 5},
        embedding={"model": "hashing"},
        cache={"url": "off"},
        index=patience["index"],
    )
    platform = await Platform.open(settings)
    yield platform
    await platform.close()
    # It is stopped once more by who started it.
    _, again = own_server
    await asyncio.to_thread(again)


async def test_index_begins_anew_under_a_platform_whose_standby_was_promoted(
    failing_over, primary_and_standby
):
    platform, (primary, standby) = failing_over, primary_and_standby
    scope = Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)

    async def found(text):
        query = Query(text=text, words=Words(text=text), mode=Mode.LEXICAL)
        answer = await platform.services.recall.search(scope, query)
        return {hit.memory.content for hit in answer.hits}, answer.degraded

    early = {f"an early bird, number {n}" for n in range(3)}
    await _stored(platform, scope, *early)
    with psycopg.connect(standby.url_of("postgres"), autocommit=True) as connection:
        await _until(connection, "SELECT count(*) = 3 FROM memories")
        # Asynchronous, and behind: it never gets what is stored from now on.
        connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
        connection.execute("SELECT pg_reload_conf()")
        await _until(connection, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
        # One after the other: each takes a number of a transaction, which the promoted server gives once more.
        for n in range(20):
            await _stored(platform, scope, f"a lost penguin, number {n}")
        assert len((await found("penguin"))[0]) == 10
        await asyncio.to_thread(primary.stop)
        connection.execute("SELECT pg_promote(true)")

    async with asyncio.timeout(60):
        while True:
            try:
                await _stored(platform, scope, "a first walrus", wait_for=WaitFor.NONE)
                break
            except MnemataError as error:
                assert error.kind in {Kind.UNAVAILABLE, Kind.TIMEOUT}, error
                await asyncio.sleep(0.05)
        while await found("walrus") != ({"a first walrus"}, ()):
            await asyncio.sleep(0.05)
    for n in range(5):
        (result,) = await _stored(platform, scope, f"walrus w{n}x")
        assert result.indexed
        assert await found(f"w{n}x") == ({f"walrus w{n}x"}, ())
    assert await found("penguin") == (set(), ())
    assert await found("early") == (early, ())
    async with platform.store.database.platform() as transaction:
        epoch = await transaction.feed.epoch()
    statistics = await platform.index.statistics()
    assert (statistics.documents, statistics.epoch) == (3 + 6, epoch)


async def _stored(platform, scope, *texts, wait_for=WaitFor.INDEX):
    drafts = [MemoryDraft(content=text) for text in texts]
    return await platform.services.remember.many(scope, drafts, wait_for=wait_for)


async def _until(connection, question):
    async with asyncio.timeout(60):
        while connection.execute(question).fetchone() != (True,):
            await asyncio.sleep(0.02)
