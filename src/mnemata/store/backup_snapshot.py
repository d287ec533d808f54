"""One moment of a running database, lent to pg_dump, so that the manifest's counts are the dump's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import psycopg
from psycopg import sql

from mnemata.domain.errors import ConfigurationError
from mnemata.store.backup_archive import Facts
from mnemata.store.errors import Limits, translated
from mnemata.store.statements import statements

_SQL = statements("backup")
_FEED = statements("feed")
_REVISIONS = "schema_revision"
_CONNECT_TIMEOUT_S = 10
_LIMITS = Limits(acquire_s=_CONNECT_TIMEOUT_S, statement_s=0, lock_s=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`id` is for pg_dump. `bytes_on_disk`: the tables with their indexes. `filtered`: row-level security is in force."""

    id: str
    facts: Facts
    bytes_on_disk: int
    filtered: bool


@asynccontextmanager
async def snapshot(url: str, *, now: datetime) -> AsyncGenerator[Snapshot]:
    """A view of the data that stays as it is while the block runs; nobody else waits for it.

    Raises StoreUnavailable, ConfigurationError where the database is not ours or the login cannot see all of it.
    """
    with translated(_LIMITS):
        connection = await psycopg.AsyncConnection[Any].connect(url, connect_timeout=_CONNECT_TIMEOUT_S)
    async with connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        with translated(_LIMITS):
            taken = await _take(connection, now)
        yield taken
        # Nothing was written: ending it is all that is left.
        await connection.rollback()


async def _take(connection: psycopg.AsyncConnection[Any], now: datetime) -> Snapshot:
    await connection.execute(_SQL["unlimited"].text)
    identity, server_version = await _row(connection, _SQL["snapshot"].text)
    filtered = await _refuse_blind(connection)
    sizes: list[tuple[str, int]] = await (await connection.execute(_SQL["tables"].text)).fetchall()
    counts = {name: (await _row(connection, _count(name)))[0] for name, _ in sizes}
    facts = Facts(
        created_at=now,
        mnemata=version("mnemata"),
        schema_revision=await _revision(connection, counts),
        epoch=(await _row(connection, _FEED["epoch"].text))[0],
        server_version=server_version.split()[0],
        tables=counts,
    )
    return Snapshot(id=identity, facts=facts, bytes_on_disk=sum(size for _, size in sizes), filtered=filtered)


async def _refuse_blind(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether row-level security applies to us. A login that it hides rows from must not make half a backup."""
    found = await (await connection.execute(_SQL["reach"].text)).fetchone()
    if found is None:
        raise ConfigurationError(
            reason="There are no memories in this database",
            remedy="Start Mnemata on it once, or check its URL",
        )
    sees_all, may_act = found
    if not sees_all and not may_act:
        raise ConfigurationError(
            reason="This database login does not see every tenant's rows",
            remedy="Back up with the login that Mnemata uses, or GRANT mnemata_platform to this one",
        )
    return not sees_all


async def _revision(connection: psycopg.AsyncConnection[Any], tables: dict[str, int]) -> str:
    if not tables.get(_REVISIONS):
        return ""
    row = await _row(connection, sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(_REVISIONS)))
    return str(row[0])


def _count(table: str) -> sql.Composed:
    return _SQL["count"].text.format(table=sql.Identifier("public", table))


async def _row(connection: psycopg.AsyncConnection[Any], query: sql.SQL | sql.Composed) -> tuple[Any, ...]:
    row = await (await connection.execute(query)).fetchone()
    assert row is not None  # noqa: S101 (each of these statements gives one row)
    return row
