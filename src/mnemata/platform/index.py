"""The index of a platform, opened on the epoch of its store."""

from __future__ import annotations

from contextlib import AsyncExitStack

from mnemata.domain.change import Position
from mnemata.domain.vector import Space
from mnemata.index.local.engine import LocalIndex
from mnemata.index.local.options import LocalOptions
from mnemata.index.local.vectors import VectorOptions
from mnemata.observability.logging import get_logger
from mnemata.platform.store import Store
from mnemata.settings import Settings

log = get_logger("platform")


async def open_index(
    settings: Settings, store: Store, stack: AsyncExitStack, *, space: Space
) -> tuple[LocalIndex, Position]:
    """The index, and where in the feed it goes on.

    An index that has seen more than the store holds was built on data that is gone (an older copy was put back): the
    store begins a new epoch, so that nothing trusts what was derived before.
    """
    index, position = await _opened_index(settings, store, space=space)
    async with store.database.platform() as transaction:
        known = await transaction.feed.knows(position)
        if not known:
            await transaction.feed.new_epoch()
    if not known:
        log.warning("store_is_older_than_index", position=str(position))
        await index.close()
        index, position = await _opened_index(settings, store, space=space)
    stack.push_async_callback(index.close)
    return index, position


async def _opened_index(settings: Settings, store: Store, *, space: Space) -> tuple[LocalIndex, Position]:
    async with store.database.platform() as transaction:
        epoch = await transaction.feed.epoch()
    index = LocalIndex(store.folder.index, epoch=epoch, space=space, options=_index_options(settings))
    return index, await index.open()


def _index_options(settings: Settings) -> LocalOptions:
    chosen = settings.index
    return LocalOptions(
        metric=chosen.metric,
        threads=chosen.threads,
        fold_changes=chosen.fold_changes,
        fold_interval_s=chosen.fold_interval_s,
        vectors=VectorOptions(
            algorithm=chosen.algorithm,
            exact_below=chosen.exact_below,
            hnsw_m=chosen.hnsw_m,
            hnsw_ef_construction=chosen.hnsw_ef_construction,
            hnsw_ef_search=chosen.hnsw_ef_search,
            ivf_nprobe=chosen.ivf_nprobe,
        ),
    )
