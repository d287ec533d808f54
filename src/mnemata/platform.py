"""The composition root: settings in, a running platform out; opens, wires and closes everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mnemata.domain.clock import Clock, SystemClock
from mnemata.domain.ids import IdFactory, Uuid7Factory
from mnemata.domain.vector import Space
from mnemata.embedding.batcher import Batcher
from mnemata.embedding.protocol import Embedder
from mnemata.embedding.registry import build as build_embedder
from mnemata.index.local.engine import LocalIndex, LocalOptions
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.access import Access
from mnemata.services.barrier import IndexBarrier
from mnemata.services.catalogue import Services
from mnemata.services.fallback import StoreSearch
from mnemata.services.findable import Findable
from mnemata.services.forget import Forget
from mnemata.services.operations import Facts, Operations, Progress
from mnemata.services.read import Read
from mnemata.services.recall import Recall
from mnemata.services.remember import Remember
from mnemata.services.revise import Revise
from mnemata.services.status import StatusService
from mnemata.settings import Settings
from mnemata.store import backup, migrate
from mnemata.store.data_folder import DataFolder
from mnemata.store.database import Database, PoolOptions
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.workers.backfill import Backfill
from mnemata.workers.indexer import Indexer, IndexerOptions
from mnemata.workers.rebuild import Rebuilder
from mnemata.workers.schedule import BackupSchedule
from mnemata.workers.sweeper import Sweeper
from mnemata.workers.tasks import Tasks
from mnemata.workers.vectors import VectorSource
from mnemata.workers.watch import Watch

log = get_logger("platform")

WORDS_ONLY = Space(name="none", dimensions=1)
"""The space of a platform without a model: no vector is ever of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """PostgreSQL, embedded or by URL, open and at the current schema."""

    folder: DataFolder
    embedded: EmbeddedPostgres | None
    url: str
    database: Database


class Platform:
    """Everything that runs in one process. Made by `open`; `close` ends it."""

    def __init__(
        self,
        *,
        settings: Settings,
        metrics: Metrics,
        clock: Clock,
        store: Store,
        services: Services,
        stack: AsyncExitStack,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.clock = clock
        self.store = store
        self.services = services
        self._stack = stack

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        clock: Clock | None = None,
        ids: IdFactory | None = None,
        embedder: Embedder | None = None,
    ) -> Platform:
        """A platform that answers. What was opened is closed again where something fails on the way.

        Raises DataFolderLocked, ConfigurationError, StoreUnavailable. A damaged model or index does not stop it:
        searches say what is degraded.
        """
        started = time.perf_counter()
        async with AsyncExitStack() as stack:
            metrics = Metrics()
            clock = clock or SystemClock()
            store = await open_store(settings, stack, metrics=metrics, clock=clock)
            chosen = embedder or _embedder(settings)
            services = await _wire(
                settings, store, chosen, stack, metrics=metrics, clock=clock, ids=ids or Uuid7Factory()
            )
            log.info("platform_open", took_ms=round((time.perf_counter() - started) * 1_000))
            return cls(
                settings=settings,
                metrics=metrics,
                clock=clock,
                store=store,
                services=services,
                stack=stack.pop_all(),
            )

    async def close(self) -> None:
        """Stop the workers, make the index durable, close the store. Idempotent."""
        await self._stack.aclose()


async def open_store(settings: Settings, stack: AsyncExitStack, *, metrics: Metrics, clock: Clock) -> Store:
    """The store alone, at the current schema; closed with the stack. Errors as Platform.open."""
    folder = await asyncio.to_thread(DataFolder.acquire, settings.data_dir)
    stack.callback(folder.release)
    embedded: EmbeddedPostgres | None = None
    if settings.database.url is None:
        embedded = await asyncio.to_thread(EmbeddedPostgres.start, folder.path, metrics=metrics)
        stack.push_async_callback(asyncio.to_thread, embedded.stop)
        url = embedded.url
    else:
        url = settings.database.url.get_secret_value()
    if settings.database.migrate:
        await asyncio.to_thread(migrate.migrate, url)
    database = await Database.open(url, options=_pool_options(settings), metrics=metrics, clock=clock)
    stack.push_async_callback(database.close)
    return Store(folder=folder, embedded=embedded, url=url, database=database)


def _embedder(settings: Settings) -> Embedder | None:
    chosen = settings.embedding
    return build_embedder(chosen.model, model_path=chosen.model_path, threads=chosen.threads)


async def _wire(
    settings: Settings,
    store: Store,
    embedder: Embedder | None,
    stack: AsyncExitStack,
    *,
    metrics: Metrics,
    clock: Clock,
    ids: IdFactory,
) -> Services:
    database = store.database
    space = WORDS_ONLY if embedder is None else embedder.space
    batcher = await _batcher(settings, embedder, stack, metrics)
    async with database.platform() as transaction:
        epoch = await transaction.feed.epoch()
    index = LocalIndex(store.folder.index, epoch=epoch, space=space, options=_index_options(settings))
    position = await index.open()
    stack.push_async_callback(index.close)

    barrier = IndexBarrier()
    vectors = VectorSource(database, batcher, space=space)
    indexer = Indexer(
        database,
        index,
        vectors,
        barrier,
        metrics=metrics,
        options=IndexerOptions(
            batch_size=settings.index.batch_size, poll_interval_s=settings.index.poll_interval_s
        ),
        clock=clock,
    )
    rebuilder = Rebuilder(database, index, indexer, barrier, metrics=metrics)

    tasks = Tasks()
    stack.push_async_callback(tasks.stop)
    if store.embedded is not None:
        tasks.start("supervise_postgres", store.embedded.supervise)
    tasks.start("indexer", lambda: indexer.run(position))
    tasks.start("listen", lambda: _listen(database, barrier))
    watch = Watch(database, index, barrier, clock=clock, metrics=metrics)
    tasks.start("watch", watch.run)
    sweeper = Sweeper(
        database,
        barrier,
        clock=clock,
        metrics=metrics,
        interval_s=settings.retention.sweep_interval_s,
        purge_after_s=settings.retention.purge_after_s,
    )
    tasks.start("sweeper", sweeper.run)
    if batcher is not None:
        tasks.start("backfill", Backfill(database, batcher, vectors, barrier).run)

    back_up = _backup_to(settings, store, clock)
    if settings.backup.interval_s > 0:
        schedule = BackupSchedule(
            _scheduled(settings, store, back_up), interval_s=settings.backup.interval_s, metrics=metrics
        )
        tasks.start("backups", schedule.run)

    async def rebuild(progress: Progress) -> Facts:
        rebuilt = await rebuilder.rebuild(cause="asked", progress=progress)
        return {"documents": rebuilt.documents, "seconds": round(rebuilt.seconds, 3)}

    findable = Findable(barrier, timeout_s=settings.index.wait_timeout_s)
    keep_s = settings.retention.idempotency_s
    return Services(
        remember=Remember(
            database, findable, space=space, clock=clock, ids=ids, metrics=metrics, idempotency_s=keep_s
        ),
        revise=Revise(database, findable, clock=clock, metrics=metrics, idempotency_s=keep_s),
        read=Read(database, clock=clock),
        forget=Forget(database, findable, clock=clock, metrics=metrics),
        recall=Recall(
            database,
            index,
            StoreSearch(database, space=space),
            batcher,
            index_ready=indexer.caught_up,
            clock=clock,
            ids=ids,
            metrics=metrics,
        ),
        access=Access(database, required=settings.auth_required, clock=clock),
        status=StatusService(
            database,
            index,
            barrier,
            index_ready=indexer.caught_up,
            embedding=lambda: _embedding_state(batcher, vectors),
            space=space,
            model=settings.embedding.model,
            clock=clock,
        ),
        operations=Operations(rebuild=rebuild, back_up=back_up),
    )
