"""One search on one snapshot: which slots the filter leaves, and whether to compare them all or to ask the index."""

from __future__ import annotations

import math
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
from mnemata.index.local.vector_generation import as_numbers
from mnemata.index.local.vector_rows import (
    IN_ORDER,
    NOTHING,
    Matrix,
    Nearest,
    Query,
    best,
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


@dataclass(frozen=True, slots=True)
class Named:
    """(n,) int64 slots in no order, and the (n,) float32 scores there, None where they were not compared yet."""

    slots: NDArray[np.int64]
    scores: NDArray[np.float32] | None


class NearestSearch:
    """One search by meaning: `find` takes the time, in native code; `named` may run beside it; `join` orders both.

    `matching`: how many memories the filter matches, with or without a vector.
    """

    def __init__(self, live: Live, query: Query, *, metric: Metric, k: int, condition: Filter) -> None:
        self._live = live
        self._query = query
        self._metric = metric
        self._k = k
        chosen = None if isinstance(condition, Everything) else select(live.columns, condition)
        self.matching = live.columns.living if chosen is None else chosen.count
        self._chosen = _comparable(live.columns, chosen)

    @property
    def rows(self) -> float:
        """About how many rows could be gathered and compared in the time that `find` takes."""
        compared, asked = self._costs()
        return min(compared, asked)

    def find(self) -> Nearest:
        """The k nearest that the filter leaves, and some more. Equal ones are not in the order of their ids yet."""
        compared, asked = self._costs()
        found = self._approximate() if asked < compared else None
        live = self._live
        return self._exact(live.matrix, live.columns.size, self._chosen) if found is None else found

    def named(self, numbers: Sequence[int], *, scored: bool) -> Named:
        """Those of the memories that have a vector. Needs nothing of `find` and may run beside it.

        `scored`: compare them now, beside `find`; otherwise `join` compares those that were not found.
        """
        slots = slots_of(self._live, numbers)
        return Named(slots, self._scores(slots) if scored and len(slots) else None)

    def join(self, nearest: Nearest, named: Named | None = None) -> Found:
        """The k best of the nearest, and those that are named, however far they are: best first, ties by id."""
        live, wide = self._live, len(nearest.slots)
        together, kept = nearest, np.zeros(wide, np.bool_)
        if named is not None and len(named.slots):
            kept, others = _shared(nearest.slots, named.slots)
            slots = named.slots[others]
            if len(slots):
                scores = self._scores(slots) if named.scores is None else named.scores[others]
                together = joined([nearest, Nearest(slots, scores)])
                kept = np.concatenate([kept, np.ones(len(slots), np.bool_)])
        high, low = (live.columns.column(half, together.slots) for half in ("id_high", "id_low"))
        order = np.lexsort((low, high, -together.scores))
        if wide > self._k:
            is_near = order < wide
            order = order[kept[order] | (is_near & (is_near.cumsum() <= self._k))]
        return Found(as_numbers(high[order], low[order]), together.scores[order].tolist())

    def _scores(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        return scores_at(self._live.matrix, slots, self._query, self._metric)

    def _costs(self) -> tuple[float, float]:
        """What it costs to compare all of the chosen ones, and to ask the index: in gathered rows."""
        size, index, chosen = self._live.columns.size, self._live.index, self._chosen
        count = size if chosen is None else chosen.count
        compared = IN_ORDER * size if chosen is None else count
        if index is None or count == 0:
            return compared, math.inf
        return compared, index.cost(k=self._k + TIES, share=count / size)

    def _approximate(self) -> Nearest | None:
        """What the index finds in its slots, and exact search in those behind. None where the index found too few."""
        live, k, index = self._live, self._k + TIES, self._live.index
        if index is None:
            return None
        size, covered = live.columns.size, index.size
        mask = None if self._chosen is None else self._chosen.mask_of(size)
        held = covered if mask is None else int(np.count_nonzero(mask[:covered]))
        if held == 0:
            return None
        within = None if mask is None else mask[:covered]
        indexed = index.search(self._query, k=k, chosen=within, share=held / covered)
        if len(indexed.slots) < min(self._k, held):
            return None
        behind = None if mask is None else Many(mask[covered:])
        later = self._exact(live.matrix[covered:], size - covered, behind)
        return best([indexed, moved(later, covered)], k) if len(later.slots) else indexed

    def _exact(self, matrix: Matrix, size: int, chosen: Chosen | None) -> Nearest:
        """The nearest of the first `size` rows, by comparing every chosen one (None: all of them)."""
        query, k, metric = self._query, self._k + TIES, self._metric
        match chosen:
            case None if size == 0:
                return NOTHING
            case None:
                return nearest_of_all(matrix, size, query, k=k, metric=metric, chosen=None)
            case Many(mask=mask) if chosen.count * _SCAN > size:
                return nearest_of_all(matrix, size, query, k=k, metric=metric, chosen=mask)
            case Few() | Many():
                return nearest_among(matrix, chosen.numbers(), query, k=k, metric=metric)


def slots_of(live: Live, numbers: Sequence[int]) -> NDArray[np.int64]:
    """The slots of those of the memories that have a vector, in their order."""
    columns = live.columns
    if not numbers:
        return np.empty(0, np.int64)
    slots = live.ids.slots(numbers)
    if (slots >= columns.size).any():
        slots = _as_seen(live, numbers, slots)
    slots = slots[slots >= 0]
    return slots[columns.lives(slots) & columns.column("has_vector", slots)]


def _comparable(columns: Snapshot, chosen: Chosen | None) -> Chosen | None:
    """Those of the chosen slots whose vector is there; None: every slot."""
    if chosen is not None:
        return comparable(columns, chosen)
    return None if columns.whole else Many(columns.comparable)


def _shared(
    slots: NDArray[np.int64], named: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of `slots` are named, and which of those named are not among them."""
    kept = np.zeros(len(slots), np.bool_)
    if not (len(slots) and len(named)):
        return kept, np.ones(len(named), np.bool_)
    order = slots.argsort()
    places = order[np.minimum(slots.searchsorted(named, sorter=order), len(slots) - 1)]
    there = slots[places] == named
    kept[places[there]] = True
    return kept, ~there


def _as_seen(live: Live, numbers: Sequence[int], slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those memories that were changed after this snapshot have another slot in it: the one that they had before."""
    before = slots.copy()
    for place in np.flatnonzero(slots >= live.columns.size).tolist():
        unchanged = AnyOf(field=Field(name="id"), values=(str(UUID(int=numbers[place])),))
        seen = select(live.columns, unchanged).numbers()
        before[place] = seen[0] if len(seen) else -1
    return before
