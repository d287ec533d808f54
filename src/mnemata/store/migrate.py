"""The schema, brought up to date: forward only, by one process at a time.

Blocking: on an event loop, run it in a thread. Alembic is imported when it is needed, so that opening a database that is
up to date stays quick.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors, sql

from mnemata.domain.errors import ConfigurationError, StoreOutOfReach
from mnemata.observability.logging import get_logger
from mnemata.store.errors import Limits, is_full, translated

if TYPE_CHECKING:
    from alembic.config import Config

log = get_logger("store")

_LOCK = 0x6D6E656D617461
"""The advisory lock that migrating processes share: 'mnemata' in ASCII."""

_CONNECT_S = 10
_LOCK_WAIT_S = 120
_LIMITS = Limits(acquire_s=_CONNECT_S, statement_s=_LOCK_WAIT_S, lock_s=_LOCK_WAIT_S)
_REVISION = sql.SQL("SELECT version_num FROM schema_revision")
_OLDEST_SERVER = 150_000


def migrate(url: str, *, to: str = "head") -> str:
    """The revision that the schema is at after this.

    Processes that start together wait for one another: one migrates. All in one transaction: a failure changes nothing.
    Raises StoreUnavailable, ConfigurationError for a server older than PostgreSQL 15 or a schema newer than this program.
    """
    with _connected(url) as connection:
        _require_server(connection)
        if to == "head" and _revision(connection) == newest():
            return newest()
        with _alone(connection):
            before = _revision(connection)
            _refuse_newer(before)
            with _rights_explained():
                _upgrade(url, to)
            after = _revision(connection) or ""
        if after != before:
            log.info("schema_migrated", before=before, after=after)
        return after


def current(url: str) -> str | None:
    """The revision that the schema is at; None for an empty database. Raises StoreUnavailable."""
    with _connected(url) as connection:
        return _revision(connection)


def pending(url: str) -> list[str]:
    """The revisions that `migrate` would run, in order. Raises as `migrate`."""
    done = current(url)
    _refuse_newer(done)
    known = revisions()
    return known if done is None else known[known.index(done) + 1 :]


def newest() -> str:
    """The revision that this program works with."""
    return revisions()[-1]


def revisions() -> list[str]:
    """Every revision, the oldest first: files are numbered in their order."""
    folder = files("mnemata.store") / "migrations" / "versions"
    return sorted(item.name.split("_", 1)[0] for item in folder.iterdir() if item.name.endswith(".sql"))


@contextmanager
def _connected(url: str) -> Generator[psycopg.Connection]:
    with translated(_LIMITS), _reached(url) as connection:
        yield connection


def _reached(url: str) -> psycopg.Connection:
    """The first connection that a start makes: what is wrong with the URL shows here, and is told in the server's words."""
    try:
        return psycopg.connect(
            url, autocommit=True, connect_timeout=_CONNECT_S, application_name="mnemata-migrate"
        )
    except psycopg.OperationalError as error:
        if is_full(error):
            raise
        said = str(error).strip().splitlines() or ["no answer"]
        reason = said[0].removeprefix("connection failed: ").rstrip(".")
        raise StoreOutOfReach(what="PostgreSQL", reason=reason) from error
    except psycopg.ProgrammingError as error:
        # The driver would repeat parts of the URL, the password among them.
        raise ConfigurationError(
            reason="The URL of PostgreSQL cannot be read",
            remedy="Look at MNEMATA_DATABASE__URL; signs in a password are written as %40 for @",
        ) from error


@contextmanager
def _alone(connection: psycopg.Connection) -> Generator[None]:
    """Hold the lock of migrations; released by the server itself if this process dies."""
    connection.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(_LOCK_WAIT_S * 1000)))
    connection.execute(sql.SQL("SELECT pg_advisory_lock({})").format(sql.Literal(_LOCK)))
    try:
        yield
    finally:
        connection.execute(sql.SQL("SELECT pg_advisory_unlock({})").format(sql.Literal(_LOCK)))


@contextmanager
def _rights_explained() -> Generator[None]:
    try:
        yield
    except errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            reason=f"The database login may not make the schema: {error.diag.message_primary}",
            remedy=(
                "Make it the owner of the database and give it CREATEROLE, or the roles mnemata_tenant and"
                " mnemata_platform with admin option"
            ),
        ) from error


def _upgrade(url: str, to: str) -> None:
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, connect_timeout=_CONNECT_S, application_name="mnemata-migrate"),
        poolclass=NullPool,
    )
    try:
        with engine.connect() as connection:
            command.upgrade(_config(connection), to)
    except DBAPIError as error:
        # Alembic's own statements fail in SQLAlchemy's words, those of our files in the driver's.
        raise error.orig or error from error
    finally:
        engine.dispose()


def _config(connection: Any) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("mnemata.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _revision(connection: psycopg.Connection) -> str | None:
    try:
        row = connection.execute(_REVISION).fetchone()
    except errors.UndefinedTable:
        return None
    return None if row is None else str(row[0])


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision not in revisions():
        raise ConfigurationError(
            reason=f"The database has the schema {revision}, which is newer than this program knows ({newest()})",
            remedy="Use the newer program",
        )


def _require_server(connection: psycopg.Connection) -> None:
    if connection.info.server_version < _OLDEST_SERVER:
        raise ConfigurationError(
            reason=f"PostgreSQL {connection.info.server_version // 10_000} is too old",
            remedy="Use PostgreSQL 15 or later",
        )
