"""The embedded server's process: launched, watched until it is ready, stopped."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from mnemata.domain.errors import StorageFull, StoreUnavailable
from mnemata.observability.logging import get_logger
from mnemata.store.embedded_cluster import PORT, Cluster, socket_folder
from mnemata.store.embedded_user import ENVIRONMENT, binaries

log = get_logger("store")

_POLL_S = 0.005
_REPORT_EVERY_S = 5.0
_LOG_BYTES = 16 * 1024 * 1024
_LOG_TAIL_BYTES = 8 * 1024
# What does not end in its own time is cut short after this; recovery by its log does the rest.
_CUT_SHORT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """A running server that this process launched."""

    child: subprocess.Popen[bytes]
    cluster: Cluster
    socket_folder: Path

    @property
    def pid(self) -> int:
        return self.child.pid

    def alive(self) -> bool:
        return self.child.poll() is None

    def stop(self, timeout_s: float) -> None:
        """End it within about `timeout_s`: fast (with a checkpoint), else at once, else killed."""
        for how, wait_s in (
            (signal.SIGINT, timeout_s),
            (signal.SIGQUIT, _CUT_SHORT_S),
            (signal.SIGKILL, _CUT_SHORT_S),
        ):
            if not self.alive():
                break
            self.child.send_signal(how)
            try:
                self.child.wait(wait_s)
            except subprocess.TimeoutExpired:
                log.warning("embedded_postgres_slow_stop", pid=self.pid, signal=how.name, waited_s=wait_s)
        self.child.wait(_CUT_SHORT_S)


def launch(cluster: Cluster, *, timeout_s: float) -> Postmaster:
    """A server that accepts connections. Blocking; a long crash recovery is waited for, `timeout_s` at most.

    Raises StorageFull when it cannot start for want of room, StoreUnavailable when it cannot for another reason.
    """
    sockets = socket_folder(cluster)
    _evict(cluster, sockets)
    _rotate_log(cluster.log_file)
    logged_from = cluster.log_file.stat().st_size if cluster.log_file.exists() else 0
    postmaster = Postmaster(child=_spawn(cluster, sockets), cluster=cluster, socket_folder=sockets)
    try:
        _wait_until_ready(postmaster, timeout_s=timeout_s, logged_from=logged_from)
    except BaseException:
        postmaster.stop(_CUT_SHORT_S)
        raise
    return postmaster


def _evict(cluster: Cluster, sockets: Path) -> None:
    """End what a killed run left behind, and remove its lock files: PostgreSQL would refuse to start beside them."""
    lock_files = [
        path for path in (cluster.data / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock") if path.exists()
    ]
    if not lock_files:
        return
    # Not at the top: after an orderly end there is nothing to look for, and psutil takes a while to load.
    from mnemata.store.embedded_leftovers import end_server

    end_server(cluster.data)
    for path in lock_files:
        path.unlink(missing_ok=True)


def _spawn(cluster: Cluster, sockets: Path) -> subprocess.Popen[bytes]:
    arguments = [str(binaries() / "postgres"), "-D", str(cluster.data), "-k", str(sockets)]
    with cluster.log_file.open("ab") as output:
        try:
            return subprocess.Popen(  # noqa: S603 (a program of the wheel, and our own arguments)
                arguments,
                user=cluster.user.switch_user,
                group=cluster.user.switch_group,
                extra_groups=cluster.user.switch_extra_groups,
                cwd=cluster.home,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A Ctrl-C at the terminal is for us: we drain first, then stop the server.
                start_new_session=True,
            )
        except OSError as error:
            raise StoreUnavailable(
                what="The embedded PostgreSQL", reason=f"it cannot be run ({error.strerror})"
            ) from error


def _wait_until_ready(postmaster: Postmaster, *, timeout_s: float, logged_from: int) -> None:
    pid_file = postmaster.cluster.data / "postmaster.pid"
    started = time.monotonic()
    reported = started
    while not _says_ready(pid_file, postmaster.pid):
        if not postmaster.alive():
            raise _failure(postmaster.cluster.log_file, logged_from)
        now = time.monotonic()
        if now - started > timeout_s:
            raise StoreUnavailable(
                what="The embedded PostgreSQL",
                reason=f"it was not ready after {timeout_s:.0f} s",
                retry_after_s=5,
            )
        if now - reported > _REPORT_EVERY_S:
            reported = now
            log.info("embedded_postgres_recovering", waited_s=round(now - started, 1))
        time.sleep(_POLL_S)


def _says_ready(pid_file: Path, pid: int) -> bool:
    """The eighth line of postmaster.pid, once the first names our own child."""
    try:
        lines = pid_file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _failure(log_file: Path, logged_from: int) -> StoreUnavailable | StorageFull:
    """Why the server ended, in its own words."""
    with log_file.open("rb") as written:
        written.seek(max(logged_from, log_file.stat().st_size - _LOG_TAIL_BYTES))
        lines = written.read().decode("utf-8", "replace").splitlines()
    said = [line.split(maxsplit=4)[-1] for line in lines if "FATAL:" in line or "PANIC:" in line] or lines[
        -1:
    ]
    if any("No space left on device" in line for line in lines):
        return StorageFull(what="The embedded PostgreSQL", reason="no space left on device", retry_after_s=5)
    reason = said[0] if said else "it ended without a word"
    return StoreUnavailable(
        what="The embedded PostgreSQL", reason=f"it did not start ({reason})", retry_after_s=5
    )


def _rotate_log(log_file: Path) -> None:
    if log_file.exists() and log_file.stat().st_size > _LOG_BYTES:
        log_file.replace(log_file.with_suffix(".log.1"))
