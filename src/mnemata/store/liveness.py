"""Whether a pooled connection still works, without a round trip for one that worked a moment ago."""

from __future__ import annotations

import math
import select
import time
from weakref import WeakKeyDictionary

from psycopg_pool import AsyncConnectionPool

from mnemata.store.connection import Connection

RESTED_S = 1.0
"""The server is asked whether a connection works that was not used for so long."""


class Liveness:
    """Asking the server costs a tenth of what a small read costs: 0.1 ms of processor time.

    A server that ends a connection says so on it: one that worked within the last second and has nothing to say, works.
    What says nothing when it goes, a network that is cut, is noticed by the statement, or by the check a second later.
    """

    def __init__(self) -> None:
        self._used_at: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    def used(self, connection: Connection) -> None:
        """Note that the connection worked just now."""
        self._used_at[connection] = time.monotonic()

    async def check(self, connection: Connection) -> None:
        """Raise where the connection does not work: the pool then takes another."""
        rested_s = time.monotonic() - self._used_at.get(connection, -math.inf)
        if rested_s >= RESTED_S or connection.closed or _has_to_say(connection):
            await AsyncConnectionPool.check_connection(connection)


def _has_to_say(connection: Connection) -> bool:
    """Whether something waits to be read, or the other side has hung up."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))
