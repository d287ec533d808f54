"""Find memories again: both legs at once, joined by fusion, hydrated from the store in one round trip."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mnemata.domain.clock import Clock
from mnemata.domain.errors import IndexDamaged, IndexUnavailable, InvalidCursor, MemoryNotFound, MnemataError
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, Filter, Not, both
from mnemata.domain.ids import IdFactory, MemoryId
from mnemata.domain.memory import Memory
from mnemata.domain.query import Answer, Hit, Mode, Query, Words
from mnemata.domain.scope import Role, Scope
from mnemata.embedding.protocol import Vector
from mnemata.index.protocol import IndexQuery, Legs, SearchIndex
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.query.plan import MAX_WINDOW
from mnemata.ranking.defaults import DEPTH, FUSION
from mnemata.ranking.diversity import diversify
from mnemata.ranking.fusion import Fused, Ranking, fuse, unranked
from mnemata.ranking.tiers import Tier, cut, in_tiers
from mnemata.services import cursors
from mnemata.services.fallback import StoreSearch
from mnemata.services.model_health import ModelHealth
from mnemata.services.personalize import Personalize, Ranked
from mnemata.services.query_vectors import QueryVectors
from mnemata.store.database import Database, TenantTransaction
from mnemata.store.sessions import Turns

log = get_logger("services")


@dataclass(slots=True)
class _Stages:
    """Milliseconds by stage."""

    started: float = field(default_factory=time.perf_counter)
    ms: dict[str, float] = field(default_factory=dict)

    def lap(self, stage: str, since: float) -> None:
        self.add({stage: (time.perf_counter() - since) * 1_000})

    def add(self, took_ms: Mapping[str, float]) -> None:
        """A stage that comes several times counts as often."""
        for stage, ms in took_ms.items():
            self.ms[stage] = self.ms.get(stage, 0.0) + ms

    def total(self) -> dict[str, float]:
        self.lap("total", self.started)
        return {stage: round(value, 3) for stage, value in self.ms.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the legs gave, joined, and how many memories match."""

    tiers: Sequence[Tier]
    total: int
    degraded: tuple[str, ...]


class Recall:
    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        store_search: StoreSearch,
        vectors: QueryVectors | None,
        *,
        personalize: Personalize,
        health: ModelHealth,
        index_ready: asyncio.Event,
        clock: Clock,
        ids: IdFactory,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._index = index
        self._store_search = store_search
        self._vectors = vectors
        self._personalize = personalize
        self._health = health
        self._index_ready = index_ready
        self._clock = clock
        self._ids = ids
        self._metrics = metrics

    async def search(self, scope: Scope, query: Query, *, cursor: str | None = None) -> Answer:
        """The best hits for a query, and whatever could not be searched in `degraded`.

        Raises InvalidCursor, and StoreUnavailable where the memories themselves cannot be read.
        """
        scope.require(Role.READER)
        stages = _Stages()
        mark = _fingerprint(scope, query)
        offset = _offset(cursor, mark) + query.offset
        if query.words.empty and not query.text.strip():
            return await self._newest(scope, query, offset=offset, mark=mark, stages=stages)
        vector, degraded = await self._embed(scope, query, stages)
        following = offset + query.limit
        # One more than the page shows: it says whether there is another page.
        found = await self._found(scope, query, vector, wanted=min(following + 1, MAX_WINDOW), stages=stages)
        tiers, degraded = found.tiers, (*degraded, *found.degraded)
        if query.personalize_for is not None:
            regarded = await self._regard(
                scope, query, tiers, stages, user_id=query.personalize_for, offset=offset
            )
            tiers, degraded = regarded.tiers, (*degraded, *regarded.degraded)
        if query.diversity > 0.0:
            tiers = await self._diversify(scope, query, tiers, stages)
        page = cut(tiers, offset, min(following, MAX_WINDOW))
        hits = await self._hydrate(scope, query, page, stages)
        more = following < min(sum(len(tier.hits) for tier in tiers), MAX_WINDOW)
        return self._answered(
            query.mode,
            Answer(
                search_id=str(self._ids.new()),
                hits=hits,
                total=found.total,
                degraded=tuple(sorted(set(degraded))),
                took_ms=stages.total(),
                next_cursor=cursors.encode(mark, [following - query.offset]) if more else None,
                filters=query.filter,
            ),
        )

    async def similar(
        self, scope: Scope, memory_id: MemoryId, *, limit: int, condition: Filter = EVERYTHING
    ) -> Answer:
        """The memories nearest in meaning to one. Raises MemoryNotFound.

        A memory whose vector is not there yet gives no hits and `degraded: ["vector"]`.
        """
        scope.require(Role.READER)
        stages = _Stages()
        async with self._database.tenant(scope) as transaction:
            memory = await transaction.memories.get(memory_id)
        if memory is None or not memory.current_at(self._clock.now()):
            raise MemoryNotFound(memory_id=memory_id)
        own = Field(name="id")
        others = both(condition, Not(item=AnyOf(field=own, values=(str(memory_id),))))
        query = Query(text="", words=Words(), filter=others, mode=Mode.VECTOR, limit=limit)
        try:
            vector = (await self._index.vectors(scope.tenant, [memory_id])).get(memory_id)
        except (IndexUnavailable, IndexDamaged) as error:
            log.warning("index_unavailable", code=error.code)
            vector = None
        if vector is None:
            answer = Answer(
                search_id=str(self._ids.new()), hits=(), total=0, degraded=("vector",), took_ms=stages.total()
            )
            return self._answered(Mode.VECTOR, answer)
        legs = await self._legs(scope, query, vector, depth=limit, stages=stages)
        hits = await self._hydrate(scope, query, self._rank(legs, stages)[:limit], stages)
        answer = Answer(
            search_id=str(self._ids.new()),
            hits=hits,
            total=legs.total,
            degraded=legs.degraded,
            took_ms=stages.total(),
            filters=condition,
        )
        return self._answered(Mode.VECTOR, answer)

    async def _newest(self, scope: Scope, query: Query, *, offset: int, mark: str, stages: _Stages) -> Answer:
        """A query without words asks for everything within its filter: the newest first, all with score 0."""
        since = time.perf_counter()
        wanted = min(offset + query.limit + 1, MAX_WINDOW)
        now = self._clock.now()
        async with self._database.tenant(scope) as transaction:
            listing = transaction.memories
            if query.as_of is None:
                items = await listing.page(query.filter, limit=wanted, now=now)
                total = await listing.count(query.filter, now=now)
            else:
                items = await listing.page_as_of(query.filter, limit=wanted, as_of=query.as_of)
                total = await listing.count_as_of(query.filter, as_of=query.as_of)
        stages.lap("search", since)
        page = [unranked(memory.id) for memory in items[offset : offset + query.limit]]
        hits = await self._hydrate(scope, query, page, stages)
        following = offset + query.limit
        more = following < min(len(items), MAX_WINDOW)
        return self._answered(
            query.mode,
            Answer(
                search_id=str(self._ids.new()),
                hits=hits,
                total=total,
                took_ms=stages.total(),
                next_cursor=cursors.encode(mark, [following - query.offset]) if more else None,
                filters=query.filter,
            ),
        )

    async def _embed(
        self, scope: Scope, query: Query, stages: _Stages
    ) -> tuple[Vector | None, tuple[str, ...]]:
        """The query's vector; where the model fails, none and the leg's name."""
        if query.mode is Mode.LEXICAL or not query.text.strip():
            return None, ()
        if self._vectors is None:
            return None, ("vector",)
        since = time.perf_counter()
        try:
            vector = await self._vectors.of(scope.tenant, query.text)
        except MnemataError as error:
            self._health.failed(error)
            log.warning("query_not_embedded", code=error.code)
            return None, ("vector",)
        finally:
            stages.lap("embed", since)
        self._health.worked()
        return vector, ()

    async def _found(
        self, scope: Scope, query: Query, vector: Vector | None, *, wanted: int, stages: _Stages
    ) -> _Found:
        """At least as many hits as wanted, where there are so many, in a tier for each depth: each is twice the one before."""
        # Every depth is asked for by itself, as for the pages above: the beginning of a deeper answer may be another. A graph
        # that is asked for more neighbours walks further and finds nearer ones, what more words found stands in between, and
        # of many that are alike others come.
        depth = DEPTH
        added, degraded = list[Ranking](), set[str]()
        while True:
            legs = await self._legs(scope, query, vector, depth=depth, stages=stages)
            added.append(self._rank(legs, stages).without(added))
            degraded.update(legs.degraded)
            spent = max(len(legs.lexical), len(legs.vector)) < depth or depth >= MAX_WINDOW
            if spent or sum(map(len, added)) >= wanted:
                return _Found(tiers=in_tiers(added), total=legs.total, degraded=tuple(degraded))
            # No page reaches further down than the window: nor need a leg.
            depth = min(2 * depth, MAX_WINDOW)

    async def _legs(
        self, scope: Scope, query: Query, vector: Vector | None, *, depth: int, stages: _Stages
    ) -> Legs:
        """Both legs from the index; from the store for the past, or while the index is not there."""
        since = time.perf_counter()
        if query.as_of is not None or not self._index_ready.is_set():
            legs = await self._from_store(scope, query, vector, depth=depth)
        else:
            try:
                legs = await self._index.search(
                    _index_query(scope, query, vector, depth, now=self._clock.now())
                )
            except (IndexUnavailable, IndexDamaged) as error:
                log.warning("index_unavailable", code=error.code)
                legs = await self._from_store(scope, query, vector, depth=depth)
        stages.lap("search", since)
        stages.add(legs.took_ms)
        return legs

    async def _from_store(self, scope: Scope, query: Query, vector: Vector | None, *, depth: int) -> Legs:
        legs = await self._store_search.search(
            scope,
            mode=query.mode,
            words=query.words,
            vector=vector,
            condition=query.filter,
            depth=depth,
            now=self._clock.now(),
            as_of=query.as_of,
        )
        # The past is not in the index and never was: only an answer about the present is degraded by its absence.
        return legs if query.as_of is not None else replace(legs, degraded=(*legs.degraded, "index"))

    def _rank(self, legs: Legs, stages: _Stages) -> Ranking:
        since = time.perf_counter()
        ranked = fuse(legs.lexical, legs.vector, FUSION)
        stages.lap("fuse", since)
        return ranked

    async def _regard(
        self,
        scope: Scope,
        query: Query,
        tiers: Sequence[Tier],
        stages: _Stages,
        *,
        user_id: str,
        offset: int,
    ) -> Ranked:
        since = time.perf_counter()
        # Diversity chooses among more hits than a page shows.
        stop = max(offset + query.limit, DEPTH if query.diversity > 0.0 else 0)
        regarded = await self._personalize.rank(
            scope, tiers, asked=range(offset, stop), user_id=user_id, as_of=query.as_of
        )
        stages.lap("personalize", since)
        return regarded

    async def _diversify(
        self, scope: Scope, query: Query, tiers: Sequence[Tier], stages: _Stages
    ) -> Sequence[Tier]:
        """The pool is the top of the first tier, whichever page is read."""
        since = time.perf_counter()
        first, *others = tiers
        try:
            vectors = await self._index.vectors(
                scope.tenant, [fused.memory_id for fused in first.hits[:DEPTH]]
            )
        except (IndexUnavailable, IndexDamaged) as error:
            # The hits came from the store, which says so: they stay in its order.
            log.warning("index_unavailable", code=error.code)
            return tiers
        diverse = replace(first, hits=diversify(first.hits, vectors, diversity=query.diversity))
        stages.lap("diversify", since)
        return [diverse, *others]

    async def _hydrate(
        self, scope: Scope, query: Query, page: Sequence[Fused], stages: _Stages
    ) -> tuple[Hit, ...]:
        """The page's memories from the store. One that has gone since the index saw it is left out."""
        since = time.perf_counter()
        ids = [fused.memory_id for fused in page]
        now = self._clock.now()
        async with self._database.tenant(scope, single=True) as transaction:
            memories, around = await _hydrated(transaction, ids, query, now)
        hits = tuple(
            Hit(
                memory=memories[fused.memory_id],
                score=fused.score,
                context=_joined(around.get(fused.memory_id)),
                explanation=fused.explanation if query.explain else None,
            )
            for fused in page
            if fused.memory_id in memories and memories[fused.memory_id].current_at(query.as_of or now)
        )
        stages.lap("hydrate", since)
        return hits

    def _answered(self, mode: Mode, answer: Answer) -> Answer:
        self._metrics.searches.labels(mode.value).inc()
        for leg in answer.degraded:
            self._metrics.degraded.labels(leg).inc()
        for stage, value in answer.took_ms.items():
            self._metrics.stage_seconds.labels(stage).observe(value / 1_000)
        return answer


async def _hydrated(
    transaction: TenantTransaction, ids: Sequence[MemoryId], query: Query, now: datetime
) -> tuple[Mapping[MemoryId, Memory], Mapping[MemoryId, tuple[Turns, Turns]]]:
    """The memories, as they are or as they were, and the turns around them where they are asked for."""
    memories = transaction.memories
    if query.context:
        return await memories.with_turns(ids, width=query.context, now=now, as_of=query.as_of)
    return await memories.get_many(ids, as_of=query.as_of), {}


def _joined(around: tuple[Turns, Turns] | None) -> Turns:
    return () if around is None else (*around[0], *around[1])


def _index_query(
    scope: Scope, query: Query, vector: Vector | None, depth: int, *, now: datetime
) -> IndexQuery:
    return IndexQuery(
        tenant=scope.tenant,
        mode=query.mode,
        words=query.words,
        vector=vector,
        filter=query.filter,
        depth=depth,
        at=now,
    )


def _fingerprint(scope: Scope, query: Query) -> str:
    return cursors.fingerprint(
        scope.tenant,
        query.text,
        query.words,
        query.filter,
        query.mode,
        query.diversity,
        query.as_of,
        query.personalize_for,
    )


def _offset(cursor: str | None, mark: str) -> int:
    if cursor is None:
        return 0
    state = cursors.decode(cursor, mark)
    offset = state[0] if len(state) == 1 else None
    if not isinstance(offset, int) or not 0 <= offset < MAX_WINDOW:
        raise InvalidCursor(reason="it points nowhere")
    return offset
