"""Facets: how the memories that a search matches are spread over values, times and numbers.

A count is of memories: an array counts each of its elements once. Every engine counts the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TypeAlias, assert_never

from mnemata.domain.errors import InvalidField
from mnemata.domain.filter import Field, FieldType

VALUE_FIELDS = frozenset({"kind", "user_id", "agent_id", "session_id", "role", "tags", "source"})
"""The fields whose values are counted, besides `metadata.<path>`."""

MAX_BUCKETS = 1_000
MAX_RANGES = 100
_SHORTEST = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)

FacetValue: TypeAlias = "str | bool | float"


class Interval(StrEnum):
    """A calendar interval in UTC; a week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFacet:
    """Count by value: the `limit` most frequent, by count, then by value (booleans, numbers, strings)."""

    field: Field
    limit: int = 10

    def __post_init__(self) -> None:
        if not self.field.path and self.field.name not in VALUE_FIELDS:
            known = ", ".join(sorted(VALUE_FIELDS))
            raise _refused(
                self.field, "its values are not counted", f"Name one of {known} or metadata.<path>"
            )
        _check_limit(self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFacet:
    """Count by interval: the `limit` intervals that end with the newest value; fixed intervals begin at 1970."""

    field: Field
    interval: Interval | timedelta
    limit: int = 366

    def __post_init__(self) -> None:
        if self.field.type is not FieldType.TIME:
            raise _refused(self.field, "is no time", "Name one of created_at, updated_at, occurred_at")
        if isinstance(self.interval, timedelta) and self.interval < _SHORTEST:
            raise _refused(self.field, "an interval is at least a second", "Choose a longer one")
        _check_limit(self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeFacet:
    """Count by range of numbers: each from its low bound on, below its high bound; None leaves an end open."""

    field: Field
    ranges: tuple[tuple[float | None, float | None], ...]

    def __post_init__(self) -> None:
        _check_numeric(self.field)
        if len(self.ranges) > MAX_RANGES:
            raise _refused(self.field, f"more than {MAX_RANGES} ranges", "Ask for fewer")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsFacet:
    """The least, the greatest and the sum of a field's numbers."""

    field: Field

    def __post_init__(self) -> None:
        _check_numeric(self.field)


FacetRequest: TypeAlias = "ValueFacet | TimeFacet | RangeFacet | StatisticsFacet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """`cut`: the value is the beginning of a longer one (see attributes.MAX_PLAIN_BYTES)."""

    value: FacetValue
    count: int
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCounts:
    """`others`: the counts of all values that are not shown. `missing`: memories without a value."""

    field: Field
    buckets: tuple[Bucket, ...]
    others: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBucket:
    """The interval that begins at `start`."""

    start: datetime
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeCounts:
    """In the order of time; intervals without a memory are left out. `older`: before the first interval that counts."""

    field: Field
    buckets: tuple[TimeBucket, ...]
    older: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeBucket:
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeCounts:
    """In the order of the request; ranges may overlap. `missing`: memories without a number."""

    field: Field
    buckets: tuple[RangeBucket, ...]
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberStatistics:
    """`count` is of numbers: an array has several. `minimum` and `maximum` are None where there is none."""

    field: Field
    count: int
    minimum: float | None
    maximum: float | None
    total: float
    missing: int

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None


Facet: TypeAlias = "ValueCounts | TimeCounts | RangeCounts | NumberStatistics"


def starts_up_to(
    newest: datetime, interval: Interval | timedelta, limit: int, *, oldest: datetime = _EARLIEST
) -> tuple[datetime, ...]:
    """The beginnings of the `limit` intervals of which the last holds `newest`, in the order of time.

    Those before the one that holds `oldest` are left out.
    """
    starts: list[datetime] = []
    for start in islice(_backwards(newest, interval), limit):
        starts.append(start)
        if start <= oldest:
            break
    return tuple(reversed(starts))


def _backwards(newest: datetime, interval: Interval | timedelta) -> Iterator[datetime]:
    start = _start_of(newest, interval)
    while start > _EARLIEST:
        yield start
        start = _start_of(start - timedelta(microseconds=1), interval)
    yield _EARLIEST


def _start_of(moment: datetime, interval: Interval | timedelta) -> datetime:
    try:
        return _whole_start_of(moment, interval)
    except OverflowError:
        # An interval that begins before the year 1 begins with it.
        return _EARLIEST


def _whole_start_of(moment: datetime, interval: Interval | timedelta) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match interval:
        case timedelta():
            return _EPOCH + (moment - _EPOCH) // interval * interval
        case Interval.DAY:
            return midnight
        case Interval.WEEK:
            return midnight - timedelta(days=midnight.weekday())
        case Interval.MONTH:
            return midnight.replace(day=1)
        case Interval.YEAR:
            return midnight.replace(month=1, day=1)
        case _:
            assert_never(interval)


def _check_numeric(field: Field) -> None:
    if field.type not in (FieldType.NUMBER, FieldType.METADATA):
        raise _refused(field, "is no number", "Name importance, sequence, version or metadata.<path>")


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_BUCKETS:
        reason = f"{limit} is not between 1 and {MAX_BUCKETS}"
        raise InvalidField(field="limit", reason=reason, remedy="Choose a limit within these bounds")


def _refused(field: Field, reason: str, remedy: str) -> InvalidField:
    return InvalidField(field=f"facets.{field}", reason=reason, remedy=remedy)
