"""Recall behind the cache: the same searches, those asked again answered without searching."""

from __future__ import annotations

import asyncio

from mnemata.cache.answers import AnswerCache
from mnemata.domain.filter import EVERYTHING, Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Answer, Query
from mnemata.domain.scope import Role, Scope
from mnemata.observability.metrics import Metrics
from mnemata.services.recall import Recall
from mnemata.services.warming import Warming


class CachedRecall:
    """As Recall. Answers from the cache have `took_ms` of `cache` and a `search_id` of their own."""

    def __init__(
        self,
        recall: Recall,
        answers: AnswerCache,
        warming: Warming,
        *,
        index_ready: asyncio.Event,
        metrics: Metrics,
    ) -> None:
        self._recall = recall
        self._answers = answers
        self._warming = warming
        self._index_ready = index_ready
        self._metrics = metrics

    async def search(self, scope: Scope, query: Query, *, cursor: str | None = None) -> Answer:
        """As Recall.search, never older than the writes that had completed when it was called."""
        scope.require(Role.READER)
        if not (self._index_ready.is_set() and cacheable(query)):
            return await self._recall.search(scope, query, cursor=cursor)
        if cursor is None:
            self._warming.note(scope.tenant, query)
        answer = await self._answers.through(
            scope.tenant, query, cursor, lambda: self._recall.search(scope, query, cursor=cursor)
        )
        if "cache" in answer.took_ms:
            self._metrics.searches.labels(query.mode.value).inc()
            self._metrics.stage_seconds.labels("cache").observe(answer.took_ms["cache"] / 1_000)
        return answer

    async def similar(
        self, scope: Scope, memory_id: MemoryId, *, limit: int, condition: Filter = EVERYTHING
    ) -> Answer:
        """As Recall.similar."""
        return await self._recall.similar(scope, memory_id, limit=limit, condition=condition)


def cacheable(query: Query) -> bool:
    """Whether the tenant's generation and the query say all that the answer depends on.

    Not for the past (rarely asked, and vectors reach the store behind the feed), nor for a user's own order (it fades with
    time), nor for a listing (its count changes when any memory expires).
    """
    listing = query.words.empty and not query.text.strip()
    return query.as_of is None and query.personalize_for is None and not listing
