"""One search on one snapshot: which slots the filter leaves, and whether to compare them all or to ask the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.change import Position
from mnemata.domain.filter import AnyOf, Everything, Field, Filter
from mnemata.domain.vector import Metric
from mnemata.index.local.column_filter import Chosen, Few, Many, select, select_comparable
from mnemata.index.local.column_ids import IdSlots
from mnemata.index.local.columns import Snapshot
from mnemata.index.local.graph import ApproximateIndex
from mnemata.index.local.vector_generation import numbers_of
from mnemata.index.local.vector_rows import (
    IN_ORDER,
    NOTHING,
    Matrix,
    Nearest,
    Query,
    best,
    nearest_among,
    nearest_of_all,
)

TIES = 16
"""Asked for beyond k, so that memories of equal score come in the order of their ids across the cut, too."""

_SCAN = 4
"""With more than one row in this many chosen, reading all rows in order is faster than gathering the chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What a reader works on from start to end: nothing in it changes."""

    columns: Snapshot
    matrix: Matrix
    ids: IdSlots
    index: ApproximateIndex | None
    position: Position


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a search found, best first, ties by id, without an object a memory.

    `numbers`: the ids as 128-bit integers (`MemoryId.int`); `scores`: (n,) float32, larger is nearer.
    """

    numbers: list[int]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searcher:
    """Searches by one metric. `exact_below`: up to so many candidates are always compared one by one."""

    metric: Metric
    exact_below: int

    def ranked(self, live: Live, query: Query, *, k: int, condition: Filter) -> Ranked:
        """The k nearest that the filter leaves."""
        return _ranked(live.columns, self._nearest(live, query, k + TIES, condition), k)

    def _nearest(self, live: Live, query: Query, k: int, condition: Filter) -> Nearest:
        if isinstance(condition, Everything):
            chosen = None if live.columns.whole else Many(live.columns.comparable)
        else:
            chosen = select_comparable(live.columns, condition)
        index = live.index
        if index is not None and self._index_is_faster(index, live.columns.size, chosen, k):
            found = self._approximate(live, index, query, k, chosen)
            if found is not None:
                return found
        return self._exact(live, query, k, chosen)

    def _index_is_faster(self, index: ApproximateIndex, size: int, chosen: Chosen | None, k: int) -> bool:
        count = size if chosen is None else chosen.count
        if count <= self.exact_below:
            return False
        exact = IN_ORDER * size if chosen is None else count
        return index.cost(k=k, share=count / size) < exact

    def _approximate(
        self, live: Live, index: ApproximateIndex, query: Query, k: int, chosen: Chosen | None
    ) -> Nearest | None:
        """What the index finds in its slots, and exact search in those behind. None where it found too few."""
        size, covered = live.columns.size, index.size
        mask = None if chosen is None else chosen.mask_of(size)
        held = covered if mask is None else int(np.count_nonzero(mask[:covered]))
        if held == 0:
            return None
        indexed = index.search(
            query, k=k, chosen=None if mask is None else mask[:covered], share=held / covered
        )
        if len(indexed.slots) < min(k - TIES, held):
            return None
        tail = np.arange(covered, size) if mask is None else covered + np.flatnonzero(mask[covered:])
        later = nearest_among(live.matrix, tail, query, k=k, metric=self.metric)
        return best([indexed, later], k) if len(later.slots) else indexed

    def _exact(self, live: Live, query: Query, k: int, chosen: Chosen | None) -> Nearest:
        """The k nearest, by comparing every chosen row (None: all of them)."""
        matrix, size = live.matrix, live.columns.size
        match chosen:
            case None if size == 0:
                return NOTHING
            case None:
                return nearest_of_all(matrix, size, query, k=k, metric=self.metric, chosen=None)
            case Many(mask=mask) if chosen.count * _SCAN > size:
                return nearest_of_all(matrix, size, query, k=k, metric=self.metric, chosen=mask)
            case Few() | Many():
                return nearest_among(matrix, chosen.numbers(), query, k=k, metric=self.metric)


def compared(live: Live, numbers: Sequence[int]) -> tuple[list[int], NDArray[np.int64]]:
    """Those of the memories that have a vector, and their slots."""
    columns = live.columns
    located = zip(numbers, live.ids.find_all(numbers), strict=True)
    found = [(number, seen) for number, slot in located if (seen := _as_seen(live, number, slot)) is not None]
    slots = np.array([slot for _, slot in found], np.int64)
    held = columns.lives(slots) & columns.column("has_vector", slots)
    return [number for (number, _), holds in zip(found, held.tolist(), strict=True) if holds], slots[held]


def _as_seen(live: Live, number: int, slot: int | None) -> int | None:
    if slot is None or slot < live.columns.size:
        return slot
    # The memory was changed after this snapshot: look for the slot that it had before.
    unchanged = AnyOf(field=Field(name="id"), values=(str(UUID(int=number)),))
    before = select(live.columns, unchanged).numbers()
    return int(before[0]) if len(before) else None


def _ranked(columns: Snapshot, found: Nearest, k: int) -> Ranked:
    high, low = columns.column("id_high", found.slots), columns.column("id_low", found.slots)
    order = np.lexsort((low, high, -found.scores))[:k]
    return Ranked(numbers_of(columns, found.slots[order]), found.scores[order])
