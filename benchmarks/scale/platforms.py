"""The platforms that are measured: everything embedded, or the index in a node of Elasticsearch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from deploy.servers.ports import free_ports
from deploy.servers.search_node import SearchNode, SearchNodeOptions

from benchmarks.speed.serving import Server

ENGINES = ("local", "elasticsearch")
HEAP_MB = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Seconds of processor time so far: the platform's process, PostgreSQL and cache below it, the search node."""

    server: float
    below: float
    node: float

    def since(self, before: Work) -> dict[str, float]:
        return {
            "server_cpu_s": round(self.server - before.server, 1),
            "database_cpu_s": round(self.below - before.below, 1),
            "node_cpu_s": round(self.node - before.node, 1),
        }


class Measured:
    """A platform on its folder, with the index that was chosen; what it takes of the machine."""

    def __init__(self, folder: Path, engine: str) -> None:
        self._folder = folder
        self.engine = engine
        self._node = None if engine == "local" else _node(folder)
        worker = () if engine == "local" else ("--with-worker",)
        self.server = Server(folder / "data", settings=self._settings(), arguments=worker)

    def start(self) -> float:
        """The seconds that the platform took to be ready; the search node was there before."""
        if self._node is not None:
            self._node.start()
        return self.server.start()

    def stop(self) -> None:
        self.server.stop()
        if self._node is not None:
            self._node.stop()

    def work(self) -> Work:
        process = psutil.Process(self.server.pid)
        return Work(
            server=_seconds(process),
            below=sum(_seconds(child) for child in process.children(recursive=True)),
            node=0.0 if self._node is None else _seconds_of_all(self._node.pid),
        )

    def resident(self) -> dict[str, float]:
        """Megabytes now, and at most since the process started."""
        fields = _status(self.server.pid)
        found = {"resident_mb": _mb(fields["VmRSS"]), "peak_mb": _mb(fields["VmHWM"])}
        if self._node is not None:
            found["node_mb"] = _mb(_status(_java(self._node.pid))["VmRSS"])
        return found

    def sizes(self) -> dict[str, Any]:
        """Bytes on disk: what the database and the index say of themselves, and the files of the folder."""
        status = self.server.status()
        return {
            "database_mb": round(status["store"]["bytes"] / 1e6, 1),
            "index_mb": round(status["index"]["bytes_on_disk"] / 1e6, 1),
            "index": status["index"],
        }

    def _settings(self) -> Mapping[str, str]:
        if self._node is None:
            return {}
        return {"MNEMATA_SEARCH__KIND": self.engine, "MNEMATA_SEARCH__URL": self._node.url}


def _node(folder: Path) -> SearchNode:
    http_port, transport_port = free_ports(2)
    (folder / "node").mkdir(parents=True, exist_ok=True)
    return SearchNode(
        SearchNodeOptions(
            engine="elasticsearch",
            folder=folder / "node",
            http_port=http_port,
            transport_port=transport_port,
            heap_mb=HEAP_MB,
        )
    )


def _seconds(process: psutil.Process) -> float:
    """Of a process and of its children that have ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _seconds_of_all(pid: int) -> float:
    process = psutil.Process(pid)
    return _seconds(process) + sum(_seconds(child) for child in process.children(recursive=True))


def _java(pid: int) -> int:
    """The process with the largest memory of those that a node is: its starter may stay beside it."""
    process = psutil.Process(pid)
    everyone = [process, *process.children(recursive=True)]
    return max(everyone, key=lambda one: one.memory_info().rss).pid


def _status(pid: int) -> dict[str, int]:
    """Bytes."""
    fields = dict[str, int]()
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        name, _, rest = line.partition(":")
        if name in {"VmRSS", "VmHWM"}:
            fields[name] = int(rest.split()[0]) * 1024
    return fields


def _mb(size: int) -> float:
    return round(size / 1e6, 1)
