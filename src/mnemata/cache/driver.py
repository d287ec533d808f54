"""redis-py, met here alone: connecting by URL, and what its errors mean. Loading it takes time: see client."""

from __future__ import annotations

from typing import Any

import redis.asyncio as driver
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    InvalidResponse,
    NoScriptError,
    OutOfMemoryError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as DriverConnectionError
from redis.exceptions import TimeoutError as DriverTimeoutError

from mnemata.domain.errors import ConfigurationError

Connection = driver.Redis | RedisCluster

_UNREACHABLE = (
    DriverConnectionError,
    DriverTimeoutError,
    InvalidResponse,
    ClusterDownError,
    RedisClusterException,
    TimeoutError,
    OSError,
    EOFError,
    # uvloop's, of a connection that was reset while something was being sent.
    RuntimeError,
)
# What the driver raises when the other side does not speak its protocol.
_GARBLED = (ValueError, AssertionError, LookupError, TypeError, AttributeError)


def connect(url: str, *, timeout_s: float, connections: int) -> Connection:
    """A client that has not connected yet. Raises ConfigurationError where the URL cannot be read."""
    common: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
    }
    scheme = url.partition("://")[0]
    try:
        if scheme.endswith("+cluster"):
            return RedisCluster.from_url(
                url.replace("+cluster", "", 1), max_connections=connections, **common
            )
        if scheme == "unix":
            common.pop("socket_connect_timeout")
        # It waits for a connection rather than failing: many searches at once are no fault of the server.
        pool = driver.BlockingConnectionPool.from_url(
            url, max_connections=connections, timeout=timeout_s, **common
        )
        return driver.Redis.from_pool(pool)
    except (ValueError, RedisError) as error:
        raise ConfigurationError(
            reason="The URL of the cache cannot be read",
            remedy="Use redis://, rediss://, unix:// or redis+cluster:// in MNEMATA_CACHE__URL, or `off`",
        ) from error


async def primaries(connection: Connection) -> list[Any]:
    """What each primary can be asked by: `execute_command`."""
    if isinstance(connection, RedisCluster):
        await connection.initialize()
        return [node for node in connection.get_nodes() if node.server_type == "primary"]
    return [connection]


def reason_of(error: BaseException) -> str | None:
    """Why there was no answer: 'unreachable', 'unknown_script', 'full' or 'refused'; None: not the driver's doing."""
    match error:
        case NoScriptError():
            return "unknown_script"
        case _ if isinstance(error, _UNREACHABLE):
            return "unreachable"
        case OutOfMemoryError():
            return "full"
        case RedisError():
            return "full" if "OOM" in str(error) or "MISCONF" in str(error) else "refused"
        case _ if isinstance(error, _GARBLED):
            return "unreachable"
        case _:
            return None
