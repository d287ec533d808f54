from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from mnemata.domain.clock import SystemClock
from mnemata.domain.errors import StorageFull
from mnemata.observability.metrics import Metrics
from mnemata.store.data_folder import DataFolder
from mnemata.store.database import Database, PoolOptions
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.store.migrate import migrate

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted: that needs root and the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def server(small_disk: Path, metrics: Metrics) -> AsyncIterator[EmbeddedPostgres]:
    folder = DataFolder.acquire(small_disk / "data")
    server = await asyncio.to_thread(EmbeddedPostgres.start, folder.path, metrics=metrics)
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept (x bigint GENERATED ALWAYS AS IDENTITY, t text)")
        connection.execute("INSERT INTO kept (t) SELECT 'a row' FROM generate_series(1, 1000)")
    supervision = asyncio.create_task(server.supervise(interval_s=0.1))
    yield server
    supervision.cancel()
    await asyncio.gather(supervision, return_exceptions=True)
    await asyncio.to_thread(server.stop)
    folder.release()


def fill(disk: Path, *, leaving: int) -> Path:
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leaving)
    return filler


def write(server: EmbeddedPostgres) -> bool:
    try:
        with psycopg.connect(server.url, autocommit=True, connect_timeout=60) as connection:
            connection.execute("INSERT INTO kept (t) VALUES (%s)", (os.urandom(200_000).hex(),))
    except (psycopg.errors.DiskFull, psycopg.errors.ReadOnlySqlTransaction, psycopg.OperationalError):
        return False
    return True


def count(server: EmbeddedPostgres) -> int | None:
    try:
        with psycopg.connect(server.url, connect_timeout=60) as connection:
            row = connection.execute("SELECT count(*) FROM kept").fetchone()
            return row[0] if row else None
    except psycopg.OperationalError:
        return None


def read_only(server: EmbeddedPostgres) -> bool:
    with psycopg.connect(server.url, connect_timeout=60) as connection:
        return connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


async def await_that(condition):
    until = time.monotonic() + 120
    while not (result := await asyncio.to_thread(condition)):
        assert time.monotonic() < until, "it did not come true"
        await asyncio.sleep(0.05)
    return result


async def test_a_disk_that_fills_up_refuses_writes_goes_on_reading_and_recovers(server, small_disk, metrics):
    filler = fill(small_disk, leaving=60 * MIB)
    acknowledged = 1_000
    while await asyncio.to_thread(write, server):
        acknowledged += 1
    await await_that(lambda: metrics.registry.get_sample_value("mnemata_storage_full") == 1)
    assert server.full
    for _ in range(10):
        assert count(server) == acknowledged
        assert not write(server)
    filler.unlink()
    await await_that(lambda: write(server))
    assert count(server) == acknowledged + 1
    await await_that(lambda: metrics.registry.get_sample_value("mnemata_storage_full") == 0)
    assert metrics.registry.get_sample_value("mnemata_database_restarts_total") == 0


async def test_a_server_that_went_down_over_a_full_disk_reads_again_and_recovers(server, small_disk, metrics):
    filler = fill(small_disk, leaving=0)

    def write_ahead_until_it_ends() -> bool:
        try:
            with psycopg.connect(server.url, autocommit=True) as connection:
                for _ in range(1_000):
                    connection.execute(
                        "SELECT pg_logical_emit_message(false, 'm', %s)", (os.urandom(100_000).hex(),)
                    )
        except psycopg.Error:
            return True
        return False

    assert await asyncio.to_thread(write_ahead_until_it_ends)
    assert await await_that(lambda: count(server)) == 1_000
    assert not write(server)
    await await_that(lambda: metrics.registry.get_sample_value("mnemata_database_restarts_total") >= 1)
    filler.unlink()
    await await_that(lambda: write(server))
    assert count(server) == 1_001
    await await_that((small_disk / "data" / "postgres" / "ballast").exists)


async def test_a_full_disk_is_said_as_storage_full_by_the_store(server, small_disk):
    await asyncio.to_thread(migrate, server.url)
    database = await Database.open(
        server.url, options=PoolOptions(pool_min=1), metrics=Metrics(), clock=SystemClock()
    )
    try:
        fill(small_disk, leaving=16 * MIB)
        # Told by a signal to every session of the server: a session that is open learns it a moment later.
        await await_that(lambda: read_only(server))
        with pytest.raises(StorageFull):
            async with asyncio.timeout(60):
                while True:
                    async with database.platform() as transaction:
                        await transaction.feed.new_epoch()
        async with database.platform() as transaction:
            assert await transaction.feed.epoch()
    finally:
        await database.close()


async def test_a_folder_on_a_full_disk_starts_and_reads(small_disk):
    folder = DataFolder.acquire(small_disk / "data")
    server = await asyncio.to_thread(EmbeddedPostgres.start, folder.path, metrics=Metrics())
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'a row' AS t FROM generate_series(1, 1000)")
    await asyncio.to_thread(server.stop)
    folder.release()
    fill(small_disk, leaving=0)
    folder = DataFolder.acquire(small_disk / "data")
    again = await asyncio.to_thread(EmbeddedPostgres.start, folder.path, metrics=Metrics())
    try:
        assert again.full
        assert count(again) == 1_000
        assert not write(again)
    finally:
        await asyncio.to_thread(again.stop)
        folder.release()
