"""The composition root: settings in, a running platform out; opens, wires and closes everything."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from mnemata.domain.clock import Clock, SteadyClock, SystemClock
from mnemata.domain.ids import IdFactory, Uuid7Factory
from mnemata.domain.vector import Space
from mnemata.embedding.protocol import Embedder
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.platform.backups import backup_to
from mnemata.platform.cache import wired_cache
from mnemata.platform.chores import chores_of
from mnemata.platform.crew import indexer_of, start_common, start_workers
from mnemata.platform.fleet import start_leased, start_listening
from mnemata.platform.index import index_opening
from mnemata.platform.jobs import job_queue_of
from mnemata.platform.model import chosen_embedder, open_batcher
from mnemata.platform.parts import Parts
from mnemata.platform.store import Store, hold_folder, open_store, open_store_in
from mnemata.platform.upkeep import upkeep_of
from mnemata.platform.use_cases import wire, wire_core
from mnemata.services.barrier import IndexBarrier
from mnemata.services.catalogue import Services
from mnemata.services.embedding_ahead import EmbeddingAhead
from mnemata.services.just_written import JustWritten
from mnemata.services.model_health import ModelHealth
from mnemata.settings import Settings
from mnemata.store.job_queue import JobQueue
from mnemata.workers.indexer import Indexer
from mnemata.workers.leasing import Leasing
from mnemata.workers.tasks import Tasks
from mnemata.workers.timekeeper import Timekeeper
from mnemata.workers.vectors import VectorSource

__all__ = ["WORDS_ONLY", "Platform", "Store", "open_store"]

log = get_logger("platform")

WORDS_ONLY = Space(name="none", dimensions=1)
"""The space of a platform without a model: no vector is ever of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """`leasing`: what this process does of a fleet's work; None for one that does none, or all."""

    services: Services
    indexer: Indexer
    leasing: Leasing | None


class Platform:
    """Everything that runs in one process. Made by `open`; `close` ends it."""

    def __init__(self, parts: Parts, running: _Running, stack: AsyncExitStack) -> None:
        self.settings = parts.settings
        self.metrics = parts.metrics
        self.clock = parts.clock
        self.store = parts.store
        self.index = parts.index
        self.barrier = parts.barrier
        self.cache = parts.cache
        self.index_ready = parts.index_ready
        self.services = running.services
        self.indexer = running.indexer
        self.leasing = running.leasing
        self._stack = stack

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        clock: Clock | None = None,
        ids: IdFactory | None = None,
        embedder: Embedder | None = None,
        works: bool = True,
    ) -> Platform:
        """A platform that answers. What was opened is closed again where something fails on the way.

        `works`: whether it does a worker's work too; with a local index it always does.
        Raises DataFolderLocked, ConfigurationError, StoreUnavailable. A damaged model or index does not stop it:
        searches say what is degraded.
        """
        started = time.perf_counter()
        async with AsyncExitStack() as stack:
            metrics = Metrics()
            clock = clock or SteadyClock(SystemClock().now())
            chosen = embedder or chosen_embedder(settings)
            parts = await _open_parts(
                settings, chosen, stack, metrics=metrics, clock=clock, ids=ids or Uuid7Factory()
            )
            running = _start(parts, stack, works=works)
            log.info("platform_open", took_ms=round((time.perf_counter() - started) * 1_000))
            return cls(parts, running, stack.pop_all())

    @property
    def works(self) -> bool:
        """Whether this process does its share of the work, and the others know it."""
        return self.settings.local or (self.leasing is not None and self.leasing.alive)

    async def close(self) -> None:
        """Stop the workers, make the index durable, close the store. Idempotent."""
        await self._stack.aclose()


async def _open_parts(
    settings: Settings,
    embedder: Embedder | None,
    stack: AsyncExitStack,
    *,
    metrics: Metrics,
    clock: Clock,
    ids: IdFactory,
) -> Parts:
    """What the platform is wired from."""
    space = WORDS_ONLY if embedder is None else embedder.space
    folder = await hold_folder(settings, stack)
    opening = index_opening(settings, folder.index, stack, space=space, clock=clock)
    store = await open_store_in(folder, settings, stack, metrics=metrics, clock=clock)
    timekeeper = Timekeeper(store.database, clock) if isinstance(clock, SteadyClock) else None
    if timekeeper is not None:
        await timekeeper.look(slowest_s=math.inf)
    batcher = await open_batcher(settings, embedder, stack, metrics)
    index, resume = await opening.on(store, stack)
    barrier, index_ready = IndexBarrier(index.partitions), asyncio.Event()
    return Parts(
        settings=settings,
        store=store,
        index=index,
        index_name=opening.name,
        resume=resume,
        batcher=batcher,
        space=space,
        barrier=barrier,
        cache=await wired_cache(
            settings,
            store,
            stack,
            space=space,
            barrier=barrier,
            index_ready=index_ready,
            metrics=metrics,
            clock=clock,
            ids=ids,
        ),
        written=JustWritten(space=space),
        # In a fleet it may be another process that indexes what this one stores.
        ahead=EmbeddingAhead(batcher if settings.local else None),
        health=ModelHealth(there=batcher is not None),
        index_ready=index_ready,
        metrics=metrics,
        clock=clock,
        timekeeper=timekeeper,
        ids=ids,
    )


def _start(parts: Parts, stack: AsyncExitStack, *, works: bool) -> _Running:
    """The use cases, with what this process does of the work running behind them until the stack is closed."""
    database = parts.store.database
    vectors = VectorSource(
        database,
        parts.batcher,
        space=parts.space,
        health=parts.health,
        written=parts.written,
        ahead=parts.ahead,
    )
    indexer = indexer_of(parts, vectors)
    upkeep = upkeep_of(parts, indexer)
    back_up = backup_to(parts.settings, parts.store, parts.clock)
    tasks = Tasks()
    stack.push_async_callback(tasks.stop)
    core = wire_core(parts, tasks)
    handlers = chores_of(parts, upkeep, back_up, core)
    leasing: Leasing | None = None
    queue: JobQueue | None = None
    start_common(tasks, parts)
    if parts.settings.local:
        start_workers(tasks, parts, indexer, vectors, back_up)
    else:
        start_listening(tasks, parts)
        queue = job_queue_of(parts, handlers)
        if works:
            tasks.start("jobs", queue.run)
            leasing = start_leased(tasks, stack, parts, indexer=indexer, vectors=vectors, back_up=back_up)
    return _Running(services=wire(parts, core, handlers, queue), indexer=indexer, leasing=leasing)
