from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import psutil
import psycopg
import pytest

from mnemata.domain.change import START
from mnemata.domain.errors import (
    AlreadyExists,
    ConfigurationError,
    CorruptBackup,
    DeadlineExceeded,
    StorageFull,
    StoreUnavailable,
)
from mnemata.store.backup import backup, restore
from mnemata.store.backup_archive import verify
from mnemata.store.backup_tools import Address, PostgresTools, running

# Not the same before and after: what the server numbers, and what a restore means to begin anew.
BEGUN_ANEW = {"feed_epoch", "changes"}


@pytest.fixture
async def backed_up(*, database, database_url, remember, tools, clock, backup_path):
    await remember(database, *(f"memory {n} ✓ 'quoted' \\ back\nline" for n in range(50)))
    return await backup(database_url, backup_path, tools=tools, clock=clock)


async def test_a_restored_database_has_the_same_rows(backed_up, database_url, empty_url, tools, tables_of):
    manifest = await restore(backed_up.path, empty_url, tools=tools)
    before, after = tables_of(database_url), tables_of(empty_url)
    assert before.keys() == after.keys()
    for table in before.keys() - BEGUN_ANEW:
        assert after[table] == before[table], table
    assert manifest.memories == len(after["memories"]) == 50
    assert len(after["changes"]) == len(before["changes"]) == 50


async def test_a_restored_database_has_the_same_schema_rights_and_policies(
    backed_up, database_url, empty_url, tools
):
    await restore(backed_up.path, empty_url, tools=tools)

    async def schema(url: str) -> list[str]:
        async with running(
            tools, "pg_dump", "--schema-only", f"--dbname={Address.of(url).conninfo}"
        ) as child:
            text = (await child.output.read(-1)).decode()
            await child.end()
        return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]

    assert await schema(empty_url) == await schema(database_url)


async def test_a_restored_feed_is_another_epoch_with_every_change_readable_and_new_ones_behind(
    *, backed_up, database, empty_url, tools, open_database, remember
):
    await restore(backed_up.path, empty_url, tools=tools)
    restored = await open_database(empty_url)
    try:
        async with database.platform() as old, restored.platform() as new:
            assert await old.feed.epoch() != await new.feed.epoch()
            assert len(await new.feed.read(START, limit=1_000)) == 50
            head = await new.feed.head()
        await remember(restored, "after the restore")
        async with restored.platform() as new:
            assert len(await new.feed.read(head, limit=1_000)) == 1
    finally:
        await restored.close()


async def test_a_backup_under_concurrent_writes_is_of_one_moment(
    *, database, database_url, empty_url, remember, tools, clock, backup_path
):
    await remember(database, "the first")
    stop = asyncio.Event()
    written = 1

    async def write(writer: int) -> None:
        nonlocal written
        while not stop.is_set():
            await remember(database, *(f"{writer} {written} {n}" for n in range(5)))
            written += 5

    async def until_more() -> None:
        before = written
        while written < before + 50:
            await asyncio.sleep(0.01)

    writers = [asyncio.create_task(write(n)) for n in range(3)]
    await until_more()
    made = await backup(database_url, backup_path, tools=tools, clock=clock)
    await until_more()
    stop.set()
    await asyncio.gather(*writers)
    counts = made.manifest.facts.tables
    assert counts["memories"] == counts["versions"] == counts["changes"]
    assert 1 < counts["memories"] < written
    # Each transaction wrote five: none is torn apart.
    assert counts["memories"] % 5 == 1
    await restore(backup_path, empty_url, tools=tools)
    with psycopg.connect(empty_url) as connection:
        for table, count in counts.items():
            assert connection.execute(f'SELECT count(*) FROM "{table}"').fetchone() == (count,), table


async def test_a_backup_is_private_and_an_ordinary_tar_with_checksums(backed_up, tmp_path):
    assert stat.S_IMODE(backed_up.path.stat().st_mode) == 0o600
    unpacked = await asyncio.to_thread(
        subprocess.run,
        ["tar", "-xvf", backed_up.path, "-C", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert unpacked.stdout.split() == ["dump.pgdump", "manifest.json", "SHA256SUMS"]
    checked = await asyncio.to_thread(
        subprocess.run, ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=False
    )
    assert checked.returncode == 0
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["created_at"] == "2026-01-02T03:04:05.678901+00:00"
    assert manifest["tables"]["memories"] == 50
    assert (tmp_path / "dump.pgdump").read_bytes().startswith(b"PGDMP")


async def test_any_changed_byte_is_noticed(backed_up):
    whole = backed_up.path.read_bytes()
    assert verify(backed_up.path) == backed_up.manifest
    damaged = backed_up.path.with_name("damaged")
    # Every kind of place: headers, dump, padding, manifest, checksums, the end.
    tail = range(len(whole) - 6_000, len(whole), 97)
    for at in [0, 5, 130, 300, 511, 512, 600, len(whole) // 2, *tail, len(whole) - 1]:
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :])
        with pytest.raises(CorruptBackup):
            verify(damaged)


async def test_a_backup_cut_short_or_prolonged_is_noticed(backed_up):
    whole = backed_up.path.read_bytes()
    damaged = backed_up.path.with_name("damaged")
    for content in (
        *(whole[:n] for n in (0, 1, 511, 512, 5_000, len(whole) - 1_024, len(whole) - 1)),
        whole + b"\0",
    ):
        damaged.write_bytes(content)
        with pytest.raises(CorruptBackup):
            verify(damaged)


@pytest.mark.parametrize("content", [b"not a backup at all" * 100, b"\0" * 20_000])
def test_another_file_is_no_backup(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CorruptBackup):
        verify(tmp_path / "file")


def test_a_missing_backup_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ConfigurationError, match="Name a backup file"):
        verify(tmp_path / "none")


async def test_a_damaged_backup_touches_nothing(backed_up, empty_url, tools, tables_of):
    whole = bytearray(backed_up.path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    backed_up.path.write_bytes(whole)
    with pytest.raises(CorruptBackup):
        await restore(backed_up.path, empty_url, tools=tools)
    assert tables_of(empty_url) == {}


async def test_a_database_that_is_not_empty_is_never_overwritten(backed_up, database_url, tools, tables_of):
    before = tables_of(database_url)
    with pytest.raises(ConfigurationError, match="empty data folder"):
        await restore(backed_up.path, database_url, tools=tools)
    assert tables_of(database_url) == before


async def test_a_backup_never_replaces_a_file(backed_up, database_url, tools, clock):
    before = backed_up.path.read_bytes()
    with pytest.raises(AlreadyExists):
        await backup(database_url, backed_up.path, tools=tools, clock=clock)
    assert backed_up.path.read_bytes() == before


async def test_a_backup_that_takes_too_long_leaves_nothing_and_no_process(
    *, database, database_url, remember, tools, clock, backup_path
):
    await remember(database, "a memory")
    # A lock that pg_dump has to wait for, longer than it may.
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE poison_changes IN ACCESS EXCLUSIVE MODE")
        with pytest.raises((DeadlineExceeded, StoreUnavailable)):
            await backup(database_url, backup_path, tools=tools, clock=clock, timeout_s=1.5)
    assert not backup_path.parent.exists() or list(backup_path.parent.iterdir()) == []
    assert "pg_dump" not in names_of_children()


def names_of_children() -> set[str]:
    """Of this process, now."""
    names = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            names.add(child.name())
    return names


@pytest.fixture
def slow(tools, tmp_path):
    """Tools whose pg_restore delivers the whole script, and then hangs."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "psql").symlink_to(tools.path("psql"))
    (folder / "pg_restore").write_text(f'#!/bin/sh\n{tools.path("pg_restore")} "$@"\nexec sleep 60\n')
    (folder / "pg_restore").chmod(0o755)
    return folder


async def until_half_restored(url: str) -> None:
    """Return when a session has written to this database and has not committed."""
    written = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(60):
            while await (await connection.execute(written)).fetchone() is None:
                await asyncio.sleep(0.05)


async def until_nobody_is_left(url: str) -> None:
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(60):
            while await (await connection.execute(others)).fetchone() is not None:
                await asyncio.sleep(0.05)


async def test_a_cancelled_restore_leaves_the_database_empty(backed_up, empty_url, slow, tables_of):
    restoring = asyncio.create_task(restore(backed_up.path, empty_url, tools=PostgresTools(folder=slow)))
    await until_half_restored(empty_url)
    restoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await restoring
    await until_nobody_is_left(empty_url)
    assert tables_of(empty_url) == {}


async def test_a_restore_whose_process_is_killed_leaves_the_database_empty(
    backed_up, empty_url, slow, tables_of
):
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from mnemata.store.backup import restore
        from mnemata.store.backup_tools import PostgresTools
        asyncio.run(restore(Path(sys.argv[1]), sys.argv[2], tools=PostgresTools(folder=Path(sys.argv[3]))))
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(backed_up.path), empty_url, str(slow)
    )
    try:
        await until_half_restored(empty_url)
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        await process.wait()
    for child in children:
        # It holds no connection, and sleeps for a minute; psql may have ended by itself.
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() != "psql":
                child.kill()
    await until_nobody_is_left(empty_url)
    assert tables_of(empty_url) == {}


async def test_progress_ends_at_the_whole(
    *, database, database_url, empty_url, remember, tools, clock, backup_path
):
    await remember(database, *(f"memory {n}" for n in range(10)))
    told: list[tuple[int, int]] = []
    made = await backup(
        database_url,
        backup_path,
        tools=tools,
        clock=clock,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (made.manifest.dump_bytes, made.manifest.dump_bytes)
    assert all(done <= total for done, total in told)


async def test_a_full_disk_is_said_and_leaves_nothing(
    *, database, database_url, remember, tools, clock, tmp_path
):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    await remember(database, *(os.urandom(50_000).hex() for _ in range(30)))
    small = tmp_path / "small"
    small.mkdir()
    mounted = await asyncio.to_thread(
        subprocess.run,
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(StorageFull):
            await backup(database_url, small / "x.mnemata-backup", tools=tools, clock=clock)
        assert list(small.iterdir()) == []
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", "--lazy", str(small)], check=True)


async def test_a_backup_of_a_database_without_memories_is_refused(empty_url, tools, clock, backup_path):
    with pytest.raises(ConfigurationError):
        await backup(empty_url, backup_path, tools=tools, clock=clock)


async def test_a_missing_program_is_refused_with_the_remedy(database_url, clock, backup_path, tmp_path):
    with pytest.raises(ConfigurationError, match="pg_dump"):
        await backup(database_url, backup_path, tools=PostgresTools(folder=tmp_path), clock=clock)


@pytest.fixture
def plain_owner(embedded_postgres) -> Iterator[str]:
    """A login that is a member of our roles and owns what it is given; it may make no roles."""
    name = "plain_owner"
    with psycopg.connect(embedded_postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        connection.execute(f"GRANT mnemata_tenant, mnemata_platform TO {name}")
        yield name
        # What it owned has gone with the databases.
        connection.execute(f"DROP OWNED BY {name}")
        connection.execute(f"DROP ROLE {name}")


@pytest.fixture
def owned(plain_owner, embedded_postgres) -> Iterator[Callable[[str], str]]:
    """Gives a whole database to the plain owner; the URL with which it logs in."""

    def give(url: str) -> str:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" OWNER TO {plain_owner}')
            for (table,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            ).fetchall():
                connection.execute(f'ALTER TABLE "{table}" OWNER TO {plain_owner}')
            # A sequence that belongs to a column goes with its table.
            for (sequence,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'"
                " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i'))"
            ).fetchall():
                connection.execute(f'ALTER SEQUENCE "{sequence}" OWNER TO {plain_owner}')
            given.append(url)
        return url.replace("postgresql://postgres@", f"postgresql://{plain_owner}@")

    given: list[str] = []
    yield give
    for url in given:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"REASSIGN OWNED BY {plain_owner} TO postgres")
            connection.execute(f"DROP OWNED BY {plain_owner}")


async def test_an_owner_under_row_level_security_backs_up_and_restores_every_tenants_rows(
    *, database, database_url, remember, tools, clock, backup_path, empty_url, owned, tables_of
):
    await remember(database, "one", "two")
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO tenants (id) VALUES ('another')")
    made = await backup(owned(database_url), backup_path, tools=tools, clock=clock)
    assert made.manifest.facts.tables["tenants"] == 2
    assert made.manifest.memories == 2
    await restore(backup_path, owned(empty_url), tools=tools)
    before, after = tables_of(database_url), tables_of(empty_url)
    for table in before.keys() - BEGUN_ANEW:
        assert after[table] == before[table], table


def test_a_password_is_not_on_the_command_line():
    address = Address.of("postgresql://ana:se%20cret@db.example:6432/mnemata?sslmode=require")
    assert "cret" not in address.conninfo
    assert address.environment["PGPASSWORD"] == "se cret"
    assert "sslmode=require" in address.conninfo
