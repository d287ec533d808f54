"""A whole fleet on this machine: servers, processes and the balancer, begun together and ended together."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from deploy.fleet import postgres, redis
from deploy.fleet.balancer import Balancer
from deploy.fleet.layout import alone
from deploy.fleet.pooler import Pooler
from deploy.fleet.postgres import Postgres
from deploy.fleet.processes import MnemataProcess
from deploy.fleet.redis import Redis
from deploy.servers.member import READY_S, Member
from deploy.servers.ports import reserved_ports
from deploy.servers.search_cluster import nodes_of_a_cluster

Route: TypeAlias = Callable[[str, str, int], tuple[str, int]]
"""From a server's name, host and port to the host and port by which processes are to reach it."""

OWN = (
    "MNEMATA_DATABASE__URL",
    "MNEMATA_DATABASE__DIRECT_URL",
    "MNEMATA_CACHE__URL",
    "MNEMATA_SEARCH__KIND",
    "MNEMATA_SEARCH__URL",
)
"""Settings that a fleet makes itself."""

_HOST = "127.0.0.1"
_MIGRATION_S = 300


def directly(name: str, host: str, port: int) -> tuple[str, int]:  # noqa: ARG001 (a Route takes it)
    """No detour."""
    return host, port


def silently(member: Member, seconds: float) -> None:
    """Nobody watches the start."""


class Fleet:
    """Its members are there from the beginning, and run inside `with`.

    `settings` go to every process of Mnemata, by their names in the environment. `through` may put something between
    processes and `postgres`, `redis`, `search-1`..., `pooler`, and between the balancer and `api-1`...: it is asked for the
    address of each when the fleet is made.
    `short_lived`: search nodes do not run for long enough to make up for optimising their code.
    `on_ready` is told each member and how long it took. `port` is the balancer's; 0: a free one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        api: int = 2,
        workers: int = 2,
        search_nodes: int = 3,
        search_kind: str = "elasticsearch",
        search_heap_mb: int = 512,
        short_lived: bool = False,
        pooler: bool = False,
        settings: Mapping[str, str] | None = None,
        through: Route = directly,
        port: int = 0,
        on_ready: Callable[[Member, float], None] = silently,
    ) -> None:
        self.folder = folder.resolve()
        self.logs = self.folder / "logs"
        self._on_ready = on_ready
        self._began: dict[str, float] = {}
        self._reserved = contextlib.ExitStack()
        self.logs.mkdir(parents=True, exist_ok=True)
        self._reserved.enter_context(alone(self.folder))
        ports = iter(self._reserved.enter_context(reserved_ports(2 * search_nodes + api + workers + 3, port)))
        doorway, database, cache = next(ports), next(ports), next(ports)

        self.postgres = Postgres(port=database, **self._places("postgres"))
        self.redis = Redis(port=cache, **self._places("redis"))
        self.search_nodes = nodes_of_a_cluster(
            search_kind,
            self.folder,
            logs=self.logs,
            ports=[next(ports) for _ in range(2 * search_nodes)],
            heap_mb=search_heap_mb,
            short_lived=short_lived,
        )

        behind = through("postgres", _HOST, database)
        pooled = next(ports)
        self.pooler = Pooler(port=pooled, behind=behind, **self._places("pooler")) if pooler else None
        way_in = behind if self.pooler is None else through("pooler", _HOST, pooled)
        search = [
            "http://{}:{}".format(*through(node.name, _HOST, node.options.http_port))
            for node in self.search_nodes
        ]
        self._settings = {
            "MNEMATA_DATABASE__URL": postgres.address(*way_in),
            "MNEMATA_DATABASE__DIRECT_URL": postgres.address(*behind),
            # `migrate` below does it, once.
            "MNEMATA_DATABASE__MIGRATE": "false",
            "MNEMATA_CACHE__URL": redis.address(*through("redis", _HOST, cache)),
            "MNEMATA_SEARCH__KIND": search_kind,
            "MNEMATA_SEARCH__URL": ",".join(search),
            "MNEMATA_HTTP__DRAIN_S": "3",
            "MNEMATA_BACKUP__DIR": str(self.folder / "backups"),
            **(settings or {}),
        }
        self.workers = [
            MnemataProcess(name, "worker", port=next(ports), settings=self._settings, **self._places(name))
            for name in _numbered("worker", workers)
        ]
        self.apis = [
            MnemataProcess(name, "serve", port=next(ports), settings=self._settings, **self._places(name))
            for name in _numbered("api", api)
        ]
        doors = {api.name: "http://{}:{}".format(*through(api.name, _HOST, api.port)) for api in self.apis}
        self.balancer = Balancer(port=doorway, behind=doors, **self._places("balancer"))

    @property
    def url(self) -> str:
        return self.balancer.url

    @property
    def servers(self) -> list[Member]:
        """What Mnemata's processes need."""
        pooler = [] if self.pooler is None else [self.pooler]
        return [*self.search_nodes, self.postgres, self.redis, *pooler]

    @property
    def processes(self) -> list[MnemataProcess]:
        return [*self.workers, *self.apis]

    @property
    def members(self) -> list[Member]:
        return [*self.servers, *self.processes, self.balancer]

    def __enter__(self) -> Self:
        try:
            self._launched(self.servers)
            self._ready([self.postgres])
            self.postgres.create_database()
            self.migrate()
            self._ready([member for member in self.servers if member is not self.postgres])
            self._launched(self.processes)
            self._ready(self.processes)
            self.until_indexed()
            self._launched([self.balancer])
            self._ready([self.balancer])
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every member, those first that ask the others."""
        for some in ([self.balancer], self.processes, self.servers):
            for member in some:
                member.ask_to_end()
            for member in some:
                member.end()
        self._reserved.close()

    def migrate(self) -> None:
        """Bring the schema up to date. Raises RuntimeError with what `mnemata migrate` says where it cannot."""
        done = subprocess.run(
            [sys.executable, "-m", "mnemata", "migrate"],
            env={"PATH": os.environ["PATH"], "MNEMATA_DATA_DIR": str(self.folder), **self._settings},
            capture_output=True,
            text=True,
            timeout=_MIGRATION_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"The schema could not be brought up to date:\n{done.stderr}")

    def until_indexed(self, timeout_s: float = READY_S) -> None:
        """Return once searches are answered from the cluster by every door."""
        until = time.monotonic() + timeout_s
        while not all(_reads_index(api) for api in self.apis):
            if time.monotonic() > until:
                words = "\n".join(worker.last_words() for worker in self.workers)
                raise RuntimeError(f"The index did not come up with the feed:\n{words}")
            time.sleep(0.1)

    def _launched(self, members: Sequence[Member]) -> None:
        for member in members:
            self._began[member.name] = time.monotonic()
            member.launch()

    def _ready(self, members: Sequence[Member]) -> None:
        for member in members:
            member.wait()
            self._on_ready(member, time.monotonic() - self._began[member.name])

    def _places(self, name: str) -> dict[str, Path]:
        return {"folder": self.folder / name, "log": self.logs / f"{name}.log"}


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}-{number}" for number in range(1, count + 1)]


def _reads_index(api: MnemataProcess) -> bool:
    reasons = api.state().get("reasons")
    return isinstance(reasons, dict) and reasons.get("index") == "ok"
