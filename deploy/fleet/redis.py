"""Redis 7 as a cache: in memory only, the least recently used keys go first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from redis import Redis as Client
from redis.exceptions import RedisError

from deploy.fleet.programs import program
from deploy.servers.member import Member


def address(host: str, port: int) -> str:
    return f"redis://{host}:{port}/0"


class Redis(Member):
    refuses_root = True

    def __init__(self, *, folder: Path, log: Path, port: int) -> None:
        super().__init__("redis", folder=folder, log=log, url=address("127.0.0.1", port))
        self._port = port

    def command(self) -> Sequence[str]:
        options = {
            "port": self._port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "save": "",
            "maxmemory": "256mb",
            "maxmemory-policy": "allkeys-lru",
        }
        return [
            program("redis-server"),
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        ]

    def answers(self) -> bool:
        try:
            with Client.from_url(self.url, socket_timeout=5, socket_connect_timeout=5) as client:
                return bool(client.ping())
        except RedisError:
            return False
