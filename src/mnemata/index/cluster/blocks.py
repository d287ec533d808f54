"""Write blocks: what a switch puts on the indices that it replaces, and lifting those that a switch left behind."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from mnemata.index.cluster.connection import Connection
from mnemata.observability.logging import get_logger

log = get_logger("index")


class WriteBlocks:
    """`switch_s`: a live index that is seen blocked for longer was blocked by a process that did not end its switch."""

    def __init__(self, connection: Connection, *, switch_s: float) -> None:
        self._connection = connection
        self._switch_s = switch_s
        self._seen_since: dict[str, float] = {}

    async def put(self, indices: Iterable[str]) -> None:
        for index in indices:
            await self._set(index, blocked=True)

    async def lift(self, indices: Iterable[str]) -> None:
        for index in indices:
            await self._set(index, blocked=None)

    async def lift_left_behind(self, live: Mapping[str, Any]) -> None:
        """Let live indices be written again that no switch can be at work on any more.

        How long is counted from when this process saw it first: the clocks of two processes may differ. A switch that is
        only slow does no harm: it takes away, with the alias, what the index was written by.
        """
        now = time.monotonic()
        blocked = [index for index, described in live.items() if _is_blocked(described)]
        self._seen_since = {index: self._seen_since.get(index, now) for index in blocked}
        left = [index for index in blocked if now - self._seen_since[index] >= self._switch_s]
        if left:
            log.warning("write_block_left_behind", indices=left)
            await self.lift(left)
            self.forget()

    def forget(self) -> None:
        """What was seen is over: a write went through."""
        self._seen_since.clear()

    async def _set(self, index: str, *, blocked: bool | None) -> None:
        settings = {"index": {"blocks": {"write": blocked}}}
        await self._connection.send("PUT", f"/{index}/_settings", settings, accept=(HTTPStatus.NOT_FOUND,))


def _is_blocked(described: Mapping[str, Any]) -> bool:
    blocks = described["settings"]["index"].get("blocks", {})
    return str(blocks.get("write", "false")) == "true"
