"""An index on its way: what every kind of it gives the platform, and how it agrees with the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Protocol

from mnemata.domain.change import Position
from mnemata.index.protocol import SearchIndex
from mnemata.observability.logging import get_logger
from mnemata.platform.store import Store

log = get_logger("platform")

Resume = Callable[[], Awaitable[tuple[Position, ...]]]
"""Gives the position to follow each partition of the feed from. Raises IndexUnavailable while the index is out of reach."""


class IndexOpening(Protocol):
    """An index on its way."""

    @property
    def name(self) -> str:
        """What leases, positions and jobs of this index are called after. Another model's index has another one."""
        ...

    async def on(self, store: Store, stack: AsyncExitStack) -> tuple[SearchIndex, Resume]:
        """The index, closed with the stack, and what gives where in the feed it goes on."""
        ...


async def epoch_of(store: Store) -> str:
    async with store.database.platform() as transaction:
        return await transaction.feed.epoch()


async def known_or_begun_anew(store: Store, positions: tuple[Position, ...]) -> bool:
    """Whether the store's history has the positions; where it has not, a new epoch was begun."""
    position = max(positions)
    async with store.database.platform() as transaction:
        known = await transaction.feed.knows(position)
        if not known:
            await transaction.feed.new_epoch()
    if not known:
        log.warning("store_is_older_than_index", position=str(position))
    return known
