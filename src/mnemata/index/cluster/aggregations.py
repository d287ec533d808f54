"""Facets as aggregations of the cluster: what is asked, and what was counted.

A tenant is in one shard, so that the most frequent values are exactly that. Times are numbers here (microseconds), which no
cluster divides by the calendar: the newest is asked for first, and then ranges between beginnings that are computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from mnemata.domain import attributes
from mnemata.domain.facet import (
    Bucket,
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
from mnemata.domain.filter import Field, Range
from mnemata.index.cluster.conditions import ATTRIBUTES, Clause, compiled
from mnemata.index.local.document import microseconds

Answer = Mapping[str, Any]

COUNTED, MISSING, HAVING = "counted", "missing", "having"
PAGE = 10_000
"""Distinct numbers of a metadata path that are read at once."""

ANYTHING: Final = "(.*)"
"""The end of a pattern for values that begin so. OpenSearch 2.19 reads a plain `.*` as a mark of its own shortcut, which fails
with a prefix behind the last value."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME: Final = -(1 << 63)
_SPECIAL: Final = frozenset('.?+*|{}[]()"\\#@&<>~^$-/')


def escaped(text: str) -> str:
    """The text as a pattern for itself, in Lucene's regular expressions."""
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in text)


def most_frequent(field: str, limit: int, *, include: str | None = None) -> Clause:
    """Counts by value, greatest first, ties by value; of the values that the pattern matches."""
    terms: dict[str, Any] = {"field": field, "size": limit, "order": [{"_count": "desc"}, {"_key": "asc"}]}
    return {"terms": terms if include is None else terms | {"include": include}}


def values_asked(request: ValueFacet) -> dict[str, Clause]:
    field = request.field
    if not field.path:
        return {
            COUNTED: most_frequent(field.name, request.limit),
            MISSING: {"missing": {"field": field.name}},
        }
    start = attributes.path_prefix(field.path)
    # Dates are strings that have a second term: that is left out.
    pattern = f"{escaped(start)}[bns]{attributes.SEPARATOR}{ANYTHING}"
    return {
        COUNTED: most_frequent(ATTRIBUTES, request.limit, include=pattern),
        HAVING: {"filter": {"range": {ATTRIBUTES: {"gte": start, "lt": f"{start}t"}}}},
    }


def values_counted(request: ValueFacet, answer: Answer) -> ValueCounts:
    counted = answer["aggregations"][COUNTED]
    buckets = [(bucket["key"], bucket["doc_count"]) for bucket in counted["buckets"]]
    return ValueCounts(
        field=request.field,
        buckets=tuple(_bucket(request.field, key, count) for key, count in buckets),
        others=counted["sum_other_doc_count"],
        missing=_missing(answer),
    )


def newest_asked(request: TimeFacet) -> dict[str, Any]:
    """What a search has besides its query so that it tells the newest value."""
    order = {request.field.name: {"order": "desc", "missing": "_last"}}
    return {"size": 1, "sort": [order], "_source": False}


def starts_told(request: TimeFacet, answer: Answer) -> tuple[datetime, ...]:
    """The beginnings of the intervals to count; none where no memory has a time."""
    hits = answer["hits"]["hits"]
    newest = int(hits[0]["sort"][0]) if hits else _NO_TIME
    if newest == _NO_TIME:
        return ()
    return starts_up_to(_EPOCH + timedelta(microseconds=newest), request.interval, request.limit)


def times_asked(request: TimeFacet, starts: tuple[datetime, ...]) -> dict[str, Clause]:
    name = request.field.name
    missing: dict[str, Clause] = {MISSING: {"missing": {"field": name}}}
    if not starts:
        return missing
    edges: list[int | None] = [None, *(microseconds(start) for start in starts), None]
    ranges = [_between(low, high) for low, high in pairwise(edges)]
    return {COUNTED: {"range": {"field": name, "ranges": ranges}}} | missing


def times_counted(request: TimeFacet, starts: tuple[datetime, ...], answer: Answer) -> TimeCounts:
    counted = answer["aggregations"].get(COUNTED, {"buckets": [{"doc_count": 0}]})
    older, *counts = (bucket["doc_count"] for bucket in counted["buckets"])
    buckets = (
        TimeBucket(start=start, count=count) for start, count in zip(starts, counts, strict=True) if count
    )
    return TimeCounts(field=request.field, buckets=tuple(buckets), older=older, missing=_missing(answer))


def ranges_asked(request: RangeFacet) -> dict[str, Clause]:
    clauses = [
        compiled(Range(field=request.field, low=low, high=high, include_high=False))
        for low, high in request.ranges
    ]
    having: dict[str, Clause] = {HAVING: _having(request.field)}
    return {COUNTED: {"filters": {"filters": clauses}}} | having if clauses else having


def ranges_counted(request: RangeFacet, answer: Answer) -> RangeCounts:
    counted = answer["aggregations"].get(COUNTED, {"buckets": []})["buckets"]
    buckets = (
        RangeBucket(low=low, high=high, count=bucket["doc_count"])
        for (low, high), bucket in zip(request.ranges, counted, strict=True)
    )
    return RangeCounts(field=request.field, buckets=tuple(buckets), missing=_missing(answer))


def statistics_asked(request: StatisticsFacet, after: str | None) -> dict[str, Clause]:
    """Of a field everything at once. Of a metadata path the next of its distinct numbers, which are terms here."""
    field = request.field
    if not field.path:
        return {COUNTED: {"stats": {"field": field.name}}, HAVING: _having(field)}
    start = attributes.typed_bounds(field.path, "n")[0] if after is None else after
    source = {"terms": {"terms": {"field": ATTRIBUTES}}}
    pages = {"composite": {"size": PAGE, "sources": [source], "after": {"terms": start}}}
    return {COUNTED: pages, HAVING: _having(field)}


def next_after(request: StatisticsFacet, answer: Answer) -> str | None:
    """Where the next page begins; None where all numbers were read."""
    counted = answer["aggregations"][COUNTED]
    if len(counted.get("buckets", ())) < PAGE:
        return None
    last = counted["buckets"][-1]["key"]["terms"]
    return last if last < attributes.typed_bounds(request.field.path, "n")[1] else None


def statistics_counted(request: StatisticsFacet, answers: list[Answer]) -> NumberStatistics:
    if not request.field.path:
        told = answers[0]["aggregations"][COUNTED]
        count, least, greatest, total = told["count"], told["min"], told["max"], told["sum"]
    else:
        numbers = [number for answer in answers for number in _numbers(request.field, answer)]
        count, total = sum(n for _, n in numbers), sum(value * n for value, n in numbers)
        least = min((value for value, _ in numbers), default=None)
        greatest = max((value for value, _ in numbers), default=None)
    return NumberStatistics(
        field=request.field,
        count=count,
        minimum=least if count else None,
        maximum=greatest if count else None,
        total=total or 0.0,
        missing=_missing(answers[0]),
    )


def _numbers(field: Field, answer: Answer) -> list[tuple[float, int]]:
    _, end = attributes.typed_bounds(field.path, "n")
    found = [
        (bucket["key"]["terms"], bucket["doc_count"]) for bucket in answer["aggregations"][COUNTED]["buckets"]
    ]
    # The terms of other types and paths come behind.
    return [
        (attributes.plain_number(term.rsplit(attributes.SEPARATOR, 1)[1]), count)
        for term, count in found
        if term < end
    ]


def _having(field: Field) -> Clause:
    return {"filter": compiled(Range(field=field))}


def _missing(answer: Answer) -> int:
    counted = answer["aggregations"]
    if MISSING in counted:
        return counted[MISSING]["doc_count"]
    return answer["hits"]["total"]["value"] - counted[HAVING]["doc_count"]


def _between(low: int | None, high: int | None) -> dict[str, int]:
    ends = {"from": low, "to": high}
    return {name: edge for name, edge in ends.items() if edge is not None}


def _bucket(field: Field, text: str, count: int) -> Bucket:
    if not field.path:
        return Bucket(value=text, count=count)
    value, cut = attributes.term_value(text)
    return Bucket(value=value, count=count, cut=cut)
