"""The cluster engine: an index in Elasticsearch or OpenSearch that any number of processes search and write.

One engine for both: they differ in how vectors are mapped and asked for, and in their drivers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import IndexUnavailable, SpaceMismatch
from mnemata.domain.facet import Facet, FacetRequest
from mnemata.domain.filter import EVERYTHING, Filter
from mnemata.domain.fragment import FRAGMENTS, Fragment, FragmentShape
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import JsonValue
from mnemata.domain.query import Leg, Words
from mnemata.domain.suggestion import Completion, Correction, Spelling
from mnemata.domain.vector import Space
from mnemata.index.cluster.answers import hits_of, legs_of, memory_ids, of_one_index
from mnemata.index.cluster.bulk import BulkWriter, Item, deleting, writing
from mnemata.index.cluster.catalogue import Catalogue
from mnemata.index.cluster.conditions import within
from mnemata.index.cluster.connection import moved, search_failed, unavailable
from mnemata.index.cluster.copies import copy_for
from mnemata.index.cluster.dialect import Dialect, dialect_of
from mnemata.index.cluster.dictionary import ClusterDictionary
from mnemata.index.cluster.document import document_id, document_of, rows_of
from mnemata.index.cluster.drivers import connected
from mnemata.index.cluster.facets import FacetSearch
from mnemata.index.cluster.generation import Generation, Identity
from mnemata.index.cluster.generations import Generations
from mnemata.index.cluster.listing import ClusterListing
from mnemata.index.cluster.options import ClusterKind, ClusterOptions
from mnemata.index.cluster.positions import Positions
from mnemata.index.cluster.queries import Body, QueryBuilder
from mnemata.index.cluster.statistics import statistics_of
from mnemata.index.cluster.texts import texts_of
from mnemata.index.local import suggesting
from mnemata.index.local.highlighting import highlighted
from mnemata.index.marks import Held, MemoryKey
from mnemata.index.protocol import (
    Action,
    Damage,
    Embedded,
    GenerationStatus,
    IndexQuery,
    IndexStatistics,
    Legs,
    SearchIndex,
    Upsert,
    Vector,
)
from mnemata.observability.logging import get_logger

log = get_logger("index")

_PAGE = 1_000


class ClusterIndex:
    """Implements `SearchIndex` on a cluster. `epoch` is the feed's: an index of another one is set aside at `open`."""

    def __init__(
        self, kind: ClusterKind, *, epoch: str = "", space: Space, options: ClusterOptions, clock: Clock
    ) -> None:
        self._kind = kind
        self._options = options
        self._clock = clock
        self.identity = Identity(epoch=epoch, space=space, metric=options.metric)
        self._dialect: Dialect = dialect_of(kind)
        self._connection = connected(kind, options.access)
        self._catalogue = Catalogue(self._connection, self._dialect, options, clock=clock)
        self._generations = Generations(self._connection, self._catalogue, alias=options.name)
        self._writer = BulkWriter(
            self._connection,
            bytes_at_once=options.batch_bytes,
            items_at_once=options.batch_documents,
            patience_s=options.patience_s,
        )
        self._generation: Generation | None = None
        self._positions: Positions | None = None
        self._builder: QueryBuilder | None = None
        self._staged: ClusterIndex | None = None
        self._live = self._stale = False
        self._lane = asyncio.Lock()

    @property
    def space(self) -> Space:
        return self.identity.space

    @property
    def epoch(self) -> str:
        return self.identity.epoch

    @property
    def generation(self) -> Generation:
        """The indices in use. Raises IndexUnavailable while it is not open."""
        if self._generation is None:
            raise unavailable("its index is not open")
        return self._generation

    @property
    def partitions(self) -> int:
        return self._options.partitions if self._generation is None else self._generation.partitions

    def expect(self, epoch: str) -> None:
        """Say of which epoch the index must be, before it is opened."""
        self.identity = replace(self.identity, epoch=epoch)

    async def open(self) -> tuple[Position, ...]:
        async with self._lane:
            await self._use(await self._catalogue.live(self.identity))
            self._live, self._stale = True, False
            # What another process wrote, and ended before it was shown.
            await self._show()
            await self._catalogue.sweep()
            return self._opened_positions().all

    async def apply(
        self, actions: Sequence[Action], *, position: Position, partition: int | None = None, ticket: int = 0
    ) -> None:
        self._check(actions)
        if self._live and self._stale:
            raise moved()
        items = self._items(actions, ticket)
        try:
            await self._writer.write(items)
            if items:
                await self._show()
            await self._opened_positions().advance(partition, position)
            self._catalogue.written()
        except IndexUnavailable as error:
            if await self._moved():
                raise moved() from error
            raise

    async def flush(self) -> None:
        """Nothing is to be done for durability: the cluster has it. Old indices are swept away."""
        await self._catalogue.sweep()

    async def search(self, query: IndexQuery) -> Legs:
        if query.vector is not None and query.vector.shape != (self.space.dimensions,):
            raise SpaceMismatch(expected=self.space.name, actual=f"{query.vector.shape[-1]} dimensions")
        bodies = self._asking().searches(query)
        if not bodies:
            return Legs()
        same = copy_for(query.tenant, query.words)
        answers = await self._ask(query.tenant, bodies, same)
        if not of_one_index(answers):
            # Another index was made the live one in between.
            answers = await self._ask(query.tenant, bodies, same)
        return legs_of(answers, query, metric=self.identity.metric)

    async def vectors(self, tenant: TenantId, ids: Sequence[MemoryId]) -> Mapping[MemoryId, Vector]:
        found: dict[MemoryId, Vector] = {}
        for at in range(0, len(ids), _PAGE):
            body = self._asking().vectors(tenant, ids[at : at + _PAGE])
            packed = hits_of(await self._ask_one(tenant, body)).packed
            rows = rows_of(list(packed.values()), self.space.dimensions)
            found.update(zip(memory_ids(list(packed)), rows, strict=True))
        return found

    async def matching(self, tenant: TenantId, condition: Filter, *, leg: str) -> frozenset[MemoryId]:
        """As SearchIndex.matching. Both legs filter the same documents by the same clauses."""
        Leg(leg)
        found: list[int] = []
        after: str | None = None
        while True:
            body = self._asking().page(within(tenant, condition), after)
            page = hits_of(await self._ask_one(tenant, body)).numbers
            if not page:
                return frozenset(memory_ids(found))
            found += page
            after = str(memory_ids(page[-1:])[0])

    async def facets(self, query: IndexQuery, requests: Sequence[FacetRequest]) -> Sequence[Facet]:
        counting, same = self._asking().matched(query), copy_for(query.tenant, query.words)
        asking = partial(self._ask, query.tenant, same=same)
        return await FacetSearch(asking, counting).run(requests)

    async def highlight(
        self, words: Words, texts: Sequence[str], *, shape: FragmentShape = FRAGMENTS
    ) -> Sequence[tuple[Fragment, ...]]:
        return await asyncio.to_thread(highlighted, words, texts, shape)

    async def spellings(self, tenant: TenantId, text: str, *, limit: int = 5) -> Sequence[Spelling]:
        return await suggesting.spellings(self._dictionary(tenant), text, limit=limit)

    async def correction(self, tenant: TenantId, text: str) -> Correction | None:
        return await suggesting.correction(self._dictionary(tenant), text)

    async def completions(self, tenant: TenantId, prefix: str, *, limit: int = 10) -> Sequence[Completion]:
        return await suggesting.completions(self._dictionary(tenant), prefix, limit=limit)

    async def statistics(self, tenant: TenantId | None = None) -> IndexStatistics:
        generation, positions = self.generation, self._opened_positions()
        await positions.refresh()
        return await statistics_of(
            self._connection, generation, tenant, identity=self.identity, positions=positions.all
        )

    async def listing(self) -> ClusterListing:
        return self._listing()

    async def held(self, keys: Sequence[MemoryKey]) -> Sequence[Held]:
        return await self._listing().now(keys)

    async def damages(self) -> Sequence[Damage]:
        return ()

    async def stage(self, *, space: Space | None = None) -> ClusterIndex:
        """As SearchIndex.stage; for vectors of another space where one is given."""
        await self._drop_staged()
        staged = self._another(space or self.space)
        await staged.open_on(await self._catalogue.new(staged.identity))
        self._staged = staged
        return staged

    async def adopt(self, staged: SearchIndex) -> None:
        if not isinstance(staged, ClusterIndex) or staged is not self._staged:
            raise unavailable("that index was not staged here, or another one was staged after it")
        async with self._lane:
            await self._catalogue.switch(staged.generation)
            self.identity = staged.identity
            await self._use(staged.generation)
            self._staged = None
        await staged.close()

    @property
    def name(self) -> str:
        return self.generation.name

    async def generations(self) -> Sequence[GenerationStatus]:
        return await self._generations.all(self.identity)

    async def relatives(self) -> Mapping[str, Sequence[GenerationStatus]]:
        return await self._generations.relatives(self.identity)

    async def forget_relative(self, name: str) -> None:
        await self._catalogue.forget(name)

    async def beside(self, name: str) -> ClusterIndex:
        if self._staged is not None and self._staged.name == name:
            return self._staged
        generation = await self._generations.beside(name, self.identity)
        await self._let_go_of_staged()
        staged = self._another(self.space)
        await staged.open_on(generation)
        self._staged = staged
        return staged

    async def note(self, name: str, notes: Mapping[str, JsonValue]) -> None:
        await self._generations.note(name, notes)

    async def discard(self, name: str) -> None:
        await self._generations.discard(name)
        if self._staged is not None and self._staged.name == name:
            await self._let_go_of_staged()

    async def close(self) -> None:
        """Let go of the connections. An index that was staged and not adopted is swept away later."""
        await self._let_go_of_staged()
        self._generation = self._positions = self._builder = None
        await self._connection.close()

    async def open_on(self, generation: Generation) -> None:
        """Open this generation, which is not live, with everything that was written to it."""
        await self._use(generation)
        await self._show()

    async def _use(self, generation: Generation) -> None:
        self._positions = await Positions.read(self._connection, generation)
        self._builder = QueryBuilder(
            self._dialect,
            texts_of(generation.analysis),
            candidates=self._options.candidates,
            timeout_s=self._options.access.search_timeout_s,
        )
        self._generation = generation

    async def _moved(self) -> bool:
        """After a failed write: whether the index that was opened is the live one no more.

        Nothing more is written then until it was opened again: what is live now may be anywhere in the feed.
        """
        if not self._live or self._generation is None:
            return False
        try:
            live = await self._catalogue.current(self.identity)
        except IndexUnavailable:
            return False
        self._stale = live is None or live.name != self._generation.name
        return self._stale

    async def _show(self) -> None:
        """Make what was written visible to searches: once for a batch, however many documents it has."""
        indices = ",".join(self.generation.indices)
        await self._connection.send("POST", f"/{indices}/_refresh")

    async def _ask(
        self, tenant: TenantId, bodies: Mapping[str, Body], same: str | None = None
    ) -> dict[str, Any]:
        generation = self.generation
        index = generation.index_of(tenant)
        if self._live:
            # The alias: another process may make another index the live one at any moment.
            index = generation.aliases()[index]
        same = copy_for(tenant) if same is None else same
        head = orjson.dumps({"index": index, "routing": tenant, "preference": same})
        lines = [line for body in bodies.values() for line in (head, orjson.dumps(body))]
        reply = await self._connection.send_lines("/_msearch", lines, searching=True)
        return dict(zip(bodies, reply.body["responses"], strict=True))

    def _listing(self) -> ClusterListing:
        return ClusterListing(self._connection, lambda: self.generation)

    def _dictionary(self, tenant: TenantId) -> ClusterDictionary:
        counting = self._asking().count(within(tenant, EVERYTHING))
        texts = texts_of(self.generation.analysis)
        return ClusterDictionary(partial(self._ask_one, tenant), counting, texts)

    async def _ask_one(self, tenant: TenantId, body: Body) -> Any:
        answer = (await self._ask(tenant, {"one": body}))["one"]
        if "error" in answer:
            raise search_failed(answer)
        return answer

    def _items(self, actions: Sequence[Action], ticket: int) -> list[Item]:
        """One write for each memory: the last action on it counts."""
        generation = self.generation
        texts = texts_of(generation.analysis)
        items: dict[str, Item] = {}
        for action in actions:
            tenant = action.memory.tenant if isinstance(action, Upsert) else action.tenant
            memory_id = action.memory.id if isinstance(action, Upsert) else action.memory_id
            alias = generation.written_by(generation.index_of(tenant))
            name = document_id(tenant, memory_id)
            items[name] = (
                writing(alias, name, tenant, ticket, document_of(action, texts))
                if isinstance(action, Upsert)
                else deleting(alias, name, tenant, ticket)
            )
        return list(items.values())

    def _check(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if (
                isinstance(action, Upsert)
                and isinstance(action.vector, Embedded)
                and action.vector.space != self.space
            ):
                raise SpaceMismatch(expected=self.space.name, actual=action.vector.space.name)

    def _another(self, space: Space) -> ClusterIndex:
        """An engine for a generation beside this one's, not open."""
        return ClusterIndex(
            self._kind, epoch=self.identity.epoch, space=space, options=self._options, clock=self._clock
        )

    async def _let_go_of_staged(self) -> None:
        """Close the staged one; its generation stays."""
        staged, self._staged = self._staged, None
        if staged is not None:
            await staged.close()

    async def _drop_staged(self) -> None:
        staged, self._staged = self._staged, None
        if staged is not None:
            await self._catalogue.drop(staged.generation)
            await staged.close()

    def _opened_positions(self) -> Positions:
        if self._positions is None:
            raise unavailable("its index is not open")
        return self._positions

    def _asking(self) -> QueryBuilder:
        if self._builder is None:
            raise unavailable("its index is not open")
        return self._builder
