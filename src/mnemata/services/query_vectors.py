"""The vector of a query: from this process, from the cache that all share, or from the model."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from mnemata.cache.vectors import VectorCache
from mnemata.domain.ids import TenantId
from mnemata.embedding.batcher import Batcher
from mnemata.embedding.protocol import Vector
from mnemata.observability.metrics import Metrics
from mnemata.services.recent_vectors import RecentVectors


class QueryVectors:
    """For one event loop. `shared`: what other processes have embedded; None where there are none."""

    def __init__(
        self, batcher: Batcher, shared: VectorCache | None, *, metrics: Metrics, kept: int = 4_096
    ) -> None:
        self._batcher = batcher
        self._shared = shared
        self._metrics = metrics
        self._recent = RecentVectors(kept)

    async def of(self, tenant: TenantId, text: str) -> Vector:
        """(d,) float32 of unit length, read-only. Raises EmbedderUnavailable or ModelDamaged.

        What one tenant asked is never looked up for another: the time of an answer would tell.
        """
        recent = self._recent.get(tenant, text)
        self._metrics.query_cache.labels(result="miss" if recent is None else "hit").inc()
        if recent is not None:
            return recent
        vector = await self._elsewhere(tenant, text)
        vector.setflags(write=False)
        self._recent.put(tenant, text, vector)
        return vector

    async def _elsewhere(self, tenant: TenantId, text: str) -> Vector:
        if self._shared is None:
            return await self._batcher.embed_query(text)
        size = self._batcher.space.dimensions * np.dtype(np.float32).itemsize
        known = await self._shared.get(tenant, text, size=size)
        if known is not None:
            return np.frombuffer(known, "<f4").astype(np.float32, copy=False)
        started = perf_counter()
        vector = await self._batcher.embed_query(text)
        took_ms = (perf_counter() - started) * 1_000
        self._shared.put(tenant, text, vector.astype("<f4", copy=False).tobytes(), took_ms=took_ms)
        return vector
