"""One node of Elasticsearch or OpenSearch as a process, alone or in a cluster of several on this machine."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.servers import artifacts

READY_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchNodeOptions:
    """`engine`: 'elasticsearch' or 'opensearch'. `peers`: transport ports of the whole cluster, this node's among them.

    `settings` go into the configuration file as they are, `files` beside it by their names; `secure` turns Elasticsearch's
    security module on, and with `tls` it is spoken to by https: the files must hold what that needs.
    """

    engine: str
    folder: Path
    http_port: int
    transport_port: int
    peers: Sequence[int] = ()
    heap_mb: int = 512
    secure: bool = False
    tls: bool = False
    files: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


class SearchNode:
    """A node that runs. `stop` ends it with SIGTERM; `kill` with SIGKILL; `start` begins it again on the same data."""

    def __init__(self, options: SearchNodeOptions) -> None:
        self.options = options
        self.url = f"{'https' if options.tls else 'http'}://127.0.0.1:{options.http_port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.options.engine} is not running")
        return self._process.pid

    @property
    def log(self) -> Path:
        return self.options.folder / "output.log"

    def start(self) -> None:
        home = artifacts.elasticsearch() if self._elastic else artifacts.opensearch()
        self._write_configuration(home)
        _give_away(self.options.folder)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_command_prefix(), str(home / "bin" / self.options.engine)],
                env=self._environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.options.folder,
            )

    def wait(self, timeout_s: float = READY_S) -> None:
        """Return once the whole cluster answers. Raises RuntimeError with the end of the log where it does not."""
        until = time.monotonic() + timeout_s
        nodes = max(1, len(self.options.peers))
        path = f"/_cluster/health?wait_for_status=yellow&wait_for_nodes={nodes}&timeout=5s"
        while not self._answers(path):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > until:
                tail = self.log.read_text(errors="replace")[-3_000:]
                raise RuntimeError(f"{self.options.engine} did not become ready:\n{tail}")
            time.sleep(0.2)

    def signal(self, how: signal.Signals) -> None:
        """Send a signal to the node: SIGSTOP and SIGCONT pause it."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self.signal(how)
        self.signal(signal.SIGCONT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait(60)
        self._process = None

    @property
    def _elastic(self) -> bool:
        return self.options.engine == "elasticsearch"

    def _answers(self, path: str) -> bool:
        try:
            # Whether its certificate is right is for those to find out who send it something.
            status = httpx.get(self.url + path, timeout=10, verify=False).status_code  # noqa: S501
        except httpx.HTTPError:
            return False
        # With security on, an answer without a credential is an answer too.
        return status == 200 or (self.options.secure and status == 401)

    def _environment(self) -> dict[str, str]:
        prefix = "ES" if self._elastic else "OPENSEARCH"
        heap = self.options.heap_mb
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.options.folder),
            f"{prefix}_JAVA_HOME": str(java_home()),
            f"{prefix}_PATH_CONF": str(self.options.folder / "config"),
            f"{prefix}_JAVA_OPTS": f"-Xms{heap}m -Xmx{heap}m -XX:TieredStopAtLevel=4",
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


def free_ports(count: int) -> list[int]:
    """TCP ports that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def java_home() -> Path:
    """The JDK whose `java` is on the path. Raises RuntimeError without one."""
    java = shutil.which("java")
    if java is None:
        raise RuntimeError(
            "The search servers need a JDK 17 or later: install one, e.g. openjdk-17-jdk-headless"
        )
    return Path(java).resolve().parent.parent


def _command_prefix() -> list[str]:
    """A node ends with the thread that started it, and never runs as root: both servers refuse that."""
    ends_with_us = ["setpriv", "--pdeathsig", "TERM"]
    if os.geteuid() != 0:
        return ends_with_us
    nobody = pwd.getpwnam("nobody")
    return [*ends_with_us, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


def _give_away(folder: Path) -> None:
    if os.geteuid() != 0:
        return
    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
