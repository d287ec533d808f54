"""What the load goes to: the embedded platform, a fleet on this machine, or whatever answers at a URL."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.speed.serving import Client, Server

Processes = Mapping[str, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """`processes` gives pids by name, of those on this machine; `key`: of an operator, where one is needed."""

    name: str
    url: str
    processes: Callable[[], Processes]
    key: str | None = None

    def client(self) -> Client:
        return Client(self.url, key=self.key)


@contextmanager
def target(name: str, folder: Path, *, api: int, key: str | None = None) -> Generator[Target]:
    """The target by its name, `embedded` or `fleet`, or by its URL; it runs while the block does."""
    if name == "embedded":
        with _embedded(folder) as chosen:
            yield chosen
    elif name == "fleet":
        with _fleet(folder, api=api) as chosen:
            yield chosen
    else:
        yield Target(name=name, url=name.rstrip("/"), processes=dict, key=key)


@contextmanager
def _embedded(folder: Path) -> Generator[Target]:
    data_dir = folder / "data"
    server = Server(data_dir)
    server.start()
    try:
        yield Target(
            name="embedded", url=server.url, processes=lambda: _embedded_processes(server.pid, data_dir)
        )
    finally:
        server.stop()


def _embedded_processes(pid: int, data_dir: Path) -> Processes:
    """The platform's process, and the servers that it started on its data folder."""
    found: dict[str, list[int]] = {"api": [pid]}
    servers = {"postgres": "postgres", "valkey-server": "cache"}
    for process in psutil.process_iter(["name", "cmdline"]):
        name, words = process.info["name"], " ".join(process.info["cmdline"] or ())
        if name in servers and str(data_dir) in words:
            found.setdefault(servers[name], []).append(process.pid)
    return found


@contextmanager
def _fleet(folder: Path, *, api: int) -> Generator[Target]:
    from deploy.fleet import Fleet

    with Fleet(folder / "fleet", api=api, workers=1, search_nodes=1) as fleet:
        yield Target(
            name="fleet",
            url=fleet.url,
            processes=lambda: {member.name: [member.pid] for member in fleet.members},
        )
