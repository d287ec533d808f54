"""What an operator asks of the cache: how it does, and to be emptied."""

from __future__ import annotations

from collections.abc import Mapping

from mnemata.cache.client import CacheDown
from mnemata.cache.publisher import Publisher
from mnemata.cache.statistics import CacheStatistics
from mnemata.domain.errors import CacheUnavailable
from mnemata.domain.memory import JsonValue
from mnemata.domain.scope import Role, Scope


class CacheAdmin:
    """Of a platform without a cache, both are None."""

    def __init__(self, statistics: CacheStatistics | None, publisher: Publisher | None) -> None:
        self._statistics = statistics
        self._publisher = publisher

    async def report(self, scope: Scope) -> Mapping[str, JsonValue]:
        """Hits, bytes and savings by class, and the server's figures; `{"used": false}` where there is no cache."""
        scope.require(Role.OPERATOR)
        if self._statistics is None:
            return {"used": False}
        return {"used": True, **await self._statistics.report()}

    async def clear(self, scope: Scope) -> Mapping[str, JsonValue]:
        """Give up everything cached: `deleted` keys. Raises CacheUnavailable."""
        scope.require(Role.OPERATOR)
        if self._statistics is None or self._publisher is None:
            return {"deleted": 0}
        try:
            await self._publisher.renew(cause="cleared")
            return {"deleted": await self._statistics.clear()}
        except CacheDown as error:
            raise CacheUnavailable(what="The cache", reason=f"it gave no answer ({error.reason})") from error
