"""Store memories: durable when this returns, and found by the next search unless the caller does not want to wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import InvalidField, MnemataError, SpaceMismatch, TooLarge
from mnemata.domain.ids import IdFactory, MemoryId
from mnemata.domain.memory import GivenVector, Memory, MemoryDraft, Operation
from mnemata.domain.revision import next_version
from mnemata.domain.rules import MAX_BATCH, new_memory
from mnemata.domain.scope import Role, Scope
from mnemata.domain.vector import Space
from mnemata.observability.metrics import Metrics
from mnemata.services.directions import direction
from mnemata.services.embedding_ahead import EmbeddingAhead
from mnemata.services.findable import Findable
from mnemata.services.just_written import JustWritten, Written
from mnemata.services.outcome import Once, Remembered, WaitFor
from mnemata.services.replay import Replays
from mnemata.store.database import Database, TenantTransaction


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """A draft on its way: `index` is its place in the batch, `vector` what was brought, of unit length."""

    index: int
    draft: MemoryDraft
    memory: Memory
    vector: NDArray[np.float32] | None


class Remember:
    def __init__(
        self,
        database: Database,
        findable: Findable,
        written: JustWritten,
        ahead: EmbeddingAhead,
        *,
        space: Space,
        clock: Clock,
        ids: IdFactory,
        metrics: Metrics,
        idempotency_s: float,
    ) -> None:
        self._database = database
        self._findable = findable
        self._written = written
        self._ahead = ahead
        self._space = space
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._replays = Replays(clock=clock, keep_s=idempotency_s)

    async def one(
        self,
        scope: Scope,
        draft: MemoryDraft,
        *,
        wait_for: WaitFor = WaitFor.INDEX,
        once: Once | None = None,
    ) -> Remembered:
        """The stored memory. An `external_id` that is known makes it a new version of that memory.

        Raises InvalidField, SpaceMismatch, IdempotencyConflict, StoreUnavailable and its like.
        """
        (result,) = await self.many(scope, [draft], wait_for=wait_for, once=once)
        if isinstance(result, MnemataError):
            raise result
        return result

    async def many(
        self,
        scope: Scope,
        drafts: Sequence[MemoryDraft | MnemataError],
        *,
        wait_for: WaitFor = WaitFor.INDEX,
        once: Once | None = None,
    ) -> list[Remembered | MnemataError]:
        """One result per draft, in order, all good ones stored in one transaction; a bad one never loses the others."""
        scope.require(Role.WRITER)
        if len(drafts) > MAX_BATCH:
            raise TooLarge(field="items", limit=MAX_BATCH, unit="memories", actual=len(drafts))
        results: dict[int, Remembered | MnemataError] = {}
        items = self._prepare(scope, drafts, results)
        positions: dict[MemoryId, Position] = {}
        written: list[Written] = []
        async with self._database.tenant(scope) as transaction:
            replayed = await self._replays.claim(transaction, once)
            if replayed is not None:
                # What is not in it was refused then. What is refused only now, its time being over, was stored.
                refused = {item.index: unknown_successor() for item in items}
                results |= {**refused, **replayed.results}
                # The first request may be waiting for them still.
                positions |= replayed.positions
            else:
                items = await without_lost_successors(transaction, items, results)
                positions = await self._store(transaction, items, results)
                vectors = await self._keep_vectors(transaction, items)
                written = await self._begin_embedding(transaction, _written(results, vectors))
                await self._replays.keep(
                    transaction, once, {item.index: results[item.index] for item in items}, positions
                )
        self._written.note(written)
        ids = [item.memory.id for item in results.values() if isinstance(item, Remembered)]
        indexed = await self._findable.after(positions, wait_for, tenant=scope.tenant, ids=ids)
        return [_with_indexed(results[index], indexed=indexed) for index in range(len(drafts))]

    def _prepare(
        self,
        scope: Scope,
        drafts: Sequence[MemoryDraft | MnemataError],
        results: dict[int, Remembered | MnemataError],
    ) -> list[_Item]:
        """The drafts that can be stored, as version 1; the errors of the others go into `results`."""
        now = self._clock.now()
        first_use: dict[str, int] = {}
        items: list[_Item] = []
        for index, draft in enumerate(drafts):
            if isinstance(draft, MnemataError):
                results[index] = draft
                continue
            try:
                vector = None if draft.embedding is None else self._direction(draft.embedding)
                _refuse_second_use(draft, index, first_use)
            except MnemataError as error:
                results[index] = error
                continue
            memory = new_memory(draft, memory_id=self._ids.new(), tenant=scope.tenant, now=now)
            items.append(_Item(index=index, draft=draft, memory=memory, vector=vector))
        return items

    def _direction(self, given: GivenVector) -> NDArray[np.float32]:
        """(d,) float32 of unit length. Raises SpaceMismatch, and InvalidField for a vector without a direction."""
        if given.space != self._space.name or len(given.values) != self._space.dimensions:
            raise SpaceMismatch(
                expected=f"{self._space.name} ({self._space.dimensions} dimensions)",
                actual=f"{given.space} ({len(given.values)} dimensions)",
            )
        found = direction(given)
        if found is None:
            raise InvalidField(
                field="embedding.values",
                reason="has no direction: it is zero or not finite",
                remedy="Send finite numbers that are not all zero",
            )
        return found

    async def _store(
        self,
        transaction: TenantTransaction,
        items: list[_Item],
        results: dict[int, Remembered | MnemataError],
    ) -> dict[MemoryId, Position]:
        """Insert what is new, and make new versions of what is known."""
        positions: dict[MemoryId, Position] = {}
        # More than once only where others, in between, took an external_id away from its memory or purged it.
        while items:
            inserted = await transaction.memories.insert(
                [item.memory for item in items], operation=Operation.CREATED
            )
            self._metrics.writes.labels(Operation.CREATED.value).inc(len(inserted))
            known: list[_Item] = []
            for item in items:
                if item.memory.id in inserted:
                    results[item.index] = Remembered(memory=item.memory, created=True)
                else:
                    known.append(item)
            replaced, items = await self._store_again(transaction, known, results)
            positions |= {**inserted, **replaced}
        return positions

    async def _store_again(
        self,
        transaction: TenantTransaction,
        items: list[_Item],
        results: dict[int, Remembered | MnemataError],
    ) -> tuple[dict[MemoryId, Position], list[_Item]]:
        """Upsert: each item's `external_id` is in use, so that memory gets a new version where anything differs.

        Also gives the items whose `external_id` is free again by now.
        """
        if not items:
            return {}, []
        now = self._clock.now()
        names = [item.memory.external_id for item in items if item.memory.external_id is not None]
        current = await transaction.memories.by_external_ids(names, lock=True)
        successors: list[Memory] = []
        for item in items:
            before = current.get(item.memory.external_id or "")
            if before is None:
                continue
            if item.draft.superseded_by == before.id:
                results[item.index] = own_successor()
                continue
            after = next_version(before, item.draft, now=now)
            results[item.index] = Remembered(
                memory=before if after is None else after, created=False, changed=after is not None
            )
            if after is not None:
                successors.append(after)
        positions = await transaction.memories.replace(successors, operation=Operation.UPDATED)
        self._metrics.writes.labels(Operation.UPDATED.value).inc(len(successors))
        freed = [item for item in items if item.index not in results]
        return dict(zip((memory.id for memory in successors), positions, strict=True)), freed

    async def _keep_vectors(
        self, transaction: TenantTransaction, items: list[_Item]
    ) -> dict[int, NDArray[np.float32]]:
        """Keep the vectors that were brought; by item those that the store has taken, where none was there before."""
        keys = {item.index: item.memory.embedding_key for item in items if item.vector is not None}
        if not keys:
            return {}
        vectors = {keys[item.index]: item.vector for item in items if item.vector is not None}
        taken = await transaction.embeddings.put(self._space, vectors)
        return {index: vectors[key] for index, key in keys.items() if key in taken}

    async def _begin_embedding(self, transaction: TenantTransaction, written: list[Written]) -> list[Written]:
        """Let the model begin with what has no vector, before the commit; with the vectors that are there already."""
        wanting = [one.memory for one in written if one.vector is None]
        if not wanting or not self._ahead.begins:
            return written
        keys = list({memory.embedding_key for memory in wanting})
        known = await transaction.embeddings.get(self._space, keys)
        self._ahead.begin([memory for memory in wanting if memory.embedding_key not in known])
        return [
            replace(one, vector=known.get(one.memory.embedding_key)) if one.vector is None else one
            for one in written
        ]


def _written(
    results: Mapping[int, Remembered | MnemataError], vectors: Mapping[int, NDArray[np.float32]]
) -> list[Written]:
    return [
        Written(memory=result.memory, vector=vectors.get(index))
        for index, result in results.items()
        if isinstance(result, Remembered) and result.changed
    ]


async def without_lost_successors(
    transaction: TenantTransaction, items: list[_Item], results: dict[int, Remembered | MnemataError]
) -> list[_Item]:
    """The items whose `superseded_by` names a memory of this tenant (or nothing); the others become errors."""
    named = {item.draft.superseded_by for item in items if item.draft.superseded_by is not None}
    if not named:
        return items
    there = await transaction.memories.get_many(list(named))
    for item in items:
        successor = item.draft.superseded_by
        if successor is not None and successor not in there:
            results[item.index] = unknown_successor()
    return [item for item in items if item.index not in results]


def own_successor() -> InvalidField:
    return InvalidField(
        field="superseded_by", reason="names the memory itself", remedy="Name the newer memory"
    )


def unknown_successor() -> InvalidField:
    return InvalidField(
        field="superseded_by",
        reason="names no memory here",
        remedy="Store the newer memory first and send its id",
    )


def _refuse_second_use(draft: MemoryDraft, index: int, first_use: dict[str, int]) -> None:
    """Raise InvalidField where an earlier item of the batch has the same `external_id`."""
    if draft.external_id is None:
        return
    first = first_use.setdefault(draft.external_id, index)
    if first != index:
        raise InvalidField(
            field="external_id",
            reason=f"is the same as in item {first} of this batch",
            remedy="Send the later one in another batch",
        )


def _with_indexed(result: Remembered | MnemataError, *, indexed: bool) -> Remembered | MnemataError:
    if isinstance(result, MnemataError) or result.indexed == indexed:
        return result
    return replace(result, indexed=indexed)
