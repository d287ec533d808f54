"""The composition root: settings in, a running platform out; opens, wires and closes everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock, SystemClock
from mnemata.domain.errors import MnemataError
from mnemata.domain.ids import IdFactory, Uuid7Factory
from mnemata.domain.vector import Space
from mnemata.embedding.batcher import Batcher
from mnemata.embedding.protocol import Embedder
from mnemata.embedding.registry import build as build_embedder
from mnemata.index.local.engine import LocalIndex
from mnemata.index.local.options import LocalOptions
from mnemata.index.local.vectors import VectorOptions
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.access import Access
from mnemata.services.barrier import IndexBarrier
from mnemata.services.catalogue import Services
from mnemata.services.fallback import StoreSearch
from mnemata.services.findable import Findable
from mnemata.services.forget import Forget
from mnemata.services.model_health import ModelHealth
from mnemata.services.operations import Facts, Operations, Progress
from mnemata.services.read import Read
from mnemata.services.recall import Recall
from mnemata.services.remember import Remember
from mnemata.services.revise import Revise
from mnemata.services.status import StatusService
from mnemata.settings import Settings
from mnemata.store.backup import backup
from mnemata.store.backup_rotation import rotate, scheduled_name
from mnemata.store.backup_tools import PostgresTools
from mnemata.store.data_folder import DataFolder
from mnemata.store.database import Database, PoolOptions
from mnemata.store.embedded import EmbeddedPostgres
from mnemata.store.migrate import migrate
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
        await asyncio.to_thread(migrate, url)
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
    index, position = await _open_index(settings, store, stack, space=space)

    barrier = IndexBarrier()
    health = ModelHealth(there=batcher is not None)
    vectors = VectorSource(database, batcher, space=space, health=health)
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
        tasks.start("warm_model", lambda: _warm(batcher, health))
        tasks.start("backfill", Backfill(database, batcher, vectors, barrier, clock=clock).run)

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
            health=health,
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
            health=health,
            space=space,
            model=settings.embedding.model,
            clock=clock,
        ),
        operations=Operations(rebuild=rebuild, back_up=back_up),
    )


async def _batcher(
    settings: Settings, embedder: Embedder | None, stack: AsyncExitStack, metrics: Metrics
) -> Batcher | None:
    if embedder is None:
        return None
    chosen = settings.embedding
    batcher = Batcher(
        embedder,
        metrics=metrics,
        batch_size=chosen.batch_size,
        queue_size=chosen.queue_size,
        timeout_s=chosen.timeout_s,
    )
    stack.push_async_callback(batcher.close)
    return batcher


async def _warm(batcher: Batcher, health: ModelHealth) -> None:
    """Load the model before the first question comes, and know early whether it is whole."""
    try:
        await batcher.embed_query("warm up")
        health.worked()
    except MnemataError as error:
        health.failed(error)
        log.warning("model_unusable", code=error.code, remedy=str(error))


async def _listen(database: Database, barrier: IndexBarrier) -> None:
    """Wake the indexer whenever any process has committed a change."""
    async for _ in database.listen():
        barrier.wake()


def _backup_to(settings: Settings, store: Store, clock: Clock) -> Callable[[Path | None], Awaitable[Facts]]:
    folder = settings.backup.dir or store.folder.backups

    async def back_up(path: Path | None) -> Facts:
        target = path or folder / scheduled_name(clock.now())
        report = await backup(store.url, target, tools=PostgresTools.bundled(), clock=clock)
        return {
            "path": str(report.path),
            "bytes": report.bytes,
            "memories": report.manifest.memories,
            "seconds": round(report.seconds, 3),
        }

    return back_up


def _scheduled(
    settings: Settings, store: Store, back_up: Callable[[Path | None], Awaitable[Facts]]
) -> Callable[[], Awaitable[None]]:
    folder = settings.backup.dir or store.folder.backups

    async def run() -> None:
        await back_up(None)
        await asyncio.to_thread(rotate, folder, keep=settings.backup.keep)

    return run


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
    )


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


async def _open_index(
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
