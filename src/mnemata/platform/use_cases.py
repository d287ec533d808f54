"""The use cases of a platform, each with what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mnemata.domain.job import JobKind
from mnemata.domain.scope import DEFAULT_TENANT, Role, Scope
from mnemata.platform.cache import Cache
from mnemata.platform.parts import Parts
from mnemata.services.access import Access
from mnemata.services.cache_admin import CacheAdmin
from mnemata.services.cached_recall import CachedRecall
from mnemata.services.catalogue import Services
from mnemata.services.fallback import StoreSearch
from mnemata.services.findable import Findable
from mnemata.services.forget import Forget
from mnemata.services.import_memories import ImportMemories
from mnemata.services.index_admin import IndexAdmin
from mnemata.services.jobs import Jobs
from mnemata.services.operations import Facts, Handler, Operations, Progress
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
from mnemata.workers.tasks import Tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The use cases that long work needs as well. `warming`: None where there is no cache."""

    remember: Remember
    recall: Recall | CachedRecall
    warming: Warming | None


def wire_core(parts: Parts, tasks: Tasks) -> Core:
    """Storing and finding, with what keeps popular queries warm running."""
    recall = _recall(parts)
    remember = Remember(
        parts.store.database,
        _findable(parts),
        parts.written,
        parts.ahead,
        space=parts.space,
        clock=parts.clock,
        ids=parts.ids,
        metrics=parts.metrics,
        idempotency_s=parts.settings.retention.idempotency_s,
    )
    if parts.cache is None:
        return Core(remember=remember, recall=recall, warming=None)
    warming = _warming(parts, parts.cache, recall)
    tasks.start("warming", warming.run)
    cached = CachedRecall(
        recall, parts.cache.answers, warming, index_ready=parts.index_ready, metrics=parts.metrics
    )
    return Core(remember=remember, recall=cached, warming=warming)


def wire(parts: Parts, core: Core, handlers: Mapping[JobKind, Handler], queue: JobQueue | None) -> Services:
    """Every use case, ready for a door. `queue`: of a fleet, whose workers do what is asked for."""
    database, clock, metrics = parts.store.database, parts.clock, parts.metrics
    findable = _findable(parts)
    keep_s = parts.settings.retention.idempotency_s
    enqueue = None if queue is None else queue.enqueue
    jobs = Jobs(database, enqueue, clock=clock)
    return Services(
        remember=core.remember,
        revise=Revise(database, findable, clock=clock, metrics=metrics, idempotency_s=keep_s),
        read=Read(database, clock=clock, memories=None if parts.cache is None else parts.cache.memories),
        forget=Forget(database, findable, clock=clock, metrics=metrics),
        recall=core.recall,
        access=Access(database, required=parts.settings.auth_required, clock=clock),
        status=_status(parts),
        operations=_at_once(handlers) if queue is None else _as_jobs(jobs),
        jobs=jobs,
        imports=ImportMemories(database, enqueue, clock=clock, idempotency_s=keep_s),
        cache=_cache_admin(parts),
        index=_index_admin(parts),
        rates=RateLimit(
            None if parts.cache is None else parts.cache.counters,
            per_minute=parts.settings.http.rate_limit_per_minute,
            metrics=metrics,
        ),
        clock=clock,
    )


def _findable(parts: Parts) -> Findable:
    publisher = None if parts.cache is None else parts.cache.publisher
    return Findable(parts.barrier, timeout_s=parts.settings.index.wait_timeout_s, publisher=publisher)


def _index_admin(parts: Parts) -> IndexAdmin:
    return IndexAdmin(
        parts.store.database, parts.index, parts.barrier, kind=parts.settings.search.kind, clock=parts.clock
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


def _warming(parts: Parts, cache: Cache, recall: Recall) -> Warming:
    chosen = parts.settings.cache
    return Warming(
        recall,
        cache.answers,
        cache.popular,
        index_ready=parts.index_ready,
        metrics=parts.metrics,
        options=WarmingOptions(queries=chosen.warm_queries, per_s=chosen.warm_per_s),
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
        cache=None if parts.cache is None else parts.cache.client,
        space=parts.space,
        model=parts.settings.embedding.model,
        clock=parts.clock,
    )


def _at_once(handlers: Mapping[JobKind, Handler]) -> Operations:
    async def do(kind: JobKind, arguments: Facts, progress: Progress) -> Facts:
        return await handlers[kind](arguments, progress)

    return Operations(do)


def _as_jobs(jobs: Jobs) -> Operations:
    """What is asked for here, a worker does; who asked waits for it as if it were done here."""
    operator = Scope(tenant=DEFAULT_TENANT, role=Role.OPERATOR)

    async def do(kind: JobKind, arguments: Facts, progress: Progress) -> Facts:
        return await jobs.done(operator, kind, arguments, progress)

    return Operations(do)
