"""One search on one snapshot: which slots the filter leaves, and whether to compare them all or to ask the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.change import Position
from mnemata.domain.filter import AnyOf, Everything, Field, Filter
from mnemata.domain.found import Found
from mnemata.domain.vector import Metric
from mnemata.index.local.column_filter import Chosen, Few, Many, comparable, select
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
    first,
    joined,
    moved,
    nearest_among,
    nearest_of_all,
    scores_at,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Searcher:
    """Searches by one metric."""

    metric: Metric

    def ranked(self, live: Live, query: Query, *, k: int, condition: Filter) -> Found:
        """The k nearest that the filter leaves."""
        return found_at(live.columns, self._nearest(live, query, k, _chosen(live.columns, condition)))

    def joined(
        self, live: Live, query: Query, numbers: Sequence[int], *, k: int, condition: Filter
    ) -> tuple[Found, int]:
        """The k nearest that the filter leaves, and among them those of `numbers` that have a vector.

        With it how many memories the filter matches, with or without a vector.
        """
        columns = live.columns
        chosen = _chosen(columns, condition)
        nearest = self._nearest(live, query, k, chosen)
        known = set(nearest.slots.tolist())
        others = np.array([slot for slot in slots_of(live, numbers).tolist() if slot not in known], np.int64)
        if len(others):
            scored = Nearest(others, scores_at(live.matrix, others, query, self.metric))
            nearest = _in_order(columns, joined([nearest, scored]))
        return found_at(columns, nearest), columns.living if chosen is None else chosen.count

    def _nearest(self, live: Live, query: Query, k: int, chosen: Chosen | None) -> Nearest:
        """The k nearest of the chosen slots that have a vector, ties by id."""
        columns = live.columns
        if chosen is not None:
            chosen = comparable(columns, chosen)
        elif not columns.whole:
            chosen = Many(columns.comparable)
        wide = self._approximate(live, query, k + TIES, chosen)
        if wide is None:
            wide = self._exact(live.matrix, columns.size, query, k + TIES, chosen)
        return first(_in_order(columns, wide), k)

    def _approximate(self, live: Live, query: Query, k: int, chosen: Chosen | None) -> Nearest | None:
        """What the index finds in its slots, and exact search in those behind.

        None where comparing all is faster, and where the index found too few.
        """
        size, index = live.columns.size, live.index
        if index is None or not _is_faster(index, size, chosen, k):
            return None
        covered = index.size
        mask = None if chosen is None else chosen.mask_of(size)
        held = covered if mask is None else int(np.count_nonzero(mask[:covered]))
        if held == 0:
            return None
        indexed = index.search(
            query, k=k, chosen=None if mask is None else mask[:covered], share=held / covered
        )
        if len(indexed.slots) < min(k - TIES, held):
            return None
        behind = None if mask is None else Many(mask[covered:])
        later = self._exact(live.matrix[covered:], size - covered, query, k, behind)
        return best([indexed, moved(later, covered)], k) if len(later.slots) else indexed

    def _exact(self, matrix: Matrix, size: int, query: Query, k: int, chosen: Chosen | None) -> Nearest:
        """The k nearest of the first `size` rows, by comparing every chosen one (None: all of them)."""
        match chosen:
            case None if size == 0:
                return NOTHING
            case None:
                return nearest_of_all(matrix, size, query, k=k, metric=self.metric, chosen=None)
            case Many(mask=mask) if chosen.count * _SCAN > size:
                return nearest_of_all(matrix, size, query, k=k, metric=self.metric, chosen=mask)
            case Few() | Many():
                return nearest_among(matrix, chosen.numbers(), query, k=k, metric=self.metric)


def _is_faster(index: ApproximateIndex, size: int, chosen: Chosen | None, k: int) -> bool:
    """Whether the index is estimated to answer before an exact search does."""
    count = size if chosen is None else chosen.count
    exact = IN_ORDER * size if chosen is None else count
    return count > 0 and index.cost(k=k, share=count / size) < exact


def slots_of(live: Live, numbers: Sequence[int]) -> NDArray[np.int64]:
    """The slots of those of the memories that have a vector, in their order."""
    columns = live.columns
    slots = live.ids.slots(numbers)
    if (slots >= columns.size).any():
        slots = _as_seen(live, numbers, slots)
    slots = slots[slots >= 0]
    return slots[columns.lives(slots) & columns.column("has_vector", slots)]


def found_at(columns: Snapshot, nearest: Nearest) -> Found:
    return Found(numbers_of(columns, nearest.slots), nearest.scores.tolist())


def _chosen(columns: Snapshot, condition: Filter) -> Chosen | None:
    return None if isinstance(condition, Everything) else select(columns, condition)


def _as_seen(live: Live, numbers: Sequence[int], slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those memories that were changed after this snapshot have another slot in it: the one that they had before."""
    before = slots.copy()
    for place in np.flatnonzero(slots >= live.columns.size).tolist():
        unchanged = AnyOf(field=Field(name="id"), values=(str(UUID(int=numbers[place])),))
        seen = select(live.columns, unchanged).numbers()
        before[place] = seen[0] if len(seen) else -1
    return before


def _in_order(columns: Snapshot, found: Nearest) -> Nearest:
    """Best first, ties by id."""
    high, low = columns.column("id_high", found.slots), columns.column("id_low", found.slots)
    order = np.lexsort((low, high, -found.scores))
    return Nearest(found.slots[order], found.scores[order])
