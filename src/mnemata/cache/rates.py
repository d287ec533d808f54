"""Counters of requests, shared by every process."""

from __future__ import annotations

from mnemata.cache.client import CacheClient
from mnemata.cache.keys import Keys


class RateCounters:
    def __init__(self, client: CacheClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def count(self, who: str, *, window_s: float) -> tuple[int, float]:
        """How many requests of `who` this window has seen, this one included, and its rest in seconds. Raises CacheDown."""
        count, left_ms = await self._client.script("count", [self._keys.rate(who)], [int(window_s * 1_000)])
        return int(count), int(left_ms) / 1_000
