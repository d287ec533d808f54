"""The index of a platform, opened on the epoch of its store."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import MnemataError
from mnemata.domain.vector import Space
from mnemata.index.protocol import SearchIndex
from mnemata.platform.opening import IndexOpening, Resume, epoch_of, known_or_begun_anew
from mnemata.platform.store import Store
from mnemata.settings import Settings

if TYPE_CHECKING:
    from mnemata.index.local.engine import LocalIndex
    from mnemata.index.local.options import LocalOptions


def index_opening(
    settings: Settings, root: Path, stack: AsyncExitStack, *, space: Space, clock: Clock
) -> IndexOpening:
    """The index that the settings name. A local one begins to open at once."""
    if settings.search.kind == "local":
        return LocalOpening(settings, root, stack, space=space)
    from mnemata.platform.cluster import ClusterOpening

    return ClusterOpening(settings, space=space, clock=clock)


class LocalOpening:
    """An index that opens while the store does, on the epoch of which it was built: that of the store, nearly always.

    The caller holds the data folder's lock.
    """

    name = "local"

    def __init__(self, settings: Settings, root: Path, stack: AsyncExitStack, *, space: Space) -> None:
        self._settings, self._root, self._space = settings, root, space
        self._early = asyncio.create_task(self._open_early())
        stack.push_async_callback(self._abandon)

    async def on(self, store: Store, stack: AsyncExitStack) -> tuple[SearchIndex, Resume]:
        """The index, closed with the stack, and what gives where in the feed it goes on.

        An index that has seen more than the store holds was built on data that is gone (an older copy was put back): the
        store begins a new epoch, so that nothing trusts what was derived before.
        """
        index, positions = await self._opened_on(await epoch_of(store))
        if not await known_or_begun_anew(store, positions):
            await index.close()
            index, positions = await self._open(await epoch_of(store))
        stack.push_async_callback(index.close)
        return index, _resuming(index, store)

    async def _opened_on(self, epoch: str) -> tuple[LocalIndex, tuple[Position, ...]]:
        early = await self._early
        if early is None:
            return await self._open(epoch)
        index, positions, guessed = early
        if guessed == epoch:
            return index, positions
        await index.close()
        return await self._open(epoch)

    async def _open_early(self) -> tuple[LocalIndex, tuple[Position, ...], str] | None:
        epoch = await asyncio.to_thread(_last_epoch, self._root)
        return None if epoch is None else (*await self._open(epoch), epoch)

    async def _open(self, epoch: str) -> tuple[LocalIndex, tuple[Position, ...]]:
        from mnemata.index.local.engine import LocalIndex

        options = _index_options(self._settings)
        index = LocalIndex(self._root, epoch=epoch, space=self._space, options=options)
        return index, await index.open()

    async def _abandon(self) -> None:
        """Close what was opened where the store never came. Closing it twice does nothing."""
        with suppress(MnemataError, OSError):
            early = await self._early
            if early is not None:
                await early[0].close()


def _last_epoch(root: Path) -> str | None:
    # Loaded in a thread, when PostgreSQL starts already: FAISS and tantivy take as long to load as it to start.
    from mnemata.index.local.folders import last_epoch

    return last_epoch(root)


def _resuming(index: LocalIndex, store: Store) -> Resume:
    """Where the index is at the moment: a follower that failed does not begin anew where the process began.

    At the beginning where the store's epoch is another one by now: a standby was promoted meanwhile.
    """
    just_opened = True

    async def resume() -> tuple[Position, ...]:
        # At the start it was opened on the store's epoch a moment ago, and searches wait for the first reading.
        nonlocal just_opened
        epoch = index.epoch if just_opened else await epoch_of(store)
        just_opened = False
        if epoch != index.epoch:
            await index.begin_anew(epoch)
        return index.positions

    return resume


def _index_options(settings: Settings) -> LocalOptions:
    from mnemata.index.local.options import LocalOptions
    from mnemata.index.local.vectors import VectorOptions

    chosen = settings.index
    return LocalOptions(
        metric=chosen.metric,
        threads=chosen.threads,
        fold_changes=chosen.fold_changes,
        fold_interval_s=chosen.fold_interval_s,
        keep_old_s=settings.search.keep_old_s,
        vectors=VectorOptions(
            algorithm=chosen.algorithm,
            exact_below=chosen.exact_below,
            hnsw_m=chosen.hnsw_m,
            hnsw_ef_construction=chosen.hnsw_ef_construction,
            hnsw_ef_search=chosen.hnsw_ef_search,
            ivf_nprobe=chosen.ivf_nprobe,
        ),
    )
