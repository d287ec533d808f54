"""Memories by id: filled under a claim that a write takes away, so that nothing read before the write is put back."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from time import perf_counter

from mnemata.cache.client import CacheClient, CacheDown
from mnemata.cache.fills import Fills
from mnemata.cache.keys import Keys
from mnemata.cache.lifetimes import Lifetimes, jittered_ms
from mnemata.cache.memory_codec import memory_in, memory_out
from mnemata.cache.packing import Damaged, Packer
from mnemata.cache.standing import Standing
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory
from mnemata.observability.metrics import Metrics

KIND = "memory"
_CLAIM_MS = 5_000

Load = Callable[[], Awaitable[Memory | None]]


class MemoryCache:
    """For one event loop. Never raises for reasons of its own: without the cache, `load` answers."""

    def __init__(
        self,
        client: CacheClient,
        keys: Keys,
        standing: Standing,
        *,
        metrics: Metrics,
        lifetimes: Lifetimes | None = None,
        largest: int = 262_144,
    ) -> None:
        self._client = client
        self._keys = keys
        self._standing = standing
        self._metrics = metrics
        self._lifetimes = lifetimes or Lifetimes()
        self._largest = largest
        self._packer = Packer()
        self._fills = Fills()

    async def through(self, tenant: TenantId, memory_id: MemoryId, load: Load) -> Memory | None:
        """The memory at its current version, deleted ones too; None where there is none, which is remembered a while.

        Never older than the writes that had completed when this was called.
        """
        token = secrets.token_hex(8)
        key = self._keys.memory(tenant, memory_id)
        meta = self._keys.meta(self._keys.bucket(tenant))
        try:
            raw, payload, claimed = await self._client.script("look_memory", [meta, key], [token, _CLAIM_MS])
        except (CacheDown, ValueError, TypeError):
            self._count("down")
            return await load()
        epoch = self._standing.epoch_of(raw)
        if epoch is None:
            self._count("passed_by")
            return await load()
        if payload:
            try:
                return self._read(payload, memory_id)
            except (Damaged, ValueError, TypeError, IndexError, KeyError, AttributeError):
                self._count("damaged")
                return await load()
        self._count("miss")
        started = perf_counter()
        memory = await load()
        took_ms = (perf_counter() - started) * 1_000
        if claimed and not self._fills.full:
            self._fills.start(self._keep(key, epoch, token, memory, took_ms))
        return memory

    async def settled(self) -> None:
        """Return when nothing is left to be kept."""
        await self._fills.settled()

    async def close(self) -> None:
        """Give up what is still to be kept."""
        await self._fills.close()

    def _read(self, payload: bytes, memory_id: MemoryId) -> Memory | None:
        started = perf_counter()
        took_ms, values = self._packer.unpack(payload)
        memory = None if values is None else memory_in(values)
        if memory is not None and memory.id != memory_id:
            raise Damaged
        self._count("hit")
        self._metrics.cache_bytes.labels(KIND, "read").inc(len(payload))
        saved_s = float(took_ms) / 1_000 - (perf_counter() - started)
        self._metrics.cache_saved_seconds.labels(KIND).inc(max(0.0, saved_s))
        return memory

    async def _keep(self, key: str, epoch: str, token: str, memory: Memory | None, took_ms: float) -> None:
        life_s = self._lifetimes.unknown_s if memory is None else self._lifetimes.memory_s
        try:
            payload = self._packer.pack([took_ms, None if memory is None else memory_out(memory)])
        except (ValueError, TypeError, OverflowError):
            self._metrics.cache_refused.labels(KIND, "unpackable").inc()
            return
        if len(payload) > self._largest:
            self._metrics.cache_refused.labels(KIND, "too_large").inc()
            return
        try:
            kept = await self._client.script(
                "keep_memory", [key], [epoch, token, payload, jittered_ms(life_s)]
            )
        except CacheDown:
            return
        if kept == 1:
            self._metrics.cache_bytes.labels(KIND, "written").inc(len(payload))
        else:
            self._metrics.cache_refused.labels(KIND, "full" if kept == -1 else "outdated").inc()

    def _count(self, result: str) -> None:
        self._metrics.cache_requests.labels(KIND, result).inc()
