"""The way to Redis or Valkey: one client for servers, sockets and clusters, with short timeouts and a breaker."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any

from mnemata.cache.breaker import Breaker
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics

if TYPE_CHECKING:
    from mnemata.cache.driver import Connection

log = get_logger("cache")

Argument = str | bytes | int | float

_CLOSE_S = 1.0
_NODE_S = 2.0
_SCANNED = 1_000


class CacheDown(Exception):
    """The cache gave no answer. Whoever asked goes on without it.

    `reason`: closed, open (the breaker is), unreachable, full, refused.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """`url`: redis://, rediss://, unix:// or redis+cluster://, rediss+cluster://. `timeout_s`: of a call, connecting included."""

    url: str
    timeout_s: float = 0.05
    connections: int = 64

    @property
    def cluster(self) -> bool:
        return self.url.partition("://")[0].endswith("+cluster")


class CacheClient:
    """Commands and scripts with a bound to their time. Belongs to one event loop.

    Until `open` has returned, and whenever the server does not answer as it should, every call raises CacheDown and
    nothing else.
    """

    def __init__(self, options: ClientOptions, *, metrics: Metrics, breaker: Breaker | None = None) -> None:
        self.options = options
        self._metrics = metrics
        self._breaker = breaker or Breaker()
        self._connection: Connection | None = None
        self._driver: Any = None

    @property
    def available(self) -> bool:
        """Whether the last calls were answered."""
        return self._connection is not None and not self._breaker.open

    @property
    def state(self) -> str:
        """'ok', or what is the matter, for people."""
        if self._connection is None:
            return "not connected yet"
        return "does not answer: searches go on without it" if self._breaker.open else "ok"

    async def open(self) -> None:
        """Load the driver, in a thread: it takes as long to load as a small server to start. Raises ConfigurationError."""
        self._driver = await asyncio.to_thread(import_module, "mnemata.cache.driver")
        chosen = self.options
        self._connection = self._driver.connect(
            chosen.url, timeout_s=chosen.timeout_s, connections=chosen.connections
        )

    async def command(self, *parts: Argument) -> Any:
        """The server's answer to a command; bytes stay bytes."""
        async with self._answering(self.options.timeout_s) as connection:
            return await connection.execute_command(*parts)

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """The answer of a script of this room, run in one step. Its keys share a slot."""
        source, digest = _script(name)
        async with self._answering(self.options.timeout_s) as connection:
            try:
                return await connection.execute_command("EVALSHA", digest, len(keys), *keys, *arguments)
            except Exception as error:
                if self._driver.reason_of(error) != "unknown_script":
                    raise
                return await connection.execute_command("EVAL", source, len(keys), *keys, *arguments)

    async def nodes(self) -> list[Any]:
        """Every primary, to be asked by `on_node`: for statistics and for clearing."""
        async with self._answering(_NODE_S) as connection:
            return await self._driver.primaries(connection)

    async def on_node(self, node: Any, *parts: Argument) -> Any:
        """The answer of one server of `nodes` to a command."""
        async with self._answering(_NODE_S):
            return await node.execute_command(*parts)

    async def scan(self, pattern: str) -> AsyncIterator[tuple[Any, Any]]:
        """Every key that matches, with the server that holds it; one may come twice where keys change meanwhile."""
        for node in await self.nodes():
            cursor: Any = b"0"
            while True:
                cursor, found = await self.on_node(node, "SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED)
                for key in found:
                    yield node, key
                if cursor in {b"0", 0, "0"}:
                    break

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_S):
                await connection.aclose()
        except Exception as error:
            if self._driver.reason_of(error) is None:
                raise

    @asynccontextmanager
    async def _answering(self, timeout_s: float) -> AsyncGenerator[Connection]:
        if self._connection is None:
            raise CacheDown("closed")
        if not self._breaker.allows():
            self._metrics.cache_errors.labels("open").inc()
            raise CacheDown("open")
        try:
            async with asyncio.timeout(timeout_s):
                yield self._connection
        except Exception as error:
            reason = self._driver.reason_of(error)
            if reason is None:
                raise
            self._note(reason, error)
            raise CacheDown(reason) from error
        else:
            self._worked()

    def _note(self, reason: str, error: Exception) -> None:
        self._metrics.cache_errors.labels(reason).inc()
        if reason != "unreachable":
            # The server lives and says no: that is nothing a pause would mend.
            self._worked()
            return
        was_open = self._breaker.open
        self._breaker.failed()
        if self._breaker.open and not was_open:
            log.warning("cache_given_up_for_now", error=type(error).__name__)

    def _worked(self) -> None:
        if self._breaker.open:
            log.info("cache_answers_again")
        self._breaker.worked()


@cache
def _script(name: str) -> tuple[str, str]:
    """The script and the digest by which a server that has seen it knows it."""
    source = resources.files("mnemata.cache").joinpath("lua", f"{name}.lua").read_text("utf-8")
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
