"""Stands between processes and servers on this machine, and spoils what passes: a TCP proxy in a process of its own.

    python -m benchmarks.chaos.proxy

It reads one JSON command a line and answers each with a line: `{"open": "redis", "to": ["127.0.0.1", 6379]}` is answered with
the port to connect to, `{"link": "redis", "trouble": {"delay_s": 0.2}}` makes trouble from now on, also for what is connected
already, and `{"link": "redis", "trouble": {}}` ends it. It ends with its input, so that it never outlives who started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import sys
from dataclasses import dataclass, field
from typing import Any

_CHUNK = 16_384
_CONNECT_S = 5.0
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What happens to what passes. The defaults: nothing.

    `delay_s`, `jitter_s`: each piece waits so long, and up to so much longer. `bytes_per_s`: in each direction of each connection.
    `cut`: 'requests', 'answers' or 'both' are held back, connections stay. `refuse`: connections are reset, and none is
    taken. `truncate`: a connection is closed somewhere within so many bytes of answers.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    cut: str = ""
    refuse: bool = False
    truncate: int = 0


@dataclass(slots=True)
class Link:
    """One server behind the proxy, and who is connected to it."""

    host: str
    port: int
    chance: random.Random
    trouble: Trouble = field(default_factory=Trouble)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def set(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.changed.set()
        self.changed = asyncio.Event()
        if trouble.refuse:
            for writer in list(self.writers):
                reset(writer)

    async def open_to(self, direction: str) -> None:
        """Return once that direction is not cut."""
        while self.trouble.cut in {direction, "both"}:
            await self.changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        if self.trouble.refuse:
            reset(writer)
            return
        self.writers.add(writer)
        behind: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_CONNECT_S):
                answers, behind = await asyncio.open_connection(self.host, self.port)
            self.writers.add(behind)
            ways = {
                asyncio.create_task(self._pass(reader, behind, "requests")),
                asyncio.create_task(self._pass(answers, writer, "answers")),
            }
            _, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in pending:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, TimeoutError):
            reset(writer)
        finally:
            for one in (writer, behind):
                if one is not None:
                    self.writers.discard(one)
                    one.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        left: int | None = None
        with contextlib.suppress(OSError):
            while piece := await reader.read(_CHUNK):
                await self._hold(len(piece))
                await self.open_to(direction)
                limit = self.trouble.truncate if direction == "answers" else 0
                # Counted from when the trouble began, and forgotten when it is over.
                left = None if not limit else self.chance.randint(1, limit) if left is None else left
                if left is not None and left <= len(piece):
                    writer.write(piece[: left - 1])
                    await writer.drain()
                    return
                left = None if left is None else left - len(piece)
                writer.write(piece)
                await writer.drain()

    async def _hold(self, size: int) -> None:
        trouble = self.trouble
        wait_s = trouble.delay_s + self.chance.uniform(0, trouble.jitter_s)
        if trouble.bytes_per_s:
            wait_s += size / trouble.bytes_per_s
        if wait_s:
            # What waits when the trouble ends goes on at once.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.changed.wait()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close without a goodbye: the other side sees that its connection was reset."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


class Proxy:
    """The links by name, and the commands that come in."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._links: dict[str, Link] = {}
        self._servers: list[asyncio.Server] = []

    async def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do what a command says; what it is answered with."""
        if "open" in command:
            host, port = command["to"]
            link = Link(host, port, random.Random(self._chance.random()))
            server = await asyncio.start_server(link.serve, "127.0.0.1", command.get("port", 0))
            self._links[command["open"]] = link
            self._servers.append(server)
            return {"port": server.sockets[0].getsockname()[1]}
        link = self._links[command["link"]]
        link.set(Trouble(**command["trouble"]))
        return {"connections": len(link.writers) // 2}


async def run(seed: int) -> None:
    proxy = Proxy(seed)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        print(json.dumps(await proxy.obey(json.loads(line))), flush=True)
    # Whoever is still connected has nothing to be told: taken down in order, each would complain.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
