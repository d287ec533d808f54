"""The indexer: change feed to index, in order, in batches, for ever.

Catching up, replay after a crash and rebuilding are the same loop from another position. A change that cannot be applied
is set aside and never stops the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from mnemata.cache.publisher import Publisher
from mnemata.domain.change import START, Change, Position
from mnemata.domain.clock import Clock
from mnemata.domain.errors import IndexMoved, MnemataError
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory, Operation
from mnemata.domain.query import Neighbours
from mnemata.index.protocol import Action, Remove, SearchIndex
from mnemata.observability.logging import get_logger
from mnemata.observability.metrics import Metrics
from mnemata.services.barrier import IndexBarrier, Pauses
from mnemata.services.just_written import JustWritten
from mnemata.services.projection import project
from mnemata.store.database import Database
from mnemata.workers.lasting import lasting
from mnemata.workers.turns import Turns
from mnemata.workers.vectors import VectorSource

log = get_logger("workers")

Item = TypeVar("Item")

Marks: TypeAlias = Callable[[Sequence[Change]], Mapping[int | None, Position]]
"""Where some changes bring each partition, or all of them (None)."""

_BACKOFF_S = (0.1, 0.25, 0.5, 1.0, 2.0)
_LONG_EMBEDDING_S = 0.4
_SHORT_EMBEDDING_S = 0.15
_SMALLEST_BATCH = 32
# The store tells changes apart by this many, whatever the index does.
_EVERY = range(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexerOptions:
    """`batch_size` in changes at most, `poll_interval_s` in seconds."""

    batch_size: int = 1_000
    poll_interval_s: float = 1.0


class Indexer:
    """Feeds one live index. One task runs `run`; a rebuild borrows `fill` for the index beside it."""

    def __init__(
        self,
        database: Database,
        index: SearchIndex,
        vectors: VectorSource,
        barrier: IndexBarrier,
        *,
        written: JustWritten,
        caught_up: asyncio.Event,
        metrics: Metrics,
        clock: Clock,
        options: IndexerOptions,
        publisher: Publisher | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._index = index
        self._vectors = vectors
        self._barrier = barrier
        self._written = written
        self._metrics = metrics
        self._clock = clock
        self._options = options
        self._failures = 0
        self._batch = options.batch_size
        self._embedding_s = vectors.embedding_s
        self._turns = Turns(database)
        self.caught_up = caught_up
        """Set once the index has reached the head of the feed; before that, answers come from the store."""
        self.turn = asyncio.Lock()
        """Held while a batch is applied: who switches the index waits for it."""

    async def run(self, position: Position) -> None:
        """Follow the feed from the position until cancelled. Raises IndexMoved where the index must be opened again."""
        if self._publisher is not None:
            self._publisher.resume(position)
        self._barrier.start_from(position)
        self._turns.begin_again()
        pauses = Pauses(self._barrier, self._options.poll_interval_s)
        while True:
            try:
                busy = await self.step()
                self._failures = 0
            except IndexMoved:
                # What is live now may be anywhere in the feed: until it has caught up, the store answers, and writers wait.
                self.caught_up.clear()
                self._barrier.start_from(START)
                await self.leave_epoch()
                raise
            except MnemataError as error:
                self._turns.begin_again()
                await self._back_off(error)
                continue
            if busy:
                pauses.found()
            else:
                await pauses.rest()

    async def step(self) -> bool:
        """Apply the next batch of the feed to the live index; False where there was nothing to apply."""
        size = self._turns.of_the_line(self._batch)
        async with self.turn:
            changes = await self._read(self._barrier.position, limit=size)
            if changes:
                await self._show(changes, size)
        await self.settle(len(changes), size)
        if len(changes) < size:
            self.caught_up.set()
        return bool(changes)

    async def _show(self, changes: Sequence[Change], size: int) -> None:
        """Apply changes, and let those hear of it who wait for them."""
        reached = changes[-1].position
        ahead = await self._ahead(reached) if len(changes) == size else []
        await self.apply(self._index, [*changes, *ahead], marks=_up_to(reached))
        await self._publish([*changes, *ahead], reached)
        if len(changes) < size:
            # First: whoever hears that his memory is found and looks for it is to be answered by the index.
            self.caught_up.set()
        self._barrier.advance(reached)
        self._barrier.ahead([change.position for change in ahead])
        self._metrics.index_ahead.inc(len(ahead))

    async def _ahead(self, reached: Position) -> list[Change]:
        """Turns of those with few changes; none while the index catches up, for nobody waits for what it shows."""
        return await self._turns.ahead(reached, _EVERY) if self.caught_up.is_set() else []

    async def apply(self, index: SearchIndex, changes: Sequence[Change], *, marks: Marks) -> None:
        """Apply a batch; where that fails for good, its halves, and so on: a change that fails alone is set aside.

        What may pass by itself sets nothing aside: it is raised.
        """
        try:
            await self._apply_together(index, changes, marks)
        except Exception as error:  # noqa: BLE001 (a worker loop: whatever one memory does, the others go on)
            code = lasting(error)
        else:
            return
        if len(changes) > 1:
            for half in _halves(changes):
                await self.apply(index, half, marks=marks)
            return
        await self._set_aside(changes[0], code)
        await _write(index, [], marks(changes))

    @property
    def batch(self) -> int:
        """How many changes the next batch may have."""
        return self._batch

    async def settle(self, applied: int, limit: int) -> None:
        """After a batch: bring new vectors into the store, and choose the size of the next batch."""
        await self._vectors.keep()
        embedding_s = self._vectors.embedding_s - self._embedding_s
        self._embedding_s = self._vectors.embedding_s
        if applied >= limit:
            self._fit(embedding_s)

    async def fill(self, index: SearchIndex, ids: Sequence[MemoryId], *, position: Position) -> None:
        """Put memories as they are now into an index that is being built beside the live one.

        Those that it cannot take are set aside.
        """
        try:
            await self._fill_together(index, ids, position=position)
        except Exception as error:  # noqa: BLE001 (as in `apply`)
            code = lasting(error)
        else:
            return
        if len(ids) > 1:
            for half in _halves(ids):
                await self.fill(index, half, position=position)
            return
        await self._set_aside_unfilled(ids[0], code, position)

    async def _set_aside_unfilled(self, memory_id: MemoryId, code: str, position: Position) -> None:
        async with self._database.platform() as transaction:
            documents = await transaction.documents([memory_id])
        for memory, _ in documents:
            change = Change(
                position=position,
                tenant=memory.tenant,
                memory_id=memory.id,
                version=memory.version,
                operation=Operation.EMBEDDED,
                recorded_at=self._clock.now(),
            )
            await self._set_aside(change, code)

    async def _fill_together(
        self, index: SearchIndex, ids: Sequence[MemoryId], *, position: Position
    ) -> None:
        async with self._database.platform() as transaction:
            ticket = await transaction.feed.ticket()
            documents = await transaction.documents(ids, known=self._written.memory)
        actions = await self._actions(documents, embed=set(ids))
        await index.apply(actions, position=position, ticket=ticket)
        await self._vectors.keep()

    async def projected(self, ids: Sequence[MemoryId]) -> list[Action]:
        """What an index should be told of those of the memories that are there, by what the store has now. Embeds nothing."""
        async with self._database.platform() as transaction:
            documents = await transaction.documents(ids)
        return await self._actions(documents, embed=set())

    async def switched(self, position: Position) -> None:
        """Another index is live, at this position: nothing that the cache holds is of it. The caller holds `turn`."""
        if self._publisher is not None:
            whole = self._index.partitions == 1
            await self._publisher.switched({0: position} if whole else {})
        self._barrier.advance(position)

    async def leave_epoch(self) -> None:
        """The store's history may be another one: nothing is kept or cached that may be of what was lost."""
        self._written.forget()
        if self._publisher is not None:
            await self._publisher.switched({})

    async def brought_up(self) -> None:
        """What others wrote came into the live index only after the switch: nothing that was found before stays cached."""
        if self._publisher is not None:
            await self._publisher.switched({})

    async def _publish(self, changes: Sequence[Change], position: Position) -> None:
        """Before writers are released: no answer of before their writes may be read after them."""
        if self._publisher is not None:
            await self._publisher.publish(changes, position=position)

    async def _read(self, after: Position, *, limit: int) -> Sequence[Change]:
        async with self._database.platform(single=True) as transaction:
            return await transaction.feed.read(after, limit=limit, epoch=self._index.epoch)

    def _fit(self, embedding_s: float) -> None:
        """Make the next batch smaller where texts must be embedded, larger where their vectors are there.

        Those who wait are released a batch at a time: a long batch would let a single write wait for a thousand others.
        Only the model's time counts, which grows with every text. The rest of a step costs nearly the same for few changes
        as for many (a transaction, a refresh of the cluster): smaller batches would make more such steps, and where each is
        slow already, the index would fall behind for good.
        """
        if embedding_s > _LONG_EMBEDDING_S:
            self._batch = max(self._batch // 2, _SMALLEST_BATCH)
        elif embedding_s < _SHORT_EMBEDDING_S:
            self._batch = min(self._batch * 2, self._options.batch_size)

    async def _apply_together(self, index: SearchIndex, changes: Sequence[Change], marks: Marks) -> None:
        changed = list(dict.fromkeys(change.memory_id for change in changes))
        async with self._database.platform() as transaction:
            ticket = await transaction.feed.ticket()
            documents = await transaction.documents_around(changed, known=self._written.memory)
        actions = _removals(changes, documents) + await self._actions(documents, embed=set(changed))
        await _write(index, actions, marks(changes), ticket=ticket)
        self._metrics.index_changes.inc(len(changes))

    async def _actions(
        self, documents: Sequence[tuple[Memory, Neighbours]], *, embed: set[MemoryId]
    ) -> list[Action]:
        wanted: list[Memory] = []
        for memory, neighbours in documents:
            wanted += [near for near in (memory, neighbours.previous, neighbours.next) if near is not None]
        to_embed = [memory for memory, _ in documents if memory.id in embed and memory.deleted_at is None]
        vectors = await self._vectors.of(wanted, embed=to_embed)
        return [
            project(memory, neighbours, vectors, space=self._vectors.space)
            for memory, neighbours in documents
        ]

    async def _set_aside(self, change: Change, code: str) -> None:
        log.error(
            "change_set_aside", memory_id=str(change.memory_id), position=str(change.position), code=code
        )
        self._metrics.index_poison.inc()
        async with self._database.platform() as transaction:
            await transaction.poison.record(change, code=code, now=self._clock.now())

    async def _back_off(self, error: MnemataError) -> None:
        wait_s = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
        self._failures += 1
        log.warning("indexer_waits", code=error.code, failures=self._failures, wait_s=wait_s)
        await asyncio.sleep(wait_s)


def _halves(whole: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    middle = len(whole) // 2
    return whole[:middle], whole[middle:]


def whole(changes: Sequence[Change]) -> Mapping[int | None, Position]:
    """Where the changes bring an index that follows the whole feed."""
    return {None: changes[-1].position}


def _up_to(position: Position) -> Marks:
    """As `whole`, of changes some of which are ahead of their place, behind the position."""
    return lambda changes: {None: min(changes[-1].position, position)}


async def _write(
    index: SearchIndex, actions: Sequence[Action], marks: Mapping[int | None, Position], *, ticket: int = 0
) -> None:
    """All actions at once with one partition's position; when they are in, the positions of the others."""
    (partition, position), *others = marks.items()
    await index.apply(actions, position=position, partition=partition, ticket=ticket)
    moved = await asyncio.gather(
        *(index.apply([], position=mark, partition=other) for other, mark in others), return_exceptions=True
    )
    for outcome in moved:
        if isinstance(outcome, BaseException):
            raise outcome


def _removals(changes: Sequence[Change], documents: Sequence[tuple[Memory, Neighbours]]) -> list[Action]:
    """Purged memories have left the store: the index is told by their change rows alone."""
    there = {memory.id for memory, _ in documents}
    return [
        Remove(tenant=change.tenant, memory_id=change.memory_id)
        for change in changes
        if change.memory_id not in there or change.operation is Operation.PURGED
    ]
