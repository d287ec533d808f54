"""Facets counted on the columns: each request is a few passes of numpy over the slots that match."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mnemata.domain import attributes
from mnemata.domain.facet import (
    Bucket,
    Facet,
    FacetRequest,
    NumberStatistics,
    RangeBucket,
    RangeCounts,
    RangeFacet,
    StatisticsFacet,
    TimeBucket,
    TimeCounts,
    TimeFacet,
    ValueCounts,
    ValueFacet,
    starts_up_to,
)
from mnemata.domain.filter import Field
from mnemata.domain.suggestion import WordCount
from mnemata.index.local.column_filter import Slots
from mnemata.index.local.column_terms import Terms
from mnemata.index.local.columns import NO_NUMBER, Columns, Snapshot, microseconds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GATHERED = 4
"""With more than one slot in this many chosen, reading all postings in order is faster than gathering theirs."""


class Counter:
    """Counts on one snapshot, over `rows`: the slots that match, ascending."""

    def __init__(self, columns: Snapshot, rows: Slots) -> None:
        self._columns = columns
        self._rows = rows

    def count(self, request: FacetRequest) -> Facet:
        match request:
            case ValueFacet():
                return self._values(request)
            case TimeFacet():
                return self._times(request)
            case RangeFacet():
                return self._ranges(request)
            case StatisticsFacet():
                return self._statistics(request.field)

    def tags(self, wanted: Callable[[str], object]) -> list[WordCount]:
        """How many memories have each tag for which `wanted` gives something, in the order of the tags."""
        tags, counts, _ = self._listed("tags", None)
        found = np.flatnonzero(counts).tolist()
        return [WordCount(word=tags[n], count=int(counts[n])) for n in found if wanted(tags[n])]

    def _values(self, request: ValueFacet) -> ValueCounts:
        field = request.field
        if field.path:
            # Dates are strings that have a second term: that is left out.
            bounds = attributes.path_prefix(field.path), attributes.path_prefix(field.path) + "t"
            terms, counts, missing = self._listed("attributes", bounds)
        elif field.name == "tags":
            terms, counts, missing = self._listed("tags", None)
        else:
            terms, counts, missing = self._scalars(field.name)
        shown = most(counts, request.limit)
        return ValueCounts(
            field=field,
            buckets=tuple(_bucket(field, terms[int(n)], int(counts[n])) for n in shown),
            others=int(counts.sum() - counts[shown].sum()),
            missing=missing,
        )

    def _scalars(self, name: str) -> tuple[Sequence[str], NDArray[np.int64], int]:
        """The column's strings in order, how often each is, and how often there is none."""
        codes = self._columns.column(name, self._rows)
        strings, order = self._columns.terms[name].in_order()
        counts = np.bincount(codes + 1, minlength=len(order) + 1)
        return strings, counts[1:][order], int(counts[0])

    def _listed(
        self, name: str, bounds: tuple[str, str] | None
    ) -> tuple[Sequence[str], NDArray[np.int64], int]:
        """The list's strings within [low, high) in order, how many memories have each, and how many have none."""
        strings, order = _within(self._columns.terms[name], bounds)
        owners, codes = self._postings(name)
        counts = np.bincount(codes, minlength=_size(order, codes))
        having = np.zeros(len(counts), np.bool_)
        having[order] = True
        return strings, counts[order], len(self._rows) - _distinct(owners[having[codes]])

    def _postings(self, name: str) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """(m,) whose each posting is, ascending, and (m,) its code: of the chosen slots."""
        columns, rows, postings = self._columns, self._rows, self._columns.postings[name]
        if len(rows) == columns.size:
            return postings.slots, postings.codes
        if len(rows) * _GATHERED > columns.size:
            mask = np.zeros(columns.size, np.bool_)
            mask[rows] = True
            chosen = mask[postings.slots]
            return postings.slots[chosen], postings.codes[chosen]
        owners, places = columns.posting_places(name, rows)
        return owners, postings.codes[places]

    def _times(self, request: TimeFacet) -> TimeCounts:
        column = self._columns.column(request.field.name, self._rows)
        known = column[column != NO_NUMBER]
        missing = len(column) - len(known)
        if not len(known):
            return TimeCounts(field=request.field, buckets=(), older=0, missing=missing)
        oldest, newest = (_EPOCH + timedelta(microseconds=int(end)) for end in (known.min(), known.max()))
        starts = starts_up_to(newest, request.interval, request.limit, oldest=oldest)
        places = np.searchsorted(np.array([microseconds(start) for start in starts]), known, side="right")
        older, *counts = np.bincount(places, minlength=len(starts) + 1).tolist()
        buckets = (
            TimeBucket(start=start, count=count) for start, count in zip(starts, counts, strict=True) if count
        )
        return TimeCounts(field=request.field, buckets=tuple(buckets), older=older, missing=missing)

    def _ranges(self, request: RangeFacet) -> RangeCounts:
        owners, values = self._numbers(request.field)
        counts = [_count_within(owners, values, low, high) for low, high in request.ranges]
        return RangeCounts(
            field=request.field,
            buckets=tuple(
                RangeBucket(low=low, high=high, count=count)
                for (low, high), count in zip(request.ranges, counts, strict=True)
            ),
            missing=len(self._rows) - _distinct(owners),
        )

    def _statistics(self, field: Field) -> NumberStatistics:
        owners, values = self._numbers(field)
        return NumberStatistics(
            field=field,
            count=len(values),
            minimum=float(values.min()) if len(values) else None,
            maximum=float(values.max()) if len(values) else None,
            total=float(values.sum()),
            missing=len(self._rows) - _distinct(owners),
        )

    def _numbers(self, field: Field) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """(m,) whose each number is, ascending, and (m,) the numbers."""
        if not field.path:
            column = self._columns.column(field.name, self._rows)
            present = np.ones(len(column), np.bool_) if column.dtype == np.float64 else column != NO_NUMBER
            return np.flatnonzero(present), column[present].astype(np.float64)
        strings, order = _within(self._columns.terms["attributes"], attributes.typed_bounds(field.path, "n"))
        owners, codes = self._postings("attributes")
        numbers = np.full(_size(order, codes), np.nan)
        numbers[order] = _decoded(strings)
        values = numbers[codes]
        known = ~np.isnan(values)
        return owners[known], values[known]


def nothing_counted(requests: Sequence[FacetRequest]) -> tuple[Facet, ...]:
    """The facets of no memories."""
    counter = Counter(Columns().snapshot, np.empty(0, np.int64))
    return tuple(map(counter.count, requests))


def most(counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """The places of the `limit` greatest counts above zero, greatest first, ties in the order of their places."""
    present = np.flatnonzero(counts)
    if len(present) > limit:
        edge = np.partition(counts[present], len(present) - limit)[len(present) - limit]
        above = present[counts[present] > edge]
        present = np.concatenate([above, present[counts[present] == edge][: limit - len(above)]])
    return present[np.lexsort((present, -counts[present]))]


def _within(terms: Terms, bounds: tuple[str, str] | None) -> tuple[Sequence[str], NDArray[np.int32]]:
    strings, order = terms.in_order()
    if bounds is None:
        return strings, order
    low, high = (bisect_left(strings, bound) for bound in bounds)
    return strings[low:high], order[low:high]


def _size(wanted: NDArray[np.int32], codes: NDArray[np.int32]) -> int:
    """Of a table that has a place for each code."""
    return 1 + max(int(array.max()) if len(array) else -1 for array in (wanted, codes))


def _distinct(owners: NDArray[Any]) -> int:
    return int(np.count_nonzero(np.diff(owners))) + bool(len(owners))


def _count_within(
    owners: NDArray[Any], values: NDArray[np.float64], low: float | None, high: float | None
) -> int:
    inside = np.ones(len(values), np.bool_)
    if low is not None:
        inside &= values >= low
    if high is not None:
        inside &= values < high
    return _distinct(owners[inside])


def _decoded(terms: Sequence[str]) -> NDArray[np.float64]:
    """The numbers in number terms: what `attributes.plain_number` gives for each, at once."""
    digits = "".join(term[-16:] for term in terms)
    ordered = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
    sign = np.uint64(1 << 63)
    return np.where(ordered & sign, ordered ^ sign, ~ordered).view(np.float64)


def _bucket(field: Field, text: str, count: int) -> Bucket:
    if not field.path:
        return Bucket(value=text, count=count)
    value, cut = attributes.term_value(text)
    return Bucket(value=value, count=count, cut=cut)
