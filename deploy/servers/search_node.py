"""One node of Elasticsearch or OpenSearch as a process, alone or in a cluster of several on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.servers import artifacts
from deploy.servers.member import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchNodeOptions:
    """`engine`: 'elasticsearch' or 'opensearch'. `peers`: transport ports of the whole cluster, this node's among them.

    `short_lived`: it does not run for long enough to make up for the work of optimising its code. `settings` go into the
    configuration file as they are, `files` beside it by their names; `secure` turns Elasticsearch's security module on, and
    with `tls` it is spoken to by https: the files must hold what that needs. `home`: another installation than the one
    that is downloaded.
    """

    engine: str
    folder: Path
    http_port: int
    transport_port: int
    peers: Sequence[int] = ()
    heap_mb: int = 512
    short_lived: bool = False
    secure: bool = False
    tls: bool = False
    files: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    home: Path | None = None


class SearchNode(Member):
    """A node that runs. A cluster is whole once each of its nodes has answered."""

    refuses_root = True

    def __init__(
        self, options: SearchNodeOptions, *, name: str | None = None, log: Path | None = None
    ) -> None:
        super().__init__(
            name or options.engine,
            folder=options.folder,
            log=log or options.folder / "output.log",
            url=f"{'https' if options.tls else 'http'}://127.0.0.1:{options.http_port}",
        )
        self.options = options

    def command(self) -> Sequence[str]:
        return [str(self._home() / "bin" / self.options.engine)]

    def prepare(self) -> None:
        self._write_configuration(self._home())
        self._scratch.mkdir(exist_ok=True)
        self.give_away()

    def answers(self) -> bool:
        """Whether it is in the cluster, with enough others to decide, and every primary shard answers."""
        enough = len(self.options.peers) // 2 + 1
        path = f"/_cluster/health?wait_for_status=yellow&wait_for_nodes=ge({enough})&timeout=5s"
        try:
            # Whether its certificate is right is for those to find out who send it something.
            status = httpx.get(self.url + path, timeout=10, verify=False).status_code  # noqa: S501
        except httpx.HTTPError:
            return False
        # With security on, an answer without a credential is an answer too.
        return status == 200 or (self.options.secure and status == 401)

    @property
    def _elastic(self) -> bool:
        return self.options.engine == "elasticsearch"

    @property
    def _scratch(self) -> Path:
        """For its temporary files, which it leaves behind where it is killed."""
        return self.options.folder / "scratch"

    def _home(self) -> Path:
        return self.options.home or artifacts.home(self.options.engine)

    def environment(self) -> dict[str, str]:
        prefix = "ES" if self._elastic else "OPENSEARCH"
        heap, compilers = self.options.heap_mb, 1 if self.options.short_lived else 4
        return {
            "HOME": str(self.options.folder),
            f"{prefix}_JAVA_HOME": str(java_home()),
            f"{prefix}_TMPDIR": str(self._scratch),
            "CLI_JAVA_OPTS": f"-Djava.io.tmpdir={self._scratch}",
            f"{prefix}_PATH_CONF": str(self.options.folder / "config"),
            f"{prefix}_JAVA_OPTS": f"-Xms{heap}m -Xmx{heap}m -XX:TieredStopAtLevel={compilers}",
        }

    def _write_configuration(self, home: Path) -> None:
        folder = self.options.folder / "config"
        if not folder.exists():
            shutil.copytree(home / "config", folder)
            _without_gc_log(folder / "jvm.options")
        name = self.options.engine
        lines = [f"{key}: {value}\n" for key, value in self._configuration().items()]
        (folder / f"{name}.yml").write_text("".join(lines))
        for file, content in self.options.files.items():
            (folder / file).write_text(content)

    def _configuration(self) -> dict[str, str]:
        options = self.options
        common = {
            "cluster.name": "mnemata",
            "node.name": f"node-{options.transport_port}",
            "path.data": str(options.folder / "data"),
            "path.logs": str(options.folder / "logs"),
            "network.host": "127.0.0.1",
            "http.port": str(options.http_port),
            "transport.port": str(options.transport_port),
            "node.store.allow_mmap": "false",
            # A small machine's disk may be nearly full with other things.
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "action.auto_create_index": "false",
        }
        if len(options.peers) > 1:
            places = ", ".join(f'"127.0.0.1:{port}"' for port in options.peers)
            names = ", ".join(f"node-{port}" for port in options.peers)
            manager = "master" if self._elastic else "cluster_manager"
            together = {
                "discovery.seed_hosts": f"[{places}]",
                f"cluster.initial_{manager}_nodes": f"[{names}]",
            }
        else:
            together = {"discovery.type": "single-node"}
        security = {"xpack.security.enabled": str(options.secure).lower()} if self._elastic else {}
        return {**common, **together, **security, **options.settings}


def _without_gc_log(options: Path) -> None:
    """The log of the garbage collector would go into the installation, which the server may not write to."""
    kept = [line for line in options.read_text().splitlines(keepends=True) if "gc.log" not in line]
    options.write_text("".join(kept))


def java_home() -> Path:
    """The JDK whose `java` is on the path. Raises RuntimeError without one."""
    java = shutil.which("java")
    if java is None:
        raise RuntimeError(
            "The search servers need a JDK 17 or later: install one, e.g. openjdk-17-jdk-headless"
        )
    return Path(java).resolve().parent.parent
