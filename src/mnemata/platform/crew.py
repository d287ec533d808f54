"""The workers of a platform: everything that runs without a caller."""

from __future__ import annotations

from mnemata.domain.change import Position
from mnemata.platform.backups import BackUp, scheduled
from mnemata.platform.model import warm
from mnemata.platform.parts import Parts
from mnemata.services.barrier import IndexBarrier
from mnemata.store.database import Database
from mnemata.workers.backfill import Backfill
from mnemata.workers.indexer import Indexer, IndexerOptions
from mnemata.workers.schedule import BackupSchedule
from mnemata.workers.sweeper import Sweeper
from mnemata.workers.tasks import Tasks
from mnemata.workers.vectors import VectorSource
from mnemata.workers.watch import Watch


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
    )


def start_workers(
    tasks: Tasks,
    parts: Parts,
    indexer: Indexer,
    vectors: VectorSource,
    back_up: BackUp,
    *,
    position: Position,
) -> None:
    """Start everything that must run, the indexer from `position`."""
    database, batcher = parts.store.database, parts.batcher
    if parts.store.embedded is not None:
        tasks.start("supervise_postgres", parts.store.embedded.supervise)
    tasks.start("indexer", lambda: indexer.run(position))
    tasks.start("listen", lambda: _listen(database, parts.barrier))
    tasks.start("watch", _watch(parts).run)
    tasks.start("sweeper", _sweeper(parts).run)
    if batcher is not None:
        tasks.start("warm_model", lambda: warm(batcher, parts.health))
        tasks.start("backfill", Backfill(database, batcher, vectors, parts.barrier, clock=parts.clock).run)
    interval_s = parts.settings.backup.interval_s
    if interval_s > 0:
        run = scheduled(parts.settings, parts.store, back_up, parts.clock)
        tasks.start("backups", BackupSchedule(run, interval_s=interval_s, metrics=parts.metrics).run)


def _watch(parts: Parts) -> Watch:
    return Watch(parts.store.database, parts.index, parts.barrier, clock=parts.clock, metrics=parts.metrics)


def _sweeper(parts: Parts) -> Sweeper:
    retention = parts.settings.retention
    return Sweeper(
        parts.store.database,
        parts.barrier,
        clock=parts.clock,
        metrics=parts.metrics,
        interval_s=retention.sweep_interval_s,
        purge_after_s=retention.purge_after_s,
    )


async def _listen(database: Database, barrier: IndexBarrier) -> None:
    """Wake the indexer whenever any process has committed a change."""
    async for _ in database.listen():
        barrier.wake()
