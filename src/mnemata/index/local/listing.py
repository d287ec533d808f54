"""What the local engine holds, to be compared with the store: both legs, which must agree memory by memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tantivy import Query

from mnemata.domain.errors import IndexDamaged
from mnemata.domain.filter import AnyOf, Field
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.index.local import checksums, document
from mnemata.index.local.column_filter import select
from mnemata.index.local.conditions import any_of
from mnemata.index.local.failures import translated
from mnemata.index.local.generation import IndexGeneration
from mnemata.index.local.lexical_view import LexicalView
from mnemata.index.local.manifest import read_manifest
from mnemata.index.local.partition import Partition
from mnemata.index.local.vector_files import read_manifest as read_vector_manifest
from mnemata.index.local.vector_search import Live
from mnemata.index.marks import HALF_BITS, Digest, Held, MemoryKey, Span
from mnemata.index.protocol import Damage

_LOW = (1 << 64) - 1
_HALF = np.uint64((1 << HALF_BITS) - 1)
_ROW = np.dtype(
    [("high", "<u8"), ("low", "<u8"), ("version", "<i8"), ("mark", "<u8"), ("owner", "<i4"), ("whole", "?")]
)
"""One memory of a listing: 37 bytes."""

_TRIES = 3
"""Files of a tantivy index come and go while it merges: one that is gone is looked for again in the newest list."""


class LocalListing:
    """As Listing: everything as it was when this was made. The rows are sorted by id."""

    def __init__(self, tenants: Sequence[TenantId], rows: NDArray[np.void]) -> None:
        self._tenants = tenants
        self._rows = rows[np.lexsort((rows["low"], rows["high"]))]
        self._low = _running_sums(self._rows["mark"] & _HALF)
        self._high = _running_sums(self._rows["mark"] >> np.uint64(HALF_BITS))

    @classmethod
    def of(cls, generation: IndexGeneration) -> LocalListing:
        """Reads every partition once. One that cannot be opened holds nothing. Blocks."""
        tenants = generation.tenants
        parts = [np.empty(0, _ROW)]
        for owner, tenant in enumerate(tenants):
            with suppress(IndexDamaged), generation.using(tenant) as partition:
                if partition is not None:
                    parts.append(_rows_of(partition, owner))
        return cls(tenants, np.concatenate(parts))

    async def digests(self, spans: Sequence[Span]) -> Sequence[Digest]:
        return [self._digest(*self._places(span)) for span in spans]

    async def held(self, span: Span, *, limit: int) -> Sequence[Held]:
        start, stop = self._places(span)
        rows = self._rows[start : min(stop, start + limit)]
        return [
            Held(
                tenant=self._tenants[owner],
                memory_id=document.memory_id(high << 64 | low),
                version=version,
                mark=mark,
                whole=whole,
            )
            for high, low, version, mark, owner, whole in rows.tolist()
        ]

    def _digest(self, start: int, stop: int) -> Digest:
        return Digest(
            count=stop - start,
            low=int(self._low[stop] - self._low[start]),
            high=int(self._high[stop] - self._high[start]),
        )

    def _places(self, span: Span) -> tuple[int, int]:
        start = 0 if span.after is None else self._behind(span.after)
        stop = len(self._rows) if span.upto is None else self._behind(span.upto)
        return start, max(start, stop)

    def _behind(self, memory_id: MemoryId) -> int:
        """How many rows have this id or one before it."""
        high, low = np.uint64(memory_id.int >> 64), np.uint64(memory_id.int & _LOW)
        start = int(self._rows["high"].searchsorted(high, side="left"))
        stop = int(self._rows["high"].searchsorted(high, side="right"))
        return start + int(self._rows["low"][start:stop].searchsorted(low, side="right"))


def held_now(generation: IndexGeneration, keys: Iterable[MemoryKey]) -> list[Held]:
    """Those of the memories that both legs, or one of them, hold at this moment. Blocks.

    A partition that cannot be opened holds none.
    """
    wanted: dict[TenantId, list[int]] = {}
    for tenant, memory_id in keys:
        wanted.setdefault(tenant, []).append(memory_id.int)
    found: list[Held] = []
    for tenant, numbers in wanted.items():
        with suppress(IndexDamaged), generation.using(tenant) as partition:
            if partition is not None:
                found += _held(partition, tenant, numbers)
    return found


def damages_of(generation: IndexGeneration) -> list[Damage]:
    """Reads every file of every partition and compares checksums. Blocks."""
    found = _damage(lambda: read_manifest(generation.folder, generation.identity), generation.folder, None)
    for tenant in generation.tenants:
        try:
            found += _damages_of(generation, tenant)
        except IndexDamaged as error:
            found.append(_named(error, tenant))
    return found


def _damages_of(generation: IndexGeneration, tenant: TenantId) -> list[Damage]:
    """Raises IndexDamaged where the partition cannot even be opened."""
    folder = generation.partition_folder(tenant)
    with generation.using(tenant) as partition:
        if partition is None:
            return []
        words, vectors = folder / "lexical", folder / "vectors"
        return [
            *_damage(lambda: _lexical_files(words), words, tenant),
            *_damage(lambda: _vector_files(vectors, partition), vectors, tenant),
        ]


def _damage(check: Callable[[], object], path: Path, tenant: TenantId | None) -> list[Damage]:
    try:
        with translated("open", path):
            check()
    except IndexDamaged as error:
        return [_named(error, tenant)]
    return []


def _named(error: IndexDamaged, tenant: TenantId | None) -> Damage:
    return Damage(path=str(error.facts["path"]), reason=str(error.facts["reason"]), tenant=tenant)


def _lexical_files(folder: Path) -> None:
    for _ in range(_TRIES - 1):
        try:
            return checksums.verify(folder)
        except IndexDamaged:
            continue
    return checksums.verify(folder)


def _vector_files(folder: Path, partition: Partition) -> None:
    if read_vector_manifest(folder) is not None:
        # Before the first save there are no files yet.
        partition.vectors.verify()


def _rows_of(partition: Partition, owner: int) -> NDArray[np.void]:
    with translated("search"):
        vectors, lexical = _in_vectors(partition.vectors.live), _in_words(partition.lexical.view, None)
    return _matched(vectors, lexical, owner)


def _held(partition: Partition, tenant: TenantId, numbers: Sequence[int]) -> list[Held]:
    with translated("search"):
        live, view = partition.vectors.live, partition.lexical.view
        named = AnyOf(field=Field(name="id"), values=tuple(str(document.memory_id(n)) for n in numbers))
        vectors = _of_slots(live, select(live.columns, named).numbers())
        lexical = _in_words(view, numbers)
    return [
        Held(
            tenant=tenant,
            memory_id=document.memory_id(high << 64 | low),
            version=version,
            mark=mark,
            whole=whole,
        )
        for high, low, version, mark, _, whole in _matched(vectors, lexical, 0).tolist()
    ]


def _in_vectors(live: Live) -> NDArray[np.void]:
    return _of_slots(live, np.flatnonzero(live.columns.alive))


def _of_slots(live: Live, slots: NDArray[np.int64]) -> NDArray[np.void]:
    columns, rows = live.columns, np.zeros(len(slots), _ROW)
    for name, column in (("high", "id_high"), ("low", "id_low"), ("version", "version"), ("mark", "mark")):
        rows[name] = columns.column(column, slots)
    return rows


def _in_words(view: LexicalView, numbers: Sequence[int] | None) -> Mapping[int, int]:
    """By id the mark that the lexical leg has; of all memories where no ids are named."""
    found = {key: mark for key, mark in _in_main(view, numbers) if key not in view.hidden}
    chosen = None if numbers is None else frozenset(numbers)
    found.update(
        (memory.key, memory.upsert.mark) for memory in view.fresh if chosen is None or memory.key in chosen
    )
    return found


def _in_main(view: LexicalView, numbers: Sequence[int] | None) -> Iterable[tuple[int, int]]:
    main = view.main
    if not main.documents:
        return ()
    if numbers is None:
        query = Query.term_query(main.schema, document.ALIVE, document.ALIVE, "basic")
    else:
        ids = (str(document.memory_id(number)) for number in numbers)
        query = any_of([Query.term_query(main.schema, document.ID, one, "basic") for one in ids])
    hits = main.searcher.search(query, max(1, main.searcher.num_docs), count=False).hits
    addresses = [address for _, address in hits]
    marks = cast("list[int | None]", main.searcher.fast_field_values(document.MARK, addresses))
    return zip(main.keys(addresses), (mark or 0 for mark in marks), strict=True)


def _matched(vectors: NDArray[np.void], lexical: Mapping[int, int], owner: int) -> NDArray[np.void]:
    """The rows of the vector leg, whole where the lexical leg has the same; behind them what only that one has."""
    numbers = _numbers(vectors)
    vectors["owner"] = owner
    vectors["whole"] = [
        lexical.get(number) == mark for number, mark in zip(numbers, vectors["mark"].tolist(), strict=True)
    ]
    alone = sorted(lexical.keys() - set(numbers))
    rows = np.zeros(len(alone), _ROW)
    rows["high"] = [number >> 64 for number in alone]
    rows["low"] = [number & _LOW for number in alone]
    rows["owner"] = owner
    # What is not whole has no mark: whatever the store says of it, the digests differ.
    vectors["mark"][~vectors["whole"]] = 0
    return np.concatenate([vectors, rows])


def _numbers(rows: NDArray[np.void]) -> list[int]:
    """The ids of rows, as 128-bit integers."""
    return [high << 64 | low for high, low in zip(rows["high"].tolist(), rows["low"].tolist(), strict=True)]


def _running_sums(values: NDArray[Any]) -> NDArray[np.uint64]:
    """(n + 1,) uint64: of the first 0, 1, ... n."""
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
