"""How the platform is: ready or not and why, and a report for people and programs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mnemata import __version__
from mnemata.cache.client import CacheClient
from mnemata.domain.clock import Clock
from mnemata.domain.errors import IndexUnavailable, MnemataError
from mnemata.domain.filter import EVERYTHING
from mnemata.domain.memory import JsonValue
from mnemata.domain.scope import Role, Scope
from mnemata.domain.vector import Space
from mnemata.index.protocol import SearchIndex
from mnemata.services.barrier import IndexBarrier
from mnemata.services.lag import lag_behind
from mnemata.services.model_health import ModelHealth
from mnemata.store.database import Database

_ANSWER_WITHIN_S = 2.0
_POISON_SHOWN = 20


class StatusService:
    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        barrier: IndexBarrier,
        *,
        index_ready: asyncio.Event,
        health: ModelHealth,
        cache: CacheClient | None,
        space: Space,
        model: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._index = index
        self._barrier = barrier
        self._index_ready = index_ready
        self._health = health
        self._cache = cache
        self._space = space
        self._model = model
        self._clock = clock

    async def ready(self) -> tuple[bool, dict[str, str]]:
        """Whether searches will answer, and the state of each part.

        The store must answer. While the index is being built, searches are answered from the store and say so.
        """
        store = await self._store_state()
        index = "ok" if self._index_ready.is_set() else "building: searches are answered from the store"
        cache = "off" if self._cache is None else self._cache.state
        parts = {"store": store, "index": index, "embedding": self._health.state, "cache": cache}
        return store == "ok", parts

    async def report(self, scope: Scope) -> Mapping[str, JsonValue]:
        """The tenant's counts and the state of each part; an operator also sees sizes, positions and what was set aside."""
        scope.require(Role.READER)
        _, parts = await self.ready()
        async with self._database.tenant(scope) as transaction:
            memories = await transaction.memories.count(EVERYTHING, now=self._clock.now())
        report: dict[str, JsonValue] = {
            "version": __version__,
            "tenant": scope.tenant,
            "memories": memories,
            "parts": dict(parts),
            "embedding": {
                "model": self._model,
                "space": self._space.name,
                "dimensions": self._space.dimensions,
            },
        }
        if scope.role is Role.OPERATOR:
            report |= await self._inside()
        return report

    async def _inside(self) -> dict[str, JsonValue]:
        async with self._database.platform() as transaction:
            lag = await lag_behind(transaction, self._barrier)
            set_aside = await transaction.poison.all(limit=_POISON_SHOWN)
            total = await transaction.poison.count()
            stored = await transaction.statistics()
            epoch = await transaction.feed.epoch()
        poison: list[JsonValue] = [
            {
                "position": str(entry.change.position),
                "memory_id": str(entry.change.memory_id),
                "code": entry.code,
                "last_seen": entry.last_seen.isoformat(),
            }
            for entry in set_aside
        ]
        return {
            "store": {
                "server_version": stored.server_version,
                "bytes": stored.bytes,
                "memories_estimate": stored.memories,
                "versions_estimate": stored.versions,
                "tenants": stored.tenants,
            },
            "feed": {
                "epoch": epoch,
                "indexed_up_to": str(self._barrier.position),
                "changes_waiting": lag.changes,
                "set_aside": {"count": total, "newest": poison},
            },
            "index": await self._index_figures(),
        }

    async def _index_figures(self) -> dict[str, JsonValue]:
        """What the index holds; why that is not known, where it does not answer."""
        try:
            statistics = await self._index.statistics()
        except IndexUnavailable as error:
            return {"unavailable": str(error.facts["reason"])}
        return {
            "documents": statistics.documents,
            "vectors": statistics.vectors,
            "deleted": statistics.deleted,
            "segments": statistics.segments,
            "bytes_on_disk": statistics.bytes_on_disk,
            "durable_up_to": str(statistics.durable_position),
            **dict(statistics.details),
        }

    async def _store_state(self) -> str:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await self._database.ping()
        except MnemataError as error:
            return error.code
        except TimeoutError:
            return "does not answer"
        return "ok"
