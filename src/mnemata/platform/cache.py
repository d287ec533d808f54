"""The cache of a platform: a server by URL, the embedded one, or none."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from mnemata import __version__
from mnemata.cache.answers import AnswerCache, AnswerOptions
from mnemata.cache.client import CacheClient, ClientOptions
from mnemata.cache.embedded import EmbeddedValkey, embedded_available
from mnemata.cache.keys import Keys, namespace_of
from mnemata.cache.lifetimes import Lifetimes
from mnemata.cache.memories import MemoryCache
from mnemata.cache.popular import PopularQueries
from mnemata.cache.publisher import Publisher
from mnemata.cache.rates import RateCounters
from mnemata.cache.standing import Standing
from mnemata.cache.statistics import CacheStatistics
from mnemata.cache.vectors import VectorCache
from mnemata.domain.clock import Clock
from mnemata.domain.ids import IdFactory
from mnemata.domain.vector import Space
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.platform.store import Store
from mnemata.services.barrier import IndexBarrier
from mnemata.settings import CACHE_OFF, Settings
from mnemata.store.data_folder import DataFolder
from mnemata.workers.cache_doubts import CacheDoubts
from mnemata.workers.tasks import Tasks

log = get_logger("platform")

CLUSTER_BUCKETS = 8
"""Slots over which the tenants of a cluster are spread; each has a watermark, told of every batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Wired, and connected a moment after the platform is open: until then everything goes past it."""

    client: CacheClient
    keys: Keys
    standing: Standing
    publisher: Publisher
    answers: AnswerCache
    memories: MemoryCache
    vectors: VectorCache
    statistics: CacheStatistics
    counters: RateCounters
    popular: PopularQueries
    embedded: EmbeddedValkey | None
    doubts: CacheDoubts | None

    def start(self, tasks: Tasks) -> None:
        """Start what keeps it running. Each has a task of its own: it is told to end until it does."""
        ready = asyncio.Event()
        tasks.start("cache", lambda: self._serve(ready))
        tasks.start("cache_publisher", lambda: self._publish(ready))
        tasks.start("cache_figures", lambda: self._measure(ready))
        doubts = self.doubts
        if doubts is not None:
            tasks.start("cache_doubts", lambda: doubts.run(self._renew))

    async def _serve(self, ready: asyncio.Event) -> None:
        await self.client.open()
        if self.embedded is None:
            ready.set()
        else:
            await self.embedded.run(self.client, ready)

    async def _publish(self, ready: asyncio.Event) -> None:
        await ready.wait()
        await self.publisher.run()

    async def _measure(self, ready: asyncio.Event) -> None:
        await ready.wait()
        await self.statistics.run()

    async def _renew(self) -> bool:
        return await self.publisher.renew(cause="doubted")

    async def close(self) -> None:
        await self.answers.close()
        await self.memories.close()
        await self.vectors.close()
        await self.client.close()
        if self.embedded is not None:
            await asyncio.to_thread(self.embedded.close)


async def wired_cache(
    settings: Settings,
    store: Store,
    stack: AsyncExitStack,
    *,
    space: Space,
    barrier: IndexBarrier,
    index_ready: asyncio.Event,
    metrics: Metrics,
    clock: Clock,
    ids: IdFactory,
) -> Cache | None:
    """The cache, closed with the stack; None where there is none."""
    embedded, url = _server(settings, store.folder, metrics)
    if url is None:
        return None
    async with store.database.platform() as transaction:
        epoch = await transaction.feed.epoch()
    chosen = settings.cache
    client = CacheClient(ClientOptions(url=url, timeout_s=chosen.timeout_s), metrics=metrics)
    # Whatever else changes an answer is part of the namespace: histories, spaces and releases share nothing.
    keys = Keys(
        namespace=namespace_of(chosen.namespace, epoch, space.name, settings.search.kind, __version__),
        buckets=CLUSTER_BUCKETS if client.options.cluster else 1,
    )
    standing = Standing(lambda: barrier.positions, caught_up=index_ready.is_set)
    # A local index has one process, and no other reads what it caches.
    doubts = None if settings.local else CacheDoubts(store.database, standing, cache=keys.namespace)
    cache = Cache(
        client=client,
        keys=keys,
        standing=standing,
        publisher=_publisher(client, keys, standing, doubts, metrics),
        answers=AnswerCache(
            client,
            keys,
            standing,
            clock=clock,
            ids=ids,
            metrics=metrics,
            options=AnswerOptions(
                lifetimes=_lifetimes(settings), largest=chosen.max_value_bytes, wait_s=chosen.wait_s
            ),
        ),
        memories=MemoryCache(
            client,
            keys,
            standing,
            metrics=metrics,
            lifetimes=_lifetimes(settings),
            largest=chosen.max_value_bytes,
        ),
        vectors=VectorCache(
            client, keys, metrics=metrics, lifetimes=_lifetimes(settings), largest=chosen.max_value_bytes
        ),
        statistics=CacheStatistics(client, keys, metrics=metrics),
        counters=RateCounters(client, keys),
        popular=PopularQueries(client, keys),
        embedded=embedded,
        doubts=doubts,
    )
    stack.push_async_callback(cache.close)
    return cache


def _server(
    settings: Settings, folder: DataFolder, metrics: Metrics
) -> tuple[EmbeddedValkey | None, str | None]:
    chosen = settings.cache.url
    if chosen is not None:
        url = chosen.get_secret_value()
        return None, (None if url == CACHE_OFF else url)
    if not embedded_available():
        log.info("no_embedded_cache_here")
        return None, None
    embedded = EmbeddedValkey(
        folder.path / "cache", bytes_limit=settings.cache.embedded_bytes, metrics=metrics
    )
    return embedded, embedded.url


def _publisher(
    client: CacheClient, keys: Keys, standing: Standing, doubts: CacheDoubts | None, metrics: Metrics
) -> Publisher:
    if doubts is None:
        return Publisher(client, keys, standing, metrics=metrics)
    return Publisher(client, keys, standing, metrics=metrics, tell_others=doubts.tell)


def _lifetimes(settings: Settings) -> Lifetimes:
    return Lifetimes(answer_s=settings.cache.answer_s, memory_s=settings.cache.memory_s)
