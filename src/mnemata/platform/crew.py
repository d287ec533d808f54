"""The workers of a platform: everything that runs without a caller."""

from __future__ import annotations

import asyncio

from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger
from mnemata.platform.backups import BackUp, newest_scheduled, scheduled
from mnemata.platform.model import warm
from mnemata.platform.parts import Parts
from mnemata.services.barrier import IndexBarrier
from mnemata.store.database import Database
from mnemata.workers.backfill import Backfill
from mnemata.workers.indexer import Indexer, IndexerOptions
from mnemata.workers.schedule import BackupSchedule
from mnemata.workers.sweeper import Sweeper
from mnemata.workers.tasks import Tasks
from mnemata.workers.unfollowed import Unfollowed
from mnemata.workers.vectors import VectorSource
from mnemata.workers.watch import Watch

log = get_logger("platform")

_OPEN_AGAIN_AFTER_S = 1.0


def indexer_of(parts: Parts, vectors: VectorSource) -> Indexer:
    """The one that feeds the live index."""
    chosen = parts.settings.index
    return Indexer(
        parts.store.database,
        parts.index,
        vectors,
        parts.barrier,
        written=parts.written,
        caught_up=parts.index_ready,
        metrics=parts.metrics,
        clock=parts.clock,
        options=IndexerOptions(batch_size=chosen.batch_size, poll_interval_s=chosen.poll_interval_s),
        publisher=None if parts.cache is None else parts.cache.publisher,
    )


def start_common(tasks: Tasks, parts: Parts) -> None:
    """Start what every process needs, whatever its part."""
    batcher = parts.batcher
    if parts.timekeeper is not None:
        tasks.start("timekeeper", parts.timekeeper.run)
    if parts.cache is not None:
        parts.cache.start(tasks)
    if parts.store.embedded is not None:
        tasks.start("supervise_postgres", parts.store.embedded.supervise)
    if batcher is not None:
        tasks.start("warm_model", lambda: warm(batcher, parts.health))


def start_workers(
    tasks: Tasks,
    parts: Parts,
    indexer: Indexer,
    vectors: VectorSource,
    back_up: BackUp,
) -> None:
    """Start everything that works on a local index, which is this process's alone."""
    database, batcher = parts.store.database, parts.batcher
    tasks.start("indexer", lambda: _index(parts, indexer))
    tasks.start("listen", lambda: wake_by_changes(database, parts.barrier))
    tasks.start("watch", watch_of(parts).run)
    tasks.start("sweeper", sweeper_of(parts).run)
    if batcher is not None:
        tasks.start("backfill", Backfill(database, batcher, vectors, parts.barrier, clock=parts.clock).run)
    backups = schedule_of(parts, back_up)
    if backups is not None:
        tasks.start("backups", backups.run)


def schedule_of(parts: Parts, back_up: BackUp) -> BackupSchedule | None:
    interval_s = parts.settings.backup.interval_s
    if interval_s <= 0:
        return None
    run = scheduled(parts.settings, parts.store, back_up, parts.clock)
    return BackupSchedule(
        run,
        newest_scheduled(parts.settings, parts.store),
        started=parts.index_ready,
        interval_s=interval_s,
        metrics=parts.metrics,
        clock=parts.clock,
    )


def watch_of(parts: Parts) -> Watch:
    return Watch(
        parts.store.database,
        parts.index,
        parts.barrier,
        clock=parts.clock,
        metrics=parts.metrics,
        name=parts.index_name,
    )


def unfollowed_of(parts: Parts) -> Unfollowed:
    return Unfollowed(
        parts.store.database,
        parts.index,
        keep_s=parts.settings.search.keep_old_s,
    )


def sweeper_of(parts: Parts) -> Sweeper:
    retention = parts.settings.retention
    return Sweeper(
        parts.store.database,
        parts.barrier,
        clock=parts.clock,
        metrics=parts.metrics,
        interval_s=retention.sweep_interval_s,
        purge_after_s=retention.purge_after_s,
    )


async def _index(parts: Parts, indexer: Indexer) -> None:
    """Follow the feed from where the index is, as soon as the index can be reached."""
    while True:
        try:
            # Not in the middle of a switch to an index that was built beside it.
            async with indexer.turn:
                positions = await parts.resume()
            await indexer.run(min(positions))
        except MnemataError as error:
            log.warning("index_not_open", code=error.code, reason=error.facts.get("reason"))
            await asyncio.sleep(_OPEN_AGAIN_AFTER_S)


async def wake_by_changes(database: Database, barrier: IndexBarrier) -> None:
    """Wake the indexer whenever any process has committed a change."""
    async for _ in database.listen():
        barrier.wake()
