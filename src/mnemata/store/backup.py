"""Backups: one file that holds everything of one moment, made while the platform runs; and the way back."""

from __future__ import annotations

import asyncio
import os
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from mnemata.domain.clock import Clock
from mnemata.domain.errors import ConfigurationError, DeadlineExceeded
from mnemata.observability.logging import get_logger
from mnemata.store.backup_archive import DUMP_AT, Manifest, verify
from mnemata.store.backup_file import BackupFile
from mnemata.store.backup_script import run
from mnemata.store.backup_snapshot import Snapshot, snapshot
from mnemata.store.backup_tools import PIECE, Address, PostgresTools, running
from mnemata.store.errors import Limits, translated
from mnemata.store.migrate import revisions
from mnemata.store.statements import statements

log = get_logger("store")

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes are done and how many there are: for a backup an upper bound, as the dump is compressed."""

TIMEOUT_S = 6 * 3_600.0

_SQL = statements("restore")
_LIMITS = Limits(acquire_s=10, statement_s=0, lock_s=10)
_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """A backup that is safely on disk. `bytes` is the file's size."""

    path: Path
    bytes: int
    seconds: float
    manifest: Manifest


async def backup(
    url: str,
    target: Path,
    *,
    tools: PostgresTools,
    clock: Clock,
    progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
) -> BackupReport:
    """A backup of the database at `target`, which appears there whole or not at all.

    Consistent: one snapshot of the running database, in which nobody waits for it. Raises AlreadyExists where there is
    such a file, StorageFull, StoreUnavailable, ConfigurationError, DeadlineExceeded; then nothing is left behind.
    """
    started = time.perf_counter()
    async with (
        _limited("The backup", timeout_s),
        snapshot(url, now=clock.now()) as moment,
        BackupFile.open(target) as file,
    ):
        await _dump(Address.of(url), tools, moment, file, progress)
        manifest = await file.finish(moment.facts)
    seconds = time.perf_counter() - started
    log.info("backup_made", memories=manifest.memories, bytes=file.bytes, took_ms=round(seconds * 1_000))
    return BackupReport(path=target, bytes=file.bytes, seconds=seconds, manifest=manifest)


async def restore(
    path: Path,
    url: str,
    *,
    tools: PostgresTools,
    progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Manifest:
    """The rows of a backup in an empty database, all or none, in a new epoch of the feed, so that indexes are rebuilt.

    The schema is the backup's: migrate afterwards. Raises CorruptBackup before anything is touched, ConfigurationError
    for a database that is not empty, StorageFull, StoreUnavailable, DeadlineExceeded.
    """
    started = time.perf_counter()
    async with _limited("The restore", timeout_s):
        manifest = await asyncio.to_thread(verify, path)
        _refuse_newer(manifest)
        await _refuse_occupied(url)
        await _load(path, Address.of(url), tools, manifest, progress)
        await _gather_statistics(url)
    log.info(
        "backup_restored", memories=manifest.memories, took_ms=round((time.perf_counter() - started) * 1_000)
    )
    return manifest


async def _dump(
    address: Address, tools: PostgresTools, moment: Snapshot, file: BackupFile, progress: Progress | None
) -> None:
    arguments = [
        "--format=custom",
        # Most of it are vectors, which hardly shrink: level 3 takes twice the time for 3% less.
        "--compress=gzip:1",
        "--no-password",
        "--lock-wait-timeout=10s",
        f"--snapshot={moment.id}",
        f"--dbname={address.conninfo}",
    ]
    if moment.filtered:
        # Without this pg_dump refuses to read through policies; ours let this login see every row.
        arguments.append("--enable-row-security")
    async with running(tools, "pg_dump", *arguments, environment=address.environment) as child:
        while piece := await child.output.read(PIECE):
            await file.write(piece)
            if progress is not None:
                progress(file.dump_bytes, max(moment.bytes_on_disk, file.dump_bytes))
        await child.end()
    if progress is not None:
        progress(file.dump_bytes, file.dump_bytes)


def _refuse_newer(manifest: Manifest) -> None:
    if manifest.facts.schema_revision not in revisions():
        raise ConfigurationError(
            reason=f"The backup was made by Mnemata {manifest.facts.mnemata}, whose tables this version does not know",
            remedy="Restore it with that version or a newer one",
        )


async def _refuse_occupied(url: str) -> None:
    with translated(_LIMITS):
        async with await psycopg.AsyncConnection[Any].connect(
            url, connect_timeout=_CONNECT_TIMEOUT_S
        ) as connection:
            row = await (await connection.execute(_SQL["occupied"].text)).fetchone()
    if row is None or row[0]:
        raise ConfigurationError(
            reason="The database is not empty, and a restore never overwrites memories",
            remedy="Restore into an empty data folder (MNEMATA_DATA_DIR) or into a new database",
        )


async def _load(
    path: Path, address: Address, tools: PostgresTools, manifest: Manifest, progress: Progress | None
) -> None:
    """pg_restore writes the dump as a script, psql runs it between our own statements, all in one transaction."""
    unpack = ("--format=custom", "--file=-", "--no-owner", "--exit-on-error")
    load = (
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--output=/dev/null",
        "--file=-",
        f"--dbname={address.conninfo}",
    )
    with path.open("rb") as file:
        os.lseek(file.fileno(), DUMP_AT, os.SEEK_SET)
        async with (
            running(tools, "pg_restore", *unpack, stdin=file) as script,
            running(tools, "psql", *load, environment=address.environment, stdin=PIPE) as database,
        ):
            told = _Told(descriptor=file.fileno(), dump_bytes=manifest.dump_bytes, progress=progress)
            await run(script, database, told.tell)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """How far pg_restore has read in the file that we opened for it."""

    descriptor: int
    dump_bytes: int
    progress: Progress | None

    def tell(self) -> None:
        if self.progress is not None:
            done = os.lseek(self.descriptor, 0, os.SEEK_CUR) - DUMP_AT
            self.progress(min(done, self.dump_bytes), self.dump_bytes)


async def _gather_statistics(url: str) -> None:
    """Without them the first queries would be planned blindly."""
    with translated(_LIMITS):
        async with await psycopg.AsyncConnection[Any].connect(
            url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
        ) as connection:
            await connection.execute("ANALYZE")


@asynccontextmanager
async def _limited(what: str, timeout_s: float) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded(what=what, limit_s=timeout_s) from error
