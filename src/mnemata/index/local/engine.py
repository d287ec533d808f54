"""The local engine: tantivy and FAISS in this process, an index that needs no server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mnemata.domain.change import Position
from mnemata.domain.clock import Clock, SystemClock
from mnemata.domain.errors import IndexUnavailable, MnemataError, SpaceMismatch
from mnemata.domain.facet import Facet, FacetRequest
from mnemata.domain.filter import Filter
from mnemata.domain.fragment import FRAGMENTS, Fragment, FragmentShape
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import JsonValue
from mnemata.domain.query import Leg, Words
from mnemata.domain.suggestion import Completion, Correction, Spelling
from mnemata.domain.vector import Space
from mnemata.index.local import suggesting
from mnemata.index.local.dictionary import LocalDictionary, TenantDictionary
from mnemata.index.local.facets import nothing_counted
from mnemata.index.local.folders import Folders
from mnemata.index.local.generation import GenerationClosed, IndexGeneration
from mnemata.index.local.generations import statuses_of
from mnemata.index.local.highlighting import highlighted
from mnemata.index.local.keeper import Keeper
from mnemata.index.local.listing import LocalListing, damages_of, held_now
from mnemata.index.local.manifest import Identity
from mnemata.index.local.options import LocalOptions
from mnemata.index.local.partition import Partition
from mnemata.index.local.statistics import of_generation
from mnemata.index.marks import Held, Listing, MemoryKey
from mnemata.index.protocol import (
    Action,
    Damage,
    GenerationStatus,
    IndexQuery,
    IndexStatistics,
    Legs,
    SearchIndex,
    Vector,
)
from mnemata.observability.logging import get_logger

log = get_logger("index")

Answer = TypeVar("Answer")

DEFAULT_OPTIONS = LocalOptions()

_RETRY_AFTER_S = 1.0


class LocalIndex:
    """Implements `SearchIndex` on a folder of its own. One process, one event loop.

    `epoch` is the feed's; an index of another epoch, space or metric is set aside at `open`.
    """

    def __init__(
        self,
        root: Path,
        *,
        epoch: str,
        space: Space,
        options: LocalOptions = DEFAULT_OPTIONS,
        clock: Clock | None = None,
    ) -> None:
        self._root = root
        self._clock = clock or SystemClock()
        self._identity = Identity(epoch=epoch, space=space, metric=options.metric)
        self._options = options
        self._folders = Folders(root, options=options, clock=self._clock)
        self._searching = ThreadPoolExecutor(options.threads, thread_name_prefix="index-search")
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="index-search-beside")
        self._searches = 0
        # Writes have a lane of their own: they wait for no search.
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="index-write")
        self._generation: IndexGeneration | None = None
        self._staged: LocalIndex | None = None
        # One that is staged leaves it to the live one to look after the folder.
        self._holds_pointer = True
        self._lane = asyncio.Lock()
        self._keeper = Keeper(self._opened, options=options)

    @property
    def space(self) -> Space:
        return self._identity.space

    @property
    def epoch(self) -> str:
        return self._identity.epoch

    @property
    def partitions(self) -> int:
        return 1

    @property
    def positions(self) -> tuple[Position, ...]:
        """What searches see at the moment. Raises IndexUnavailable while it is not open."""
        return (self._opened().position,)

    async def open(self) -> tuple[Position, ...]:
        self._generation = await self._run(self._writing, lambda: self._folders.open_current(self._identity))
        self._keeper.start()
        return self.positions

    async def begin_anew(self, epoch: str) -> None:
        """Go on with an empty generation, of another epoch. What was staged is dropped; what was live is kept as by `adopt`."""
        await self._drop_staged()
        async with self._lane:
            old, identity = self._opened(), replace(self._identity, epoch=epoch)
            new = await asyncio.to_thread(self._folders.new_generation, identity)
            await asyncio.to_thread(self._switch_to, new)
            self._generation, self._identity = new, identity
        await asyncio.to_thread(self._leave, old)
        log.warning("index_begun_anew", generation=new.folder.name, before=old.folder.name, epoch=epoch)

    async def apply(
        self, actions: Sequence[Action], *, position: Position, partition: int | None = None, ticket: int = 0
    ) -> None:
        """As SearchIndex.apply. One process writes, one batch after the other: no ticket is needed to order them."""
        del partition, ticket
        async with self._lane:
            full = await self._run(self._writing, lambda: self._opened().apply(actions, position=position))
        self._keeper.came(len(actions))
        if full:
            self._keeper.wake()

    async def flush(self) -> None:
        """As SearchIndex.flush. Generations that were kept for long enough are deleted."""
        await asyncio.to_thread(self._newest, IndexGeneration.save)
        if self._folders.keeps and self._holds_pointer:
            await asyncio.to_thread(self._folders.sweep, in_use=tuple(self._generations_open()))

    async def search(self, query: IndexQuery) -> Legs:
        if query.vector is not None and query.vector.shape != (self.space.dimensions,):
            raise SpaceMismatch(expected=self.space.name, actual=f"{query.vector.shape[-1]} dimensions")
        # A second thread for one search is well spent where no other search waits for a core.
        beside = self._beside if self._searches == 0 else None
        self._searches += 1
        try:
            return await self._ask(query.tenant, lambda partition: partition.search(query, beside), Legs())
        finally:
            self._searches -= 1

    async def vectors(self, tenant: TenantId, ids: Sequence[MemoryId]) -> Mapping[MemoryId, Vector]:
        nothing: Mapping[MemoryId, Vector] = {}
        return await self._ask(tenant, lambda partition: partition.vectors_of(ids), nothing)

    async def matching(self, tenant: TenantId, condition: Filter, *, leg: str) -> frozenset[MemoryId]:
        nothing: frozenset[MemoryId] = frozenset()
        return await self._ask(tenant, lambda partition: partition.matching(condition, Leg(leg)), nothing)

    async def facets(self, query: IndexQuery, requests: Sequence[FacetRequest]) -> Sequence[Facet]:
        nothing = nothing_counted(requests)
        return await self._ask(query.tenant, lambda partition: partition.facets(query, requests), nothing)

    async def highlight(
        self, words: Words, texts: Sequence[str], *, shape: FragmentShape = FRAGMENTS
    ) -> Sequence[tuple[Fragment, ...]]:
        return await self._run(self._searching, lambda: highlighted(words, texts, shape))

    async def spellings(self, tenant: TenantId, text: str, *, limit: int = 5) -> Sequence[Spelling]:
        return await suggesting.spellings(self._dictionary(tenant), text, limit=limit)

    async def correction(self, tenant: TenantId, text: str) -> Correction | None:
        return await suggesting.correction(self._dictionary(tenant), text)

    async def completions(self, tenant: TenantId, prefix: str, *, limit: int = 10) -> Sequence[Completion]:
        return await suggesting.completions(self._dictionary(tenant), prefix, limit=limit)

    async def statistics(self, tenant: TenantId | None = None) -> IndexStatistics:
        return await asyncio.to_thread(lambda: of_generation(self._opened(), tenant))

    async def listing(self) -> Listing:
        return await asyncio.to_thread(self._newest, LocalListing.of)

    async def held(self, keys: Sequence[MemoryKey]) -> Sequence[Held]:
        return await asyncio.to_thread(self._newest, lambda generation: held_now(generation, keys))

    async def damages(self) -> Sequence[Damage]:
        return await asyncio.to_thread(self._newest, damages_of)

    async def stage(self, *, space: Space | None = None) -> LocalIndex:
        """As SearchIndex.stage; for vectors of another space where one is given."""
        await self._drop_staged()
        identity = replace(self._identity, space=space or self.space)
        staged = self._another(identity.space)
        await staged.begin_with(lambda: self._folders.new_generation(identity))
        self._staged = staged
        return staged

    async def adopt(self, staged: SearchIndex) -> None:
        if not isinstance(staged, LocalIndex) or staged is not self._staged:
            reason = "it was not staged here, or another one was staged after it"
            raise IndexUnavailable(what="the staged index", reason=reason, retry_after_s=_RETRY_AFTER_S)
        await staged.flush()
        async with self._lane:
            old, self._staged = self._opened(), None
            new = await staged.hand_over()
            await asyncio.to_thread(self._switch_to, new)
            self._generation, self._identity = new, new.identity
        await asyncio.to_thread(self._leave, old)
        log.info("index_adopted", generation=new.folder.name, position=str(new.position))

    @property
    def name(self) -> str:
        return self._opened().folder.name

    async def generations(self) -> Sequence[GenerationStatus]:
        opened, live = self._generations_open(), self._opened().folder
        return await asyncio.to_thread(lambda: statuses_of(self._folders, self._identity, opened, live=live))

    async def relatives(self) -> Mapping[str, Sequence[GenerationStatus]]:
        return {}

    async def forget_relative(self, name: str) -> None:
        """There is none."""

    async def beside(self, name: str) -> LocalIndex:
        if self._staged is not None and self._staged.name == name:
            return self._staged
        staged = self._another(self.space)
        await staged.begin_with(lambda: self._folders.open_beside(name, self._identity))
        await self._let_go_of_staged()
        self._staged = staged
        return staged

    async def note(self, name: str, notes: Mapping[str, JsonValue]) -> None:
        await asyncio.to_thread(self._folders.note, name, notes)

    async def discard(self, name: str) -> None:
        if self._staged is not None and self._staged.name == name:
            await self._drop_staged()
        else:
            await asyncio.to_thread(self._folders.discard, name)

    async def hand_over(self) -> IndexGeneration:
        """Stop everything and give the generation away: this index is closed then."""
        await self._keeper.stop()
        async with self._lane:
            generation, self._generation = self._opened(), None
        for pool in (self._writing, self._searching, self._beside):
            await asyncio.to_thread(pool.shutdown)
        return generation

    async def close(self) -> None:
        if self._folders.keeps:
            await self._let_go_of_staged()
        else:
            await self._drop_staged()
        if self._generation is not None:
            generation = await self.hand_over()
            await asyncio.to_thread(_save_and_close, generation)

    def _dictionary(self, tenant: TenantId) -> TenantDictionary:
        async def ask(question: Callable[[LocalDictionary], Answer], nothing: Answer) -> Answer:
            return await self._ask(tenant, lambda partition: partition.ask_dictionary(question), nothing)

        return TenantDictionary(ask)

    async def _ask(
        self, tenant: TenantId, question: Callable[[Partition], Answer], nothing: Answer
    ) -> Answer:
        """Ask the tenant's partition, in a thread that searches; `nothing` where the tenant has none."""

        def ask(generation: IndexGeneration) -> Answer:
            with generation.using(tenant) as partition:
                return nothing if partition is None else question(partition)

        return await self._run(self._searching, lambda: self._newest(ask))

    def _newest(self, ask: Callable[[IndexGeneration], Answer]) -> Answer:
        """Ask the generation in use; again, where another was adopted in this very moment."""
        while True:
            generation = self._opened()
            try:
                return ask(generation)
            except GenerationClosed:
                if self._generation is generation:
                    raise _not_open() from None

    def _switch_to(self, new: IndexGeneration) -> None:
        try:
            self._folders.point_to(new)
        except BaseException:
            new.drop()
            raise

    def _leave(self, old: IndexGeneration) -> None:
        """Another generation is in use: keep the old one for a while, or drop it."""
        if not self._folders.keeps:
            old.drop()
            return
        _save_and_close(old)
        try:
            self._folders.retire(old.folder)
        except MnemataError as error:
            # The other one is live, whatever becomes of this note.
            log.warning("index_not_retired", error=error.code, exc_info=True)

    def _another(self, space: Space) -> LocalIndex:
        """An engine for a generation beside this one's, not open."""
        another = LocalIndex(
            self._root, epoch=self._identity.epoch, space=space, options=self._options, clock=self._clock
        )
        another._holds_pointer = False
        return another

    @property
    def generation(self) -> IndexGeneration | None:
        """What is open."""
        return self._generation

    async def begin_with(self, generation: Callable[[], IndexGeneration]) -> None:
        """Open a generation that is not live."""
        self._generation = await asyncio.to_thread(generation)
        self._keeper.start()

    def _generations_open(self) -> dict[Path, IndexGeneration]:
        opened = (self._generation, None if self._staged is None else self._staged.generation)
        return {one.folder: one for one in opened if one is not None}

    async def _let_go_of_staged(self) -> None:
        """Save and close the staged one; its generation stays."""
        staged, self._staged = self._staged, None
        if staged is not None:
            await staged.close()

    async def _drop_staged(self) -> None:
        staged, self._staged = self._staged, None
        if staged is not None:
            generation = await staged.hand_over()
            await asyncio.to_thread(generation.drop)

    def _opened(self) -> IndexGeneration:
        if self._generation is None:
            raise _not_open()
        return self._generation

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, call)
        except RuntimeError as error:
            if self._generation is None:
                raise _not_open() from error
            raise


def _save_and_close(generation: IndexGeneration) -> None:
    try:
        generation.save()
    except MnemataError as error:
        # Closing must not fail: what is not on disk is in the feed.
        log.warning("index_not_saved", error=error.code, exc_info=True)
    finally:
        generation.close()


def _not_open() -> IndexUnavailable:
    return IndexUnavailable(what="the search index", reason="it is not open", retry_after_s=_RETRY_AFTER_S)
