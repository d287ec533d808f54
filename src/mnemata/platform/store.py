"""The store of a platform: the data folder, PostgreSQL embedded or by URL, the schema, the pool."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from mnemata.domain.clock import Clock
from mnemata.observability.metrics import Metrics
from mnemata.platform.threads import to_its_end
from mnemata.settings import Settings
from mnemata.store.data_folder import DataFolder
from mnemata.store.database import Database, Pooler, PoolOptions
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.store.migrate import migrate


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """PostgreSQL, embedded or by URL, open and at the current schema."""

    folder: DataFolder
    embedded: EmbeddedPostgres | None
    url: str
    database: Database


async def open_store(settings: Settings, stack: AsyncExitStack, *, metrics: Metrics, clock: Clock) -> Store:
    """The store alone, at the current schema; closed with the stack. Errors as Platform.open."""
    folder = await hold_folder(settings, stack)
    return await open_store_in(folder, settings, stack, metrics=metrics, clock=clock)


async def hold_folder(settings: Settings, stack: AsyncExitStack) -> DataFolder:
    """The data folder, locked until the stack is closed; not locked where nothing of value is in it.

    Raises DataFolderLocked, ConfigurationError.
    """
    if settings.stateless:
        return DataFolder.shared(settings.data_dir)
    folder = await to_its_end(partial(DataFolder.acquire, settings.data_dir), undo=DataFolder.release)
    stack.callback(folder.release)
    return folder


async def open_store_in(
    folder: DataFolder, settings: Settings, stack: AsyncExitStack, *, metrics: Metrics, clock: Clock
) -> Store:
    """As `open_store`, in a folder that is held already."""
    embedded: EmbeddedPostgres | None = None
    if settings.database.url is None:
        start = partial(EmbeddedPostgres.start, folder.path, metrics=metrics)
        embedded = await to_its_end(start, undo=EmbeddedPostgres.stop)
        stack.push_async_callback(asyncio.to_thread, embedded.stop)
        url = embedded.url
    else:
        url = settings.database.url.get_secret_value()
    options = _pool_options(settings)
    if settings.database.migrate:
        await asyncio.to_thread(migrate, options.direct_url or url)
    database = await Database.open(url, options=options, metrics=metrics, clock=clock)
    stack.push_async_callback(database.close)
    return Store(folder=folder, embedded=embedded, url=url, database=database)


def _pool_options(settings: Settings) -> PoolOptions:
    chosen = settings.database
    return PoolOptions(
        pool_min=chosen.pool_min,
        pool_max=chosen.pool_max,
        acquire_timeout_s=chosen.acquire_timeout_s,
        connect_timeout_s=chosen.connect_timeout_s,
        statement_timeout_s=chosen.statement_timeout_s,
        lock_timeout_s=chosen.lock_timeout_s,
        application_name=chosen.application_name,
        pooler=Pooler.NONE if chosen.url is None else Pooler(chosen.pooler),
        direct_url=None if chosen.direct_url is None else chosen.direct_url.get_secret_value(),
    )
