"""What a facet may ask for, and where intervals begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemata.domain.attributes import plain_number, sortable_number, string_term, term_value
from mnemata.domain.errors import InvalidField
from mnemata.domain.facet import (
    MAX_BUCKETS,
    MAX_RANGES,
    Interval,
    NumberStatistics,
    RangeFacet,
    StatisticsFacet,
    TimeFacet,
    ValueFacet,
    starts_up_to,
)
from mnemata.domain.filter import Field

KIND, CREATED, WEIGHT = (Field(name=name) for name in ("kind", "created_at", "importance"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ValueFacet(field=Field(name="id")),
        lambda: ValueFacet(field=CREATED),
        lambda: ValueFacet(field=KIND, limit=0),
        lambda: ValueFacet(field=KIND, limit=MAX_BUCKETS + 1),
        lambda: TimeFacet(field=KIND, interval=Interval.DAY),
        lambda: TimeFacet(field=CREATED, interval=timedelta(milliseconds=999)),
        lambda: TimeFacet(field=CREATED, interval=Interval.DAY, limit=0),
        lambda: RangeFacet(field=KIND, ranges=()),
        lambda: RangeFacet(field=WEIGHT, ranges=((0, 1),) * (MAX_RANGES + 1)),
        lambda: StatisticsFacet(field=CREATED),
    ],
)
def test_what_cannot_be_counted_is_refused(make):
    with pytest.raises(InvalidField):
        make()


@pytest.mark.parametrize(
    ("interval", "starts"),
    [
        (Interval.DAY, ["2024-02-29", "2024-03-01"]),
        (Interval.WEEK, ["2024-02-19", "2024-02-26"]),
        (Interval.MONTH, ["2024-02-01", "2024-03-01"]),
        (Interval.YEAR, ["2023-01-01", "2024-01-01"]),
        (timedelta(days=10_000), ["1997-05-19", "2024-10-04"]),
    ],
)
def test_intervals_begin_where_the_calendar_says(interval, starts):
    newest = (
        datetime(2024, 10, 4, 5, tzinfo=UTC)
        if isinstance(interval, timedelta)
        else datetime(2024, 3, 1, 5, tzinfo=UTC)
    )
    found = starts_up_to(newest, interval, 2)
    assert [f"{start:%Y-%m-%d}" for start in found] == starts


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([*Interval, timedelta(seconds=1), timedelta(days=10**6)]),
    st.integers(1, 5),
)
def test_beginnings_ascend_and_the_last_is_not_behind_the_newest(newest, interval, limit):
    starts = starts_up_to(newest, interval, limit)
    assert list(starts) == sorted(set(starts))
    assert 1 <= len(starts) <= limit
    assert starts[-1] <= newest


def test_intervals_before_the_oldest_are_left_out():
    newest = datetime(2024, 3, 1, tzinfo=UTC)
    found = starts_up_to(newest, Interval.MONTH, 9, oldest=newest - timedelta(days=1))
    assert [start.month for start in found] == [2, 3]


def test_the_first_intervals_begin_with_the_year_one():
    first = datetime(1, 1, 1, tzinfo=UTC)
    for interval in (*Interval, timedelta(days=5_000)):
        assert starts_up_to(datetime(1, 1, 1, 3, tzinfo=UTC), interval, 9) == (first,)


@given(st.floats(allow_nan=False))
def test_numbers_come_back_from_their_digits(value):
    assert plain_number(sortable_number(value)) == value


def test_values_come_back_from_their_terms():
    assert term_value(string_term(("a",), "b\x1ec")) == ("b\x1ec", False)
    assert term_value(string_term(("a",), "é" * 200)) == ("é" * 100, True)


def test_there_is_no_mean_of_nothing():
    nothing = NumberStatistics(field=WEIGHT, count=0, minimum=None, maximum=None, total=0.0, missing=1)
    assert nothing.mean is None
