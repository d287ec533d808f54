"""The SearchIndex protocol: what every engine does, held to it by one conformance suite.

An index is a cache of the store with positions: it stores, with its data, how far in the change feed it has come, for
each of its partitions. A memory belongs to the partition `partition_of` names; an index in one process has one
partition. Every batch may be applied twice, or replayed from any earlier position, and gives the same index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.change import Position
from mnemata.domain.facet import Facet, FacetRequest
from mnemata.domain.filter import EVERYTHING, Field, Filter, Not, Range, both
from mnemata.domain.fragment import FRAGMENTS, Fragment, FragmentShape
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import JsonValue, Memory
from mnemata.domain.query import Candidate, Mode, Words
from mnemata.domain.suggestion import Completion, Correction, Spelling
from mnemata.domain.vector import Space
from mnemata.index.marks import Held, Listing, MemoryKey, mark_of

Vector: TypeAlias = NDArray[np.float32]
"""(d,) float32, of unit length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The vector is there."""

    vector: Vector
    space: Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The vector follows: until then the memory is found by its words."""


PENDING = Pending()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsert:
    """Put this version of a memory into the index, in place of any other version.

    `before` and `after` are the neighbouring turns' texts (speaker included): with the turn itself between them they
    are the passage that one field holds.
    `vector` is what the vector leg compares; neighbours are already mixed in where they count.
    `mark`: 64 bits that stand for all of it; an index keeps them beside the memory.
    """

    memory: Memory
    vector: Embedded | Pending
    before: str = ""
    after: str = ""
    mark: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        vector = self.vector.vector if isinstance(self.vector, Embedded) else None
        mark = mark_of(self.memory, vector, before=self.before, after=self.after)
        object.__setattr__(self, "mark", mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Take a memory out of the index; harmless where it is not in it."""

    tenant: TenantId
    memory_id: MemoryId


Action: TypeAlias = "Upsert | Remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexQuery:
    """One search in one tenant. `depth`: how many candidates each leg gives at most.

    `vector` is required for the vector leg; without it (or in lexical mode) that leg is not searched.
    Superseded, deleted and expired memories: the indexer removes deleted and superseded ones; `at`: those that have
    expired by then are left out, None: only what the sweep has removed.
    """

    tenant: TenantId
    mode: Mode
    words: Words
    vector: Vector | None = None
    filter: Filter = EVERYTHING
    depth: int = 200
    count: bool = True
    at: datetime | None = None

    @property
    def condition(self) -> Filter:
        """The filter, and what `at` says besides."""
        if self.at is None:
            return self.filter
        return both(self.filter, Not(item=Range(field=Field(name="expires_at"), high=self.at)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """What the legs found, each best first, ties by memory id.

    `vector` holds, besides the nearest `depth`, the exact vector score of every lexical candidate that has a
    vector, so that fusion compares like with like. Scores: lexical is weighted BM25; vector is the
    similarity (cosine or dot; for L2, the negated squared distance). `total`: see domain.query.Answer.
    `degraded`: legs that could not be searched. `took_ms` by leg.
    """

    lexical: Sequence[Candidate] = ()
    vector: Sequence[Candidate] = ()
    total: int = 0
    degraded: tuple[str, ...] = ()
    took_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStatistics:
    """`position` is what searches see in every partition; `durable_position` is where a restart resumes.

    `positions`: what searches see, by partition.
    """

    documents: int
    vectors: int
    deleted: int
    segments: int
    bytes_on_disk: int
    position: Position
    durable_position: Position
    epoch: str
    space: Space
    positions: tuple[Position, ...] = ()
    details: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file that is missing or damaged. `tenant`: whose memories are in it, where that is known."""

    path: str
    reason: str
    tenant: TenantId | None = None


class GenerationState(StrEnum):
    """`LIVE`: searched and written. `BESIDE`: made, and on its way to be live. `OLD`: another replaced it."""

    LIVE = "live"
    BESIDE = "beside"
    OLD = "old"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationStatus:
    """One generation of an index. `fits`: whether it is of the epoch, space, metric and format in use.

    `positions`: by partition, how far in the feed it is. `made_for`: what it was built for, and by which choices.
    `notes`: what who built it left with it. Times are None where they are not known.
    """

    name: str
    state: GenerationState
    fits: bool
    documents: int
    bytes_on_disk: int
    positions: tuple[Position, ...]
    created_at: datetime | None
    retired_at: datetime | None
    made_for: Mapping[str, JsonValue] = field(default_factory=dict)
    notes: Mapping[str, JsonValue] = field(default_factory=dict)


def partition_of(memory_id: MemoryId, partitions: int) -> int:
    """The partition of the feed that a memory's changes are in: its last byte is random."""
    return (memory_id.int & 0xFF) % partitions


class SearchIndex(Protocol):
    """One live index of all tenants. Tenants share nothing: neither hits, counts nor term statistics."""

    @property
    def epoch(self) -> str:
        """Of the feed that it follows: its positions mean nothing in another one."""
        ...

    @property
    def partitions(self) -> int:
        """Into how many parts the feed is divided for this index; fixed when the index is created."""
        ...

    async def open(self) -> tuple[Position, ...]:
        """Open what is there, or an empty index, and return the position to resume each partition's feed from.

        START where the data is missing, damaged, of another epoch, space or format: what was there is set
        aside and the caller replays everything.
        """
        ...

    async def apply(
        self, actions: Sequence[Action], *, position: Position, partition: int | None = None, ticket: int = 0
    ) -> None:
        """Apply the actions in order; on return searches see them, and the partition has reached `position`.

        Without a `partition` the actions may be of all of them, and all reach the position. `ticket` orders the
        readings of the store: where several processes write, what an earlier reading says never replaces what a later
        one said. Applying what was applied before, in the same order, changes nothing.
        """
        ...

    async def flush(self) -> None:
        """Make everything applied durable, position and data atomically."""
        ...

    async def search(self, query: IndexQuery) -> Legs:
        """Search the legs that the mode asks for, at once, both filtered inside the engine."""
        ...

    async def vectors(self, tenant: TenantId, ids: Sequence[MemoryId]) -> Mapping[MemoryId, Vector]:
        """The vectors of those ids that have one: for diversity and for `similar`."""
        ...

    async def matching(self, tenant: TenantId, condition: Filter, *, leg: str) -> frozenset[MemoryId]:
        """Every memory that the filter matches, as the named leg ('lexical' or 'vector') sees it: for verification."""
        ...

    async def facets(self, query: IndexQuery, requests: Sequence[FacetRequest]) -> Sequence[Facet]:
        """For each request the counts over exactly the memories that the total of `search(query)` counts.

        A query without words and without a vector counts everything that its filter matches. Counts are whole or
        IndexUnavailable is raised.
        """
        ...

    async def highlight(
        self, words: Words, texts: Sequence[str], *, shape: FragmentShape = FRAGMENTS
    ) -> Sequence[tuple[Fragment, ...]]:
        """For each text its best fragments, in the order of the text, with what the words find in it marked.

        The texts are the caller's, from the store: an index keeps no contents. None where nothing is found in it.
        """
        ...

    async def spellings(self, tenant: TenantId, text: str, *, limit: int = 5) -> Sequence[Spelling]:
        """The words of the text that none of the tenant's memories has, each with the nearest that some have."""
        ...

    async def correction(self, tenant: TenantId, text: str) -> Correction | None:
        """The text with its unknown words replaced so that they go together; None where there is nothing to replace."""
        ...

    async def completions(self, tenant: TenantId, prefix: str, *, limit: int = 10) -> Sequence[Completion]:
        """How the text may go on, by the tenant's words, phrases and tags: the most frequent first."""
        ...

    async def statistics(self, tenant: TenantId | None = None) -> IndexStatistics: ...

    async def listing(self) -> Listing:
        """What it holds of all tenants, to be compared with the store."""
        ...

    async def held(self, keys: Sequence[MemoryKey]) -> Sequence[Held]:
        """Those of the memories that it holds at this moment, in no order."""
        ...

    async def damages(self) -> Sequence[Damage]:
        """What of its files is not as it was written. Nothing where the files are a server's: it watches them itself."""
        ...

    async def stage(self) -> SearchIndex:
        """An empty index beside this one, open, to be filled and then adopted. An earlier staged one is dropped."""
        ...

    async def adopt(self, staged: SearchIndex) -> None:
        """Make the staged index the live one, atomically.

        The old one is kept, as far as the options say so, to be taken up again by `beside`; else it is dropped when its
        searches have ended.
        """
        ...

    @property
    def name(self) -> str:
        """The name of its generation. Raises IndexUnavailable while it is not open."""
        ...

    async def generations(self) -> Sequence[GenerationStatus]:
        """Every generation that is there, by name: the live one, what was staged, and what was replaced."""
        ...

    async def relatives(self) -> Mapping[str, Sequence[GenerationStatus]]:
        """By name, the indices for other models and formats with their generations: processes beside this one may use them.

        A cluster's. `generations` has none of them.
        """
        ...

    async def forget_relative(self, name: str) -> None:
        """Delete such an index with all its generations. Nothing where there is none of that name."""
        ...

    async def beside(self, name: str) -> SearchIndex:
        """A generation that is there and not live, open, to go on with where it is, and then to be adopted.

        Raises GenerationNotFound, and GenerationRefused where it is the live one or was built for something else.
        """
        ...

    async def note(self, name: str, notes: Mapping[str, JsonValue]) -> None:
        """Keep these notes, beside earlier ones, with a generation, durably; None takes one away.

        Raises GenerationNotFound.
        """
        ...

    async def discard(self, name: str) -> None:
        """Delete a generation. Raises GenerationNotFound, and GenerationRefused where it is the live one."""
        ...

    async def close(self) -> None:
        """Flush and close. Idempotent."""
        ...
