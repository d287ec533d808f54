"""How often a key may ask: counted over all processes, and by each for itself while the cache does not answer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mnemata.cache.client import CacheDown
from mnemata.cache.rates import RateCounters
from mnemata.observability.metrics import Metrics

_WINDOW_S = 60.0
_COUNTED_HERE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """`remaining` requests until the window ends in `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: float
    allowed: bool


class RateLimit:
    """At most `per_minute` requests in each minute of a key; 0: no limit. `monotonic`: seconds."""

    def __init__(
        self,
        counters: RateCounters | None,
        *,
        per_minute: int,
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._limit = per_minute
        self._metrics = metrics
        self._monotonic = monotonic
        self._here: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @property
    def on(self) -> bool:
        return self._limit > 0

    async def take(self, who: str) -> Allowance:
        """Count one request of `who`, and say whether it may be answered."""
        count, left_s = await self._counted(who)
        allowed = count <= self._limit
        if not allowed:
            self._metrics.rate_limited.inc()
        return Allowance(
            limit=self._limit, remaining=max(0, self._limit - count), reset_s=left_s, allowed=allowed
        )

    async def _counted(self, who: str) -> tuple[int, float]:
        if self._counters is None:
            return self._counted_here(who)
        try:
            return await self._counters.count(who, window_s=_WINDOW_S)
        except (CacheDown, ValueError, TypeError):
            return self._counted_here(who)

    def _counted_here(self, who: str) -> tuple[int, float]:
        now = self._monotonic()
        ends, count = self._here.pop(who, (0.0, 0))
        if ends <= now:
            ends, count = now + _WINDOW_S, 0
        self._here[who] = (ends, count + 1)
        if len(self._here) > _COUNTED_HERE:
            self._here.popitem(last=False)
        return count + 1, ends - now
