"""The part that one process has in a fleet: its leases, and the work that goes with them."""

from __future__ import annotations

from contextlib import AsyncExitStack

from mnemata.platform.backups import BackUp
from mnemata.platform.crew import schedule_of, sweeper_of, unfollowed_of, wake_by_changes, watch_of
from mnemata.platform.parts import Parts
from mnemata.workers.alone import alone
from mnemata.workers.backfill import Backfill
from mnemata.workers.indexer import Indexer
from mnemata.workers.leasing import Leasing, Work
from mnemata.workers.partitions import PartitionFollower, lease_names, watch_lease
from mnemata.workers.reached import ReachedListener
from mnemata.workers.tasks import Tasks
from mnemata.workers.vectors import VectorSource

_ONCE = ("sweeper", "backups")
_DEAF_POLL_S = 0.1


def start_listening(tasks: Tasks, parts: Parts) -> None:
    """Learn what the workers have reached: every process of a fleet does."""
    listener = ReachedListener(
        parts.store.database,
        parts.barrier,
        name=parts.index_name,
        resume=parts.resume,
        caught_up=parts.index_ready,
    )
    tasks.start("reached", listener.run)


def start_leased(
    tasks: Tasks,
    stack: AsyncExitStack,
    parts: Parts,
    *,
    indexer: Indexer,
    vectors: VectorSource,
    back_up: BackUp,
) -> Leasing:
    """Do what falls to this process of the fleet's work. Leases are given back before the stack closes anything else."""
    database = parts.store.database
    watching, looking = _of_this_index(parts)
    leasing = _leasing(parts)
    tasks.start("leases", leasing.run)
    tasks.start("indexer", _follower(parts, indexer, leasing).run)
    tasks.start("listen", lambda: wake_by_changes(database, parts.barrier))
    tasks.start("watch", lambda: alone(leasing, watching, watch_of(parts).run))
    tasks.start("unfollowed", lambda: alone(leasing, watching, unfollowed_of(parts).run))
    tasks.start("sweeper", lambda: alone(leasing, "sweeper", sweeper_of(parts).run))
    if parts.batcher is not None:
        backfill = Backfill(database, parts.batcher, vectors, parts.barrier, clock=parts.clock)
        # What is missing at the start is one process's to find; what a process could not embed, it embeds later itself.
        tasks.start("backfill", lambda: backfill.run(at_start=False))
        tasks.start("first_backfill", lambda: alone(leasing, looking, backfill.once))
    backups = schedule_of(parts, back_up)
    if backups is not None:
        tasks.start("backups", lambda: alone(leasing, "backups", backups.run))
    stack.push_async_callback(_hand_over, leasing, indexer)
    return leasing


async def _hand_over(leasing: Leasing, indexer: Indexer) -> None:
    """Take nothing new, end the batch that is under way, and let the others have the rest at once."""
    leasing.stop()
    async with indexer.turn:
        await leasing.leave()


def _of_this_index(parts: Parts) -> tuple[str, str]:
    """The leases of watching it and of looking for memories without a vector: what workers of another model do for theirs."""
    return watch_lease(parts.index_name), f"backfill/{parts.index_name}"


def _leasing(parts: Parts) -> Leasing:
    shared = lease_names(parts.index_name, parts.index.partitions)
    work = Work(group=parts.index_name, shared=shared, alone=(*_ONCE, *_of_this_index(parts)))
    return Leasing(
        parts.store.database,
        owner=str(parts.ids.new()),
        work=work,
        ttl_s=parts.settings.worker.lease_s,
        metrics=parts.metrics,
    )


def _follower(parts: Parts, indexer: Indexer, leasing: Leasing) -> PartitionFollower:
    poll_s = parts.settings.index.poll_interval_s
    return PartitionFollower(
        parts.store.database,
        parts.index,
        indexer,
        leasing,
        parts.barrier,
        name=parts.index_name,
        resume=parts.resume,
        publisher=None if parts.cache is None else parts.cache.publisher,
        # Where nobody can be heard, looking often is all that is left.
        poll_interval_s=poll_s if parts.store.database.listens else min(poll_s, _DEAF_POLL_S),
        fill_per_s=parts.settings.index.rebuild_per_s,
        metrics=parts.metrics,
    )
