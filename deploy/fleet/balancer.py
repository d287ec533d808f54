"""haproxy in front of the doors, with the configuration that compose.yaml uses too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from deploy.fleet.programs import program
from deploy.servers.member import Member

CONFIGURATION = Path(__file__).with_name("haproxy.cfg")
_SERVERS = re.compile(r"^( +)server-template .*\n", re.MULTILINE)
_ANSWER_S = 10


class Balancer(Member):
    """`behind`: the doors' URLs by their names."""

    refuses_root = True

    def __init__(self, *, folder: Path, log: Path, port: int, behind: Mapping[str, str]) -> None:
        super().__init__("balancer", folder=folder, log=log, url=f"http://127.0.0.1:{port}")
        self._port = port
        self._behind = behind

    @property
    def _configuration(self) -> Path:
        return self.folder / "haproxy.cfg"

    def prepare(self) -> None:
        self._configuration.write_text(with_servers(CONFIGURATION.read_text(), self._behind))
        super().prepare()

    def environment(self) -> Mapping[str, str]:
        return {"LISTEN_ON": f"127.0.0.1:{self._port}"}

    def command(self) -> Sequence[str]:
        return [program("haproxy"), "-db", "-f", str(self._configuration)]

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=_ANSWER_S).status_code == 200
        except httpx.HTTPError:
            return False


def with_servers(configuration: str, servers: Mapping[str, str]) -> str:
    """The configuration with these servers, in place of the names that a container engine resolves."""
    lines = "".join(rf"\1server {name} {urlsplit(url).netloc}\n" for name, url in servers.items())
    return _SERVERS.sub(lines, configuration)
