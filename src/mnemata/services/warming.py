"""Ask the most asked queries again before anybody does: at the start, and when a tenant's answers have become old."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from mnemata.cache.answers import AnswerCache, digest_of
from mnemata.cache.client import CacheDown
from mnemata.cache.popular import PopularQueries
from mnemata.domain.errors import CacheUnavailable, MnemataError
from mnemata.domain.filter import EVERYTHING, Everything
from mnemata.domain.ids import TenantId
from mnemata.domain.query import Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.query.filter_json import to_json
from mnemata.query.filters import parse_filter
from mnemata.services.operations import Progress
from mnemata.services.recall import Recall

log = get_logger("services")

_ROUND_S = 1.0
_TENANTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmingOptions:
    """`queries` of a tenant are kept warm at most; `per_s` searches are made for it in a second at most."""

    queries: int = 10
    per_s: float = 10.0


class Warming:
    """For one event loop. `index_ready`: nothing is asked before."""

    def __init__(
        self,
        recall: Recall,
        answers: AnswerCache,
        popular: PopularQueries,
        *,
        index_ready: asyncio.Event,
        metrics: Metrics,
        options: WarmingOptions,
    ) -> None:
        self._recall = recall
        self._answers = answers
        self._popular = popular
        self._index_ready = index_ready
        self._metrics = metrics
        self._options = options
        # By tenant: the generation seen in the last round, and the one that is warm.
        self._seen: OrderedDict[TenantId, bytes | None] = OrderedDict()
        self._warm: dict[TenantId, bytes | None] = {}

    def note(self, tenant: TenantId, query: Query) -> None:
        """Count a query that was asked."""
        digest = digest_of(query, None)
        if not self._popular.known(tenant, digest):
            packed = packed_query(query)
            if packed is not None:
                self._popular.note(tenant, digest, packed)

    async def run(self) -> None:
        """Until cancelled: keep the most asked queries of the tenants that ask answered."""
        if self._options.queries == 0:
            return
        await self._index_ready.wait()
        started = False
        while True:
            try:
                if not started:
                    self._look_at(await self._popular.tenants(limit=_TENANTS))
                    started = True
                await self.round()
            except CacheDown as error:
                log.debug("nothing_warmed", reason=error.reason)
            await asyncio.sleep(_ROUND_S)

    async def everything(self, progress: Progress) -> dict[str, int]:
        """Warm every tenant that asks, at once: `tenants`, `searches` that were made. Raises CacheUnavailable."""
        await self._index_ready.wait()
        try:
            tenants = await self._popular.tenants(limit=_TENANTS)
            made = 0
            for done, tenant in enumerate(tenants):
                progress(done, len(tenants))
                made += await self._warm_up(tenant)
        except CacheDown as error:
            raise CacheUnavailable(what="The cache", reason=f"it gave no answer ({error.reason})") from error
        progress(len(tenants), len(tenants))
        return {"tenants": len(tenants), "searches": made}

    async def round(self) -> None:
        """Share what was counted, then warm every tenant whose last change is a round old. Raises CacheDown."""
        self._look_at(await self._popular.flush())
        for tenant in list(self._seen):
            generation = await self._popular.generation(tenant)
            # While changes still come, what is computed now is old at once.
            settled = self._seen[tenant] == generation and generation is not None
            self._seen[tenant] = generation
            if settled and self._warm.get(tenant) != generation:
                await self._warm_up(tenant)
                self._warm[tenant] = generation

    def _look_at(self, tenants: list[TenantId] | set[TenantId]) -> None:
        for tenant in tenants:
            self._seen.setdefault(tenant, None)
            self._seen.move_to_end(tenant)
        while len(self._seen) > _TENANTS:
            gone, _ = self._seen.popitem(last=False)
            self._warm.pop(gone, None)

    async def _warm_up(self, tenant: TenantId) -> int:
        """Ask what is not there; how many searches that took."""
        scope = Scope(tenant=tenant, role=Role.READER)
        made = 0
        for packed in await self._popular.top(tenant, limit=self._options.queries):
            query = unpacked_query(packed)
            if query is None:
                continue
            if await self._answers.ahead(tenant, query, None, lambda q=query: self._recall.search(scope, q)):
                self._metrics.cache_warmed.inc()
                made += 1
                await asyncio.sleep(1.0 / self._options.per_s)
        return made


def packed_query(query: Query) -> bytes | None:
    """The query as bytes; None where it would not come back as it is."""
    words = query.words
    plain = {
        "text": query.text,
        "words": [words.text, words.phrases, words.prefixes, words.excluded],
        "filter": None if isinstance(query.filter, Everything) else to_json(query.filter),
        "mode": query.mode.value,
        "limit": query.limit,
        "offset": query.offset,
        "context": query.context,
        "diversity": query.diversity,
        "explain": query.explain,
        "unknown": query.unknown,
    }
    try:
        packed = json.dumps(plain).encode()
    except (TypeError, ValueError):
        return None
    return packed if unpacked_query(packed) == query else None


def unpacked_query(packed: bytes) -> Query | None:
    """The query of its bytes; None where they are not one."""
    try:
        plain: dict[str, Any] = json.loads(packed)
        text, phrases, prefixes, excluded = plain["words"]
        return Query(
            text=plain["text"],
            words=Words(
                text=text, phrases=tuple(phrases), prefixes=tuple(prefixes), excluded=tuple(excluded)
            ),
            filter=EVERYTHING if plain["filter"] is None else parse_filter(plain["filter"]),
            mode=Mode(plain["mode"]),
            limit=plain["limit"],
            offset=plain["offset"],
            context=plain["context"],
            diversity=plain["diversity"],
            explain=plain["explain"],
            unknown=tuple(plain["unknown"]),
        )
    except (ValueError, TypeError, KeyError, MnemataError):
        return None
