"""PostgreSQL, the truth: a pool of connections, and transactions that see one tenant or the whole platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mnemata.domain.clock import Clock
from mnemata.domain.errors import PoolExhausted
from mnemata.domain.scope import Scope
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.store.connection import Connection, Session
from mnemata.store.errors import Limits, translated, unavailable
from mnemata.store.liveness import Liveness
from mnemata.store.statements import statements
from mnemata.store.transactions import PlatformTransaction, TenantTransaction

__all__ = ["Database", "PlatformTransaction", "PoolOptions", "TenantTransaction"]

log = get_logger("store")

_SQL = statements("transaction")
_IDLE_S = 60.0
_RECONNECT_AFTER_S = (0.1, 0.25, 0.5, 1.0, 2.0)
# A pool gives up one attempt after this and starts a new one: it must not sit out a long wait after a restart.
_RECONNECT_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """Bounds of the pool; times in seconds."""

    pool_min: int = 2
    pool_max: int = 12
    acquire_timeout_s: float = 5.0
    connect_timeout_s: float = 5.0
    statement_timeout_s: float = 15.0
    lock_timeout_s: float = 5.0
    application_name: str = "mnemata"


class Database:
    """The store of one platform. Use `open`; every transaction borrows a connection of the pool."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Connection],
        *,
        url: str,
        options: PoolOptions,
        liveness: Liveness,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
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
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            kwargs=connection_options(options),
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
        return cls(pool, url=url, options=options, liveness=liveness, metrics=metrics, clock=clock)

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._pool.close()

    @asynccontextmanager
    async def tenant(self, scope: Scope) -> AsyncGenerator[TenantTransaction]:
        """One transaction that sees one tenant; committed on exit, rolled back by an exception.

        It begins with its first statement. Raises StoreUnavailable, PoolExhausted, StorageFull, DeadlineExceeded.
        """
        async with self._session("mnemata_tenant", tenant=scope.tenant) as session:
            yield TenantTransaction(session, scope=scope, clock=self._clock)

    @asynccontextmanager
    async def platform(self) -> AsyncGenerator[PlatformTransaction]:
        """One transaction that sees every tenant, for workers and operators; otherwise as `tenant`."""
        async with self._session("mnemata_platform", tenant="") as session:
            yield PlatformTransaction(session, clock=self._clock)

    async def ping(self) -> None:
        """Return when PostgreSQL answers. Raises as `tenant`."""
        async with self._session("mnemata_platform", tenant="") as session:
            await session.rows(_SQL["ping"])

    async def listen(self) -> AsyncIterator[None]:
        """One item at once, one whenever changes were committed by any process, and one after a lost connection is back.

        It has a connection of its own, and waits for ever where the server stays away.
        """
        failures = 0
        while True:
            try:
                async for _ in self._notifications():
                    failures = 0
                    yield
            except (psycopg.Error, OSError) as error:
                wait_s = _RECONNECT_AFTER_S[min(failures, len(_RECONNECT_AFTER_S) - 1)]
                failures += 1
                log.warning("listener_reconnects", error=type(error).__name__, wait_s=wait_s)
                await asyncio.sleep(wait_s)

    async def _notifications(self) -> AsyncIterator[None]:
        options = connection_options(self._options)
        async with await psycopg.AsyncConnection.connect(self._url, **options) as connection:
            await connection.execute(_SQL["listen"].text)
            yield
            async for _ in connection.notifies():
                yield

    @asynccontextmanager
    async def _session(self, role: str, *, tenant: str) -> AsyncGenerator[Session]:
        connection = await self._acquire()
        session = Session(connection, settings=self._settings(role, tenant), limits=self._limits)
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


def connection_options(options: PoolOptions) -> dict[str, Any]:
    """How a connection is made: with a timeout, keepalives, and a name that pg_stat_activity shows."""
    return {
        "autocommit": True,
        "connect_timeout": max(2, round(options.connect_timeout_s)),
        "application_name": options.application_name,
        "prepare_threshold": 5,
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
