"""PostgreSQL, the truth: a pool of connections, and transactions that see one tenant or the whole platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mnemata.domain.clock import Clock
from mnemata.domain.errors import PoolExhausted
from mnemata.domain.scope import Scope
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.store.connection import CHANNEL, Connection, Session
from mnemata.store.errors import Limits, translated, unavailable
from mnemata.store.liveness import Liveness
from mnemata.store.statements import statements
from mnemata.store.transactions import PlatformTransaction, TenantTransaction

__all__ = ["Database", "Heard", "PlatformTransaction", "PoolOptions", "Pooler", "TenantTransaction"]

log = get_logger("store")

_SQL = statements("transaction")
# A transaction whose process says nothing keeps its locks, and all later changes from those who follow the feed.
_IDLE_S = 10.0
_RECONNECT_AFTER_S = (0.1, 0.25, 0.5, 1.0, 2.0)
# A pool gives up one attempt after this and starts a new one: it must not sit out a long wait after a restart.
_RECONNECT_TIMEOUT_S = 2.0


class Pooler(StrEnum):
    """What stands between us and PostgreSQL: `TRANSACTION` gives every transaction whichever server connection is free."""

    AUTO = "auto"
    NONE = "none"
    TRANSACTION = "transaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """Bounds of the pool; times in seconds. `direct_url`: past the pooler, for what needs a connection of its own."""

    pool_min: int = 2
    pool_max: int = 12
    acquire_timeout_s: float = 5.0
    connect_timeout_s: float = 5.0
    statement_timeout_s: float = 15.0
    lock_timeout_s: float = 5.0
    application_name: str = "mnemata"
    pooler: Pooler = Pooler.AUTO
    direct_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A notification. Without a `channel`: the listener has only now begun to listen, and may have missed any number."""

    channel: str = ""
    payload: str = ""


class Database:
    """The store of one platform. Use `open`; every transaction borrows a connection of the pool."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Connection],
        *,
        url: str,
        options: PoolOptions,
        liveness: Liveness,
        pooled: bool = False,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.pooled = pooled
        """Whether a pooler gives each transaction another server connection."""
        self._pool = pool
        self._liveness = liveness
        self._url = url
        self._options = options
        self._metrics = metrics
        self._clock = clock
        self._borrowed = 0
        self._limits = Limits(
            acquire_s=options.acquire_timeout_s,
            statement_s=options.statement_timeout_s,
            lock_s=options.lock_timeout_s,
        )
        self._measure()

    @classmethod
    async def open(cls, url: str, *, options: PoolOptions, metrics: Metrics, clock: Clock) -> Database:
        """A database that answers. The schema is migrate's business. Raises StoreUnavailable."""
        liveness = Liveness()
        pooled = await _is_pooled(url, options)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            kwargs=connection_options(options, pooled=pooled),
            min_size=options.pool_min,
            max_size=options.pool_max,
            timeout=options.acquire_timeout_s,
            reconnect_timeout=_RECONNECT_TIMEOUT_S,
            configure=_configure,
            check=liveness.check,
            open=False,
            name=options.application_name,
        )
        try:
            await pool.open(wait=True, timeout=options.connect_timeout_s)
        except PoolTimeout as error:
            raise unavailable("it cannot be connected to") from error
        return cls(
            pool, url=url, options=options, liveness=liveness, pooled=pooled, metrics=metrics, clock=clock
        )

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._pool.close()

    @asynccontextmanager
    async def tenant(self, scope: Scope, *, single: bool = False) -> AsyncGenerator[TenantTransaction]:
        """One transaction that sees one tenant; committed on exit, rolled back by an exception.

        It begins with its first statement. `single`: that is its only one (or some that travel together), and one round trip does it all, so that there
        is no moment at which this process could stop and leave it open. Of one that writes and whose connection is lost
        nobody says whether it was done.
        Raises StoreUnavailable, PoolExhausted, StorageFull, DeadlineExceeded.
        """
        async with self._session("mnemata_tenant", tenant=scope.tenant, single=single) as session:
            yield TenantTransaction(session, scope=scope, clock=self._clock)

    @asynccontextmanager
    async def platform(self, *, single: bool = False) -> AsyncGenerator[PlatformTransaction]:
        """One transaction that sees every tenant, for workers and operators; otherwise as `tenant`."""
        async with self._session("mnemata_platform", tenant="", single=single) as session:
            yield PlatformTransaction(session, clock=self._clock)

    async def ping(self) -> None:
        """Return when PostgreSQL answers. Raises as `tenant`."""
        async with self._session("mnemata_platform", tenant="", single=True) as session:
            await session.rows(_SQL["ping"])

    @property
    def url(self) -> str:
        """Where the pool's connections go."""
        return self._url

    @property
    def connection_options(self) -> dict[str, Any]:
        """How the pool's connections are made, for another pool beside it."""
        return connection_options(self._options, pooled=self.pooled)

    @property
    def listens(self) -> bool:
        """Whether notifications can be heard: through a pooler they cannot, unless there is a way past it."""
        return not self.pooled or self._options.direct_url is not None

    async def listen(self, *channels: str) -> AsyncIterator[Heard]:
        """One item at once, one for every notification of any process, and one after a lost connection is back.

        It has a connection of its own, and waits for ever where the server stays away, or where nothing can be heard.
        """
        if not self.listens:
            log.info("listening_is_not_possible", instead="asked again and again")
            await asyncio.Event().wait()
        failures = 0
        while True:
            try:
                async for heard in self._notifications(channels or (CHANNEL,)):
                    failures = 0
                    yield heard
            except (psycopg.Error, OSError) as error:
                wait_s = _RECONNECT_AFTER_S[min(failures, len(_RECONNECT_AFTER_S) - 1)]
                failures += 1
                log.warning("listener_reconnects", error=type(error).__name__, wait_s=wait_s)
                await asyncio.sleep(wait_s)

    async def _notifications(self, channels: Sequence[str]) -> AsyncIterator[Heard]:
        options = connection_options(self._options)
        url = self._options.direct_url or self._url
        async with await psycopg.AsyncConnection.connect(url, **options) as connection:
            for channel in channels:
                await connection.execute(_SQL["listen"].text.format(channel=sql.Identifier(channel)))
            yield Heard()
            async for notice in connection.notifies():
                yield Heard(channel=notice.channel, payload=notice.payload)

    @asynccontextmanager
    async def _session(self, role: str, *, tenant: str, single: bool = False) -> AsyncGenerator[Session]:
        connection = await self._acquire()
        session = Session(
            connection,
            settings=self._settings(role, tenant),
            limits=self._limits,
            pipelined=not self.pooled,
            single=single,
        )
        try:
            yield session
            await session.commit()
            self._liveness.used(connection)
        except BaseException:
            await session.roll_back()
            raise
        finally:
            self._borrowed -= 1
            await self._pool.putconn(connection)

    async def _acquire(self) -> Connection:
        try:
            with translated(self._limits):
                connection = await self._pool.getconn()
        except PoolExhausted as error:
            self._metrics.pool_timeouts.inc()
            if self._borrowed < self._options.pool_max:
                # The pool had room for another connection and did not get one: it is not we who are busy.
                raise unavailable("it gives no connection") from error
            raise
        self._borrowed += 1
        return connection

    def _settings(self, role: str, tenant: str) -> dict[str, str]:
        return {
            "role": role,
            "tenant": tenant,
            "statement_timeout": _milliseconds(self._options.statement_timeout_s),
            "lock_timeout": _milliseconds(self._options.lock_timeout_s),
            "idle_timeout": _milliseconds(_IDLE_S),
        }

    def _measure(self) -> None:
        def reading(name: str) -> float:
            return float(self._pool.get_stats().get(name, 0))

        connections = self._metrics.pool_connections
        connections.labels("idle").set_function(lambda: reading("pool_available"))
        connections.labels("busy").set_function(lambda: reading("pool_size") - reading("pool_available"))
        self._metrics.pool_waiting.set_function(lambda: reading("requests_waiting"))


async def _is_pooled(url: str, options: PoolOptions) -> bool:
    """Whether a pooler is in between. It makes up the number of the server process that it tells its clients.

    Where nothing answers that is found out elsewhere.
    """
    if options.pooler is not Pooler.AUTO:
        return options.pooler is Pooler.TRANSACTION
    try:
        async with await psycopg.AsyncConnection.connect(
            url, **connection_options(options, pooled=True)
        ) as connection:
            row = await (await connection.execute(_SQL["backend"].text)).fetchone()
            pooled = row is not None and row[0] != connection.info.backend_pid
    except (psycopg.Error, OSError):
        return False
    if pooled:
        log.info("pooler_found", pipelines=False, prepared_statements=False)
    return pooled


def connection_options(options: PoolOptions, *, pooled: bool = False) -> dict[str, Any]:
    """How a connection is made: with a timeout, keepalives, and a name that pg_stat_activity shows.

    `pooled`: without prepared statements, which would be another connection's the next time.
    """
    return {
        "autocommit": True,
        "connect_timeout": max(2, round(options.connect_timeout_s)),
        "application_name": options.application_name,
        "prepare_threshold": None if pooled else 5,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        # Sent data that nobody acknowledges: the server's host is gone.
        "tcp_user_timeout": 30_000,
    }


async def _configure(connection: Connection) -> None:
    # Times come back in the session's zone: ours is UTC. Poolers know this setting and carry it along.
    await connection.execute(_SQL["utc"].text)


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
