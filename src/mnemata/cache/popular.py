"""The most asked queries of each tenant, counted here and kept together in the cache, so that they can be asked ahead."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from mnemata.cache.client import CacheClient
from mnemata.cache.keys import Keys
from mnemata.domain.ids import TenantId

_KEPT = 50
_TENANTS = 100
_LIFE_S = 86_400
_COUNTED = 2_000


@dataclass(slots=True, kw_only=True)
class _Asked:
    count: int
    query: bytes


class PopularQueries:
    """For one event loop. Queries are bytes here: whoever asks them knows their form."""

    def __init__(self, client: CacheClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._asked: OrderedDict[tuple[TenantId, str], _Asked] = OrderedDict()

    def known(self, tenant: TenantId, digest: str) -> bool:
        """Count the query once more, where it was noted since the last `flush`."""
        asked = self._asked.get((tenant, digest))
        if asked is None:
            return False
        asked.count += 1
        return True

    def note(self, tenant: TenantId, digest: str, query: bytes) -> None:
        """Count a query for the first time. The one noted longest ago is forgotten when there are too many."""
        self._asked[tenant, digest] = _Asked(count=1, query=query)
        if len(self._asked) > _COUNTED:
            self._asked.popitem(last=False)

    async def flush(self) -> set[TenantId]:
        """Add what was counted here to what all have counted; the tenants that asked. Raises CacheDown."""
        asked, self._asked = self._asked, OrderedDict()
        by_tenant: dict[TenantId, list[str | bytes | int]] = {}
        for (tenant, digest), one in asked.items():
            by_tenant.setdefault(tenant, []).extend((one.count, digest, one.query))
        for tenant, counted in by_tenant.items():
            keys = [self._keys.asked(tenant), self._keys.questions(tenant), self._keys.tenants(tenant)]
            await self._client.script("popular", keys, [tenant, _KEPT, _TENANTS, _LIFE_S, *counted])
        return set(by_tenant)

    async def top(self, tenant: TenantId, *, limit: int) -> list[bytes]:
        """The most asked queries, the most asked first. Raises CacheDown."""
        digests = await self._client.command("ZREVRANGE", self._keys.asked(tenant), 0, limit - 1)
        if not digests:
            return []
        found = await self._client.command("HMGET", self._keys.questions(tenant), *digests)
        return [query for query in found if isinstance(query, bytes)]

    async def tenants(self, *, limit: int) -> list[TenantId]:
        """Those that ask the most. Raises CacheDown."""
        found: list[tuple[float, TenantId]] = []
        for bucket in range(self._keys.buckets):
            names = await self._client.command("ZREVRANGE", self._keys.tenants_of(bucket), 0, limit - 1)
            found += [(place, TenantId(name.decode())) for place, name in enumerate(names)]
        return [tenant for _, tenant in sorted(found)[:limit]]

    async def generation(self, tenant: TenantId) -> bytes | None:
        """What changes with every change that searches see. Raises CacheDown."""
        found = await self._client.command("GET", self._keys.generation(tenant))
        return found if isinstance(found, bytes) else None
