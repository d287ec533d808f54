"""Processes that a killed run left behind in a data folder whose lock we hold, so that they belong to nobody."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from mnemata.observability.logging import get_logger

log = get_logger("store")

_POLL_S = 0.005
# A leftover server gets this long for an orderly end; recovery by its log does the rest.
_EVICTION_S = 3.0


def end_server(data: Path) -> None:
    """End every process of a killed run that still has the cluster's files open.

    The pid in a lock file is believed only where that process is a PostgreSQL in this very folder. After a restart of
    the machine or of a container the same number is often somebody else's, and without an init process the dead stay as
    zombies: in both cases PostgreSQL itself would refuse to start.
    """
    recorded = _recorded_pid(data / "postmaster.pid")
    servers = _named("postgres", data)
    for process in servers():
        if process.pid == recorded:
            log.info("embedded_postgres_evicted", pid=process.pid)
            _signal_and_wait([process], signal.SIGINT)
    for how in (signal.SIGQUIT, signal.SIGKILL):
        _signal_and_wait(servers(), how)


def end_initdb(home: Path, unfinished: list[Path]) -> None:
    """Kill an initdb that a killed run left at work, and the servers that it runs in the folders that it makes.

    It would write into the folder that a new one makes, or remove it when it gives up.
    """
    for find in (_named("initdb", home), *(_named("postgres", folder) for folder in unfinished)):
        for process in find():
            log.info("initdb_evicted", pid=process.pid)
        _signal_and_wait(find(), signal.SIGKILL)


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        first = pid_file.read_text("utf-8").split("\n", 1)[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else None


def _named(name: str, folder: Path) -> Callable[[], list[psutil.Process]]:
    """Finds the live processes of that name whose working folder is this one."""
    where = str(folder.resolve())

    def find() -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["name", "cwd", "status"])
            if process.info["name"] == name
            and process.info["cwd"] == where
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    return find


def _signal_and_wait(processes: list[psutil.Process], how: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(how)
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + _EVICTION_S
    # Not `wait`: in a container without an init process the dead stay as zombies for ever.
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
