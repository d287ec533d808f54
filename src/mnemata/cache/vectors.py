"""Vectors of queries, shared by every process: what one has embedded, no other embeds again."""

from __future__ import annotations

import hashlib
from time import perf_counter

from mnemata.cache.client import CacheClient, CacheDown
from mnemata.cache.fills import Fills
from mnemata.cache.keys import Keys
from mnemata.cache.lifetimes import Lifetimes, jittered_ms
from mnemata.cache.packing import Damaged, Packer
from mnemata.domain.ids import TenantId
from mnemata.observability.metrics import Metrics

KIND = "vector"
# Numbers of a vector do not compress: trying costs more than the network saves.
_NEVER = 1 << 30


class VectorCache:
    """For one event loop. Never raises: without an answer from the cache there is no vector.

    The space is part of the namespace of the keys, and a text's vector in a space never changes: nothing is ever given
    up. Each tenant has vectors of its own, so that nobody learns from the time of an answer what others ask.
    """

    def __init__(
        self,
        client: CacheClient,
        keys: Keys,
        *,
        metrics: Metrics,
        lifetimes: Lifetimes | None = None,
        largest: int = 262_144,
    ) -> None:
        self._client = client
        self._keys = keys
        self._metrics = metrics
        self._life_s = (lifetimes or Lifetimes()).vector_s
        self._largest = largest
        self._packer = Packer(compress_above=_NEVER)
        self._fills = Fills()

    async def get(self, tenant: TenantId, text: str, *, size: int) -> bytes | None:
        """The `size` bytes that were put for this text, or None."""
        started = perf_counter()
        try:
            payload = await self._client.command("GET", self._key(tenant, text))
        except CacheDown:
            self._count("down")
            return None
        if payload is None:
            self._count("miss")
            return None
        try:
            took_ms, vector = self._unpacked(payload, size)
        except (Damaged, ValueError, TypeError):
            self._count("damaged")
            return None
        saved_s = took_ms / 1_000 - (perf_counter() - started)
        self._count("hit")
        self._metrics.cache_bytes.labels(KIND, "read").inc(len(payload))
        self._metrics.cache_saved_seconds.labels(KIND).inc(max(0.0, saved_s))
        return vector

    def put(self, tenant: TenantId, text: str, vector: bytes, *, took_ms: float) -> None:
        """Keep it in the background. `took_ms`: what embedding it took."""
        if not self._fills.full:
            self._fills.start(self._keep(self._key(tenant, text), vector, took_ms))

    async def settled(self) -> None:
        """Return when nothing is left to be kept."""
        await self._fills.settled()

    async def close(self) -> None:
        """Give up what is still to be kept."""
        await self._fills.close()

    def _unpacked(self, payload: bytes, size: int) -> tuple[float, bytes]:
        took_ms, vector = self._packer.unpack(payload)
        if not isinstance(vector, bytes) or len(vector) != size:
            raise Damaged
        return float(took_ms), vector

    async def _keep(self, key: str, vector: bytes, took_ms: float) -> None:
        payload = self._packer.pack([took_ms, vector])
        if len(payload) > self._largest:
            self._metrics.cache_refused.labels(KIND, "too_large").inc()
            return
        try:
            await self._client.command("SET", key, payload, "PX", jittered_ms(self._life_s))
        except CacheDown as error:
            if error.reason == "full":
                self._metrics.cache_refused.labels(KIND, "full").inc()
            return
        self._metrics.cache_bytes.labels(KIND, "written").inc(len(payload))

    def _key(self, tenant: TenantId, text: str) -> str:
        digest = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
        return self._keys.vector(tenant, digest)

    def _count(self, result: str) -> None:
        self._metrics.cache_requests.labels(KIND, result).inc()
