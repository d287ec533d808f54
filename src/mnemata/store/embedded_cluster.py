"""The files of the embedded PostgreSQL: who owns them, how they are made, and how the server is configured."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mnemata.domain.errors import ConfigurationError, StorageFull, StoreUnavailable
from mnemata.observability.logging import get_logger
from mnemata.store.embedded_user import ENVIRONMENT, MAJOR, ServerUser, binaries, give, open_the_way

log = get_logger("store")

SUPERUSER = "postgres"
PORT = 5432

_INITDB_TIMEOUT_S = 120.0
_REASON_LENGTH = 600
# sockaddr_un.sun_path, with its closing NUL: 104 bytes on macOS, 108 on Linux.
_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107

_CONFIGURATION = """\
# Written by Mnemata at every start. To change a setting: ALTER SYSTEM, which wins over this file.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 50
shared_buffers = '128MB'
# Durability: a commit is on disk before it is acknowledged.
fsync = on
synchronous_commit = on
full_page_writes = on
wal_compression = on
min_wal_size = '80MB'
max_wal_size = '1GB'
# Statements are small; their planning and the model need the cores.
jit = off
max_parallel_workers_per_gather = 0
# A young table outgrows the planner's idea of it within seconds.
autovacuum_naptime = '5s'
# A statement whose caller was killed ends by itself.
client_connection_check_interval = '5s'
timezone = 'UTC'
log_timezone = 'UTC'
# The log holds events and never a memory's content: no statements, parameters or rows of failed statements.
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_statement = none
log_checkpoints = off
log_autovacuum_min_duration = -1
log_line_prefix = '%m [%p] '
# Holds full.conf while the disk is full: then transactions are read-only.
include_dir 'mnemata.d'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the server's files are and who owns them."""

    home: Path
    user: ServerUser

    @property
    def data(self) -> Path:
        """PGDATA, by major version: another version's files never meet this one's."""
        return self.home / str(MAJOR)

    @property
    def switches(self) -> Path:
        """Configuration that is switched on by giving a file the ending `.conf`."""
        return self.data / "mnemata.d"

    @property
    def log_file(self) -> Path:
        return self.home.parent / "postgres.log"


def prepare(data_dir: Path) -> Cluster:
    """The cluster of a data folder, made where it is missing, configured and reachable for its user. Blocking.

    Raises ConfigurationError where this system or this user cannot run a server, StorageFull without room.
    """
    _refuse_windows()
    home = data_dir / "postgres"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster = Cluster(home=home, user=ServerUser.of(home))
    give(home, cluster.user)
    open_the_way(cluster.home, cluster.user)
    if not (cluster.data / "PG_VERSION").exists():
        _initialise(cluster)
    _configure(cluster)
    return cluster


def socket_folder(cluster: Cluster) -> Path:
    """Where the server listens: beside its files, or in a private temporary folder when that path is too long."""
    inside = cluster.home
    length = len(os.fsencode(inside / f".s.PGSQL.{PORT}"))
    # A comma separates hosts for libpq, a quote quotes them.
    if length <= _SOCKET_PATH_BYTES and not set(str(inside)) & set(",\"'\\"):
        return inside
    return _private_temporary_folder(cluster)


def _refuse_windows() -> None:
    if sys.platform == "win32":
        raise ConfigurationError(
            reason="The embedded PostgreSQL runs on Linux and macOS only",
            remedy="Set MNEMATA_DATABASE__URL to a PostgreSQL server, version 15 or later",
        )


def _initialise(cluster: Cluster) -> None:
    """A new database cluster, built aside and renamed: a process killed here leaves nothing half made."""
    _remove_unfinished(cluster)
    # A name of our own: whatever else is at work here does not meet us.
    aside = cluster.home / f"{MAJOR}.new-{os.getpid()}"
    try:
        _initdb(cluster, aside)
        with (aside / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\ninclude 'mnemata.conf'\n")
        aside.rename(cluster.data)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    log.info("database_initialised", major=MAJOR)


def _remove_unfinished(cluster: Cluster) -> None:
    """End what a run that was killed at its first start has left at work, then remove what it has made."""
    unfinished = list(cluster.home.glob(f"{MAJOR}.new*"))
    if not unfinished:
        return
    # Not at the top: psutil takes a while to load, and there is seldom anything to end.
    from mnemata.store.embedded_leftovers import end_initdb

    end_initdb(cluster.home, unfinished)
    for folder in unfinished:
        shutil.rmtree(folder, ignore_errors=True)


def _initdb(cluster: Cluster, target: Path) -> None:
    # C.UTF-8 of the builtin provider: an order that no upgrade of the system's libraries can change.
    arguments = (
        f"--pgdata={target}",
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--text-search-config=simple",
        "--auth-local=trust",
        "--auth-host=reject",
        "--data-checksums",
        "--no-instructions",
        # One sync of the file system instead of one for each of a thousand small files: seconds less.
        *(("--sync-method=syncfs",) if sys.platform == "linux" else ()),
    )
    try:
        done = subprocess.run(  # noqa: S603 (a program of the wheel, and our own arguments)
            [str(binaries() / "initdb"), *arguments],
            user=cluster.user.switch_user,
            group=cluster.user.switch_group,
            extra_groups=cluster.user.switch_extra_groups,
            cwd=cluster.home,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INITDB_TIMEOUT_S,
            check=False,
            # A Ctrl-C, or a signal to all of a group, is for us. An initdb that gets one gives up without waiting for the
            # server that it runs, and cannot remove the folder into which that still writes.
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreUnavailable(
            what="The embedded PostgreSQL", reason=f"initdb did not run ({error})"
        ) from error
    if done.returncode != 0:
        raise _initdb_failed(done)


def _initdb_failed(done: subprocess.CompletedProcess[str]) -> StoreUnavailable | StorageFull:
    if "No space left on device" in done.stderr:
        return StorageFull(what="The embedded PostgreSQL", reason="no space left on device")
    # It says some causes on stdout, behind the step that failed, and how it tidied up on stderr after every cause.
    lines = [*done.stdout.splitlines()[-2:], *done.stderr.splitlines()]
    said = "; ".join(line.strip() for line in lines if line.strip()) or "it said nothing"
    ended = f"by signal {-done.returncode}" if done.returncode < 0 else f"with exit code {done.returncode}"
    reason = f"initdb ended {ended}: {said[:_REASON_LENGTH]}"
    return StoreUnavailable(what="The embedded PostgreSQL", reason=reason)


def _configure(cluster: Cluster) -> None:
    """Write our settings where they differ: an unchanged folder is started without writing, also on a full disk."""
    path = cluster.data / "mnemata.conf"
    cluster.switches.mkdir(exist_ok=True)
    # By a call of its own: the caller's umask takes rights away from what is made.
    cluster.switches.chmod(0o755)
    if path.exists() and path.read_text("utf-8") == _CONFIGURATION:
        return
    aside = path.with_suffix(".new")
    aside.write_text(_CONFIGURATION, "utf-8")
    if os.geteuid() == 0:
        os.chown(aside, cluster.user.uid, cluster.user.gid)
    aside.replace(path)


def _private_temporary_folder(cluster: Cluster) -> Path:
    name = hashlib.sha256(os.fsencode(cluster.home)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"mnemata-{cluster.user.uid}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # In a folder that anybody may write to, somebody else could have made it first to listen in our place.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {cluster.user.uid, os.geteuid()}:
        raise ConfigurationError(
            reason=f"{folder} belongs to somebody else, and the database's socket must lie there",
            remedy="Remove it, or choose a shorter data folder with MNEMATA_DATA_DIR",
        )
    give(folder, cluster.user)
    return folder
