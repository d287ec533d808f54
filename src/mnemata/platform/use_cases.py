"""The use cases of a platform, each with what it needs."""

from __future__ import annotations

from pathlib import Path

from mnemata.domain.job import JobKind
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.platform.backups import BackUp
from mnemata.platform.parts import Parts
from mnemata.services.access import Access
from mnemata.services.cache_admin import CacheAdmin
from mnemata.services.cached_recall import CachedRecall
from mnemata.services.catalogue import Services
from mnemata.services.fallback import StoreSearch
from mnemata.services.findable import Findable
from mnemata.services.forget import Forget
from mnemata.services.jobs import Jobs
from mnemata.services.operations import Facts, Operations, Progress
from mnemata.services.personalize import Personalize
from mnemata.services.profiles import ProfileCache
from mnemata.services.query_vectors import QueryVectors
from mnemata.services.rate_limit import RateLimit
from mnemata.services.read import Read
from mnemata.services.recall import Recall
from mnemata.services.remember import Remember
from mnemata.services.revise import Revise
from mnemata.services.status import StatusService
from mnemata.services.warming import Warming, WarmingOptions
from mnemata.store.job_queue import JobQueue
from mnemata.workers.rebuild import Rebuilder
from mnemata.workers.tasks import Tasks


def wire(
    parts: Parts, rebuilder: Rebuilder, back_up: BackUp, tasks: Tasks, queue: JobQueue | None
) -> Services:
    """Every use case, ready for a door."""
    database, clock, metrics = parts.store.database, parts.clock, parts.metrics
    publisher = None if parts.cache is None else parts.cache.publisher
    findable = Findable(parts.barrier, timeout_s=parts.settings.index.wait_timeout_s, publisher=publisher)
    keep_s = parts.settings.retention.idempotency_s
    jobs = Jobs(database, None if queue is None else queue.enqueue, clock=clock)
    return Services(
        remember=Remember(
            database,
            findable,
            parts.written,
            space=parts.space,
            clock=clock,
            ids=parts.ids,
            metrics=metrics,
            idempotency_s=keep_s,
        ),
        revise=Revise(database, findable, clock=clock, metrics=metrics, idempotency_s=keep_s),
        read=Read(database, clock=clock, memories=None if parts.cache is None else parts.cache.memories),
        forget=Forget(database, findable, clock=clock, metrics=metrics),
        recall=_cached(parts, _recall(parts), tasks),
        access=Access(database, required=parts.settings.auth_required, clock=clock),
        status=_status(parts),
        operations=_operations(rebuilder, back_up) if queue is None else _as_jobs(jobs),
        jobs=jobs,
        cache=_cache_admin(parts),
        rates=RateLimit(
            None if parts.cache is None else parts.cache.counters,
            per_minute=parts.settings.http.rate_limit_per_minute,
            metrics=metrics,
        ),
    )


def _cache_admin(parts: Parts) -> CacheAdmin:
    cache = parts.cache
    return CacheAdmin(None, None) if cache is None else CacheAdmin(cache.statistics, cache.publisher)


def _recall(parts: Parts) -> Recall:
    return Recall(
        parts.store.database,
        parts.index,
        StoreSearch(parts.store.database, space=parts.space),
        _query_vectors(parts),
        personalize=_personalize(parts),
        health=parts.health,
        index_ready=parts.index_ready,
        clock=parts.clock,
        ids=parts.ids,
        metrics=parts.metrics,
    )


def _query_vectors(parts: Parts) -> QueryVectors | None:
    if parts.batcher is None:
        return None
    # The embedded cache is this process's own and ends with it: what it could hold is in memory already.
    shared = None if parts.cache is None or parts.cache.embedded is not None else parts.cache.vectors
    return QueryVectors(parts.batcher, shared, metrics=parts.metrics)


def _cached(parts: Parts, recall: Recall, tasks: Tasks) -> Recall | CachedRecall:
    if parts.cache is None:
        return recall
    chosen = parts.settings.cache
    warming = Warming(
        recall,
        parts.cache.answers,
        parts.cache.popular,
        index_ready=parts.index_ready,
        metrics=parts.metrics,
        options=WarmingOptions(queries=chosen.warm_queries, per_s=chosen.warm_per_s),
    )
    tasks.start("warming", warming.run)
    return CachedRecall(
        recall, parts.cache.answers, warming, index_ready=parts.index_ready, metrics=parts.metrics
    )


def _personalize(parts: Parts) -> Personalize:
    chosen = parts.settings.personalization
    # Searches see a write once the index has reached it: a profile read before that is not of the same moment.
    cache = ProfileCache(
        capacity=chosen.profiles, keep_s=chosen.keep_s, freshness=lambda: parts.barrier.positions
    )
    return Personalize(
        parts.store.database, cache, space=parts.space, timeout_s=chosen.timeout_s, clock=parts.clock
    )


def _status(parts: Parts) -> StatusService:
    return StatusService(
        parts.store.database,
        parts.index,
        parts.barrier,
        index_ready=parts.index_ready,
        health=parts.health,
        space=parts.space,
        model=parts.settings.embedding.model,
        clock=parts.clock,
    )


def _operations(rebuilder: Rebuilder, back_up: BackUp) -> Operations:
    async def rebuild(progress: Progress) -> Facts:
        rebuilt = await rebuilder.rebuild(cause="asked", progress=progress)
        return {"documents": rebuilt.documents, "seconds": round(rebuilt.seconds, 3)}

    return Operations(rebuild=rebuild, back_up=back_up)


def _as_jobs(jobs: Jobs) -> Operations:
    """What is asked for here, a worker does; who asked waits for it as if it were done here."""
    operator = Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)

    async def rebuild(progress: Progress) -> Facts:
        return await jobs.done(operator, JobKind.REBUILD, {}, progress)

    async def back_up(path: Path | None, progress: Progress) -> Facts:
        return await jobs.done(
            operator, JobKind.BACKUP, {} if path is None else {"path": str(path)}, progress
        )

    return Operations(rebuild=rebuild, back_up=back_up)
