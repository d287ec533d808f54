"""How far behind the feed searches are."""

from __future__ import annotations

from mnemata.services.barrier import IndexBarrier
from mnemata.store.database import PlatformTransaction
from mnemata.store.feed import Lag


async def lag_behind(transaction: PlatformTransaction, barrier: IndexBarrier) -> Lag:
    """The changes that searches do not see yet, and when the first of them was made."""
    if barrier.partitions == 1:
        return await transaction.feed.lag(barrier.position)
    return await transaction.feed.lag_partitions(dict(enumerate(barrier.positions)))
