"""A platform in a process of its own, with its defaults, and a client that costs little beside it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil

_READY_WITHIN_S = 120.0
_STOPPED_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.01
_PATIENCE_S = 300.0


class Client:
    """One kept-alive connection; blocking. Sends what is encoded already, so that encoding is not timed."""

    def __init__(self, url: str, *, patience_s: float = _PATIENCE_S, key: str | None = None) -> None:
        place = urlsplit(url)
        self._headers = {"Content-Type": "application/json"} | credentials(key)
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=patience_s)

    def post(self, path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        return self._answer("POST", path, body)

    def get(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        return self._answer("GET", path, None)

    def search(self, body: bytes) -> dict[str, Any]:
        """The answer; a degraded one ends the run, because its time means nothing."""
        status, _, answer = self.post("/v1/search", body)
        found = orjson.loads(answer)
        if status != http.client.OK or found["degraded"]:
            raise SystemExit(f"a search was not answered whole: {answer[:500]!r}")
        return found

    def close(self) -> None:
        self._connection.close()

    def _answer(self, method: str, path: str, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes. `resident`: the serving process; `private` of it belongs to no file. `database`: its children's share."""

    resident: int
    private: int
    database: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """Seconds of processor time since a start: of the serving process, and of its children, which are the database."""

    server: float
    database: float

    def since(self, before: Processor, *, things: int) -> dict[str, float]:
        """Milliseconds for each of so many things."""
        return {
            "server_processor_ms": round((self.server - before.server) * 1e3 / things, 3),
            "database_processor_ms": round((self.database - before.database) * 1e3 / things, 3),
        }


class Server:
    """`mnemata serve` on a data folder; its log lies beside the folder.

    `settings`: by their names in the environment, beyond the defaults; `arguments`: of `serve`.
    """

    def __init__(
        self, data_dir: Path, *, settings: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
    ) -> None:
        self._data_dir = data_dir
        self._settings = settings or {}
        self._arguments = arguments
        self._log = data_dir.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> float:
        """Start and wait until `/readyz` says so; the seconds from the start of the process."""
        started = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mnemata", "serve", "--port", "0", *self._arguments],
                env={
                    **_environment(),
                    **self._settings,
                    "MNEMATA_DATA_DIR": str(self._data_dir),
                    "MNEMATA_LOG__LEVEL": "warning",
                },
                stdout=log,
                stderr=log,
            )
        while self._process.poll() is None and time.perf_counter() - started < _READY_WITHIN_S:
            if self._ready():
                return time.perf_counter() - started
            time.sleep(_LOOK_EVERY_S)
        raise SystemExit(
            f"the platform did not become ready:\n{self._log.read_text('utf-8', 'replace')[-4_000:]}"
        )

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def client(self, *, patience_s: float = _PATIENCE_S) -> Client:
        return Client(self.url, patience_s=patience_s)

    def status(self) -> dict[str, Any]:
        """What `GET /v1/status` tells an operator."""
        client = self.client()
        try:
            return orjson.loads(client.get("/v1/status")[2])
        finally:
            client.close()

    def footprint(self) -> Footprint:
        """Shared pages of the database's processes are shared out among them (PSS)."""
        fields = dict[str, int]()
        for line in Path(f"/proc/{self.pid}/status").read_text("utf-8").splitlines():
            name, _, rest = line.partition(":")
            if name in {"VmRSS", "RssAnon"}:
                fields[name] = int(rest.split()[0]) * 1024
        children = psutil.Process(self.pid).children(recursive=True)
        return Footprint(
            resident=fields["VmRSS"],
            private=fields["RssAnon"],
            database=sum(_share(child) for child in children),
        )

    def processor(self) -> Processor:
        """What it has worked by now."""
        serving = psutil.Process(self.pid)
        own = serving.cpu_times()
        return Processor(
            server=own.user + own.system,
            database=sum(_worked(child) for child in serving.children(recursive=True)),
        )

    def _ready(self) -> bool:
        with contextlib.suppress(OSError, ValueError, KeyError, http.client.HTTPException):
            about = json.loads((self._data_dir / "server.json").read_text("utf-8"))
            if about["pid"] != self.pid:
                return False
            self.url = about["url"]
            client = self.client()
            try:
                return client.get("/readyz")[0] == http.client.OK
            finally:
                client.close()
        return False

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SystemExit("the platform does not run")
        return self._process


def credentials(key: str | None) -> dict[str, str]:
    """The header that an API key is sent in."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _share(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def _worked(process: psutil.Process) -> float:
    """Seconds of processor time, with those of its children that have ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _environment() -> dict[str, str]:
    """Without settings of ours: what is measured are the defaults."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MNEMATA_")}
