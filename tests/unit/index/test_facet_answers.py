"""What a cluster's answers to facets mean: whole or refused, and page after page."""

from __future__ import annotations

from typing import Any

import pytest

from mnemata.domain.attributes import number_term, string_term
from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.facet import Interval, NumberStatistics, StatisticsFacet, TimeFacet
from mnemata.domain.filter import Field
from mnemata.index.cluster import aggregations
from mnemata.index.cluster.aggregations import COUNTED, HAVING, PAGE
from mnemata.index.cluster.facets import FacetSearch, whole

SCORE = StatisticsFacet(field=Field(name="metadata", path=("score",)))
SHARDS = {"failed": 0}


def page(terms: list[str], *, matching: int = 0, having: int = 0) -> Any:
    buckets = [{"key": {"terms": term}, "doc_count": 2} for term in terms]
    return {
        "timed_out": False,
        "_shards": SHARDS,
        "hits": {"total": {"value": matching}, "hits": []},
        "aggregations": {COUNTED: {"buckets": buckets}, HAVING: {"doc_count": having}},
    }


def numbers(first: int, count: int) -> list[str]:
    return [number_term(("score",), float(n)) for n in range(first, first + count)]


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"type": "some_exception"}, "status": 500},
        {"timed_out": True, "_shards": SHARDS},
        {"timed_out": False, "_shards": {"failed": 1}},
    ],
)
def test_half_a_count_is_refused(answer):
    with pytest.raises(IndexUnavailable):
        whole(answer)


def test_a_page_that_is_not_full_or_ends_behind_the_numbers_is_the_last():
    assert aggregations.next_after(SCORE, page(numbers(0, 3))) is None
    full = numbers(0, PAGE)
    assert aggregations.next_after(SCORE, page(full)) == full[-1]
    behind = [*full[1:], string_term(("score",), "high")]
    assert aggregations.next_after(SCORE, page(behind)) is None


async def test_all_pages_of_numbers_are_read_and_summed_up():
    first, last = page(numbers(0, PAGE), matching=9, having=4), page(numbers(PAGE, 1))
    asked: list[Any] = []

    async def ask(bodies):
        asked.extend(bodies.values())
        return dict.fromkeys(bodies, last if len(asked) > 1 else first)

    (facet,) = await FacetSearch(ask, {"size": 0}).run([SCORE])
    assert facet == NumberStatistics(
        field=SCORE.field,
        count=2 * (PAGE + 1),
        minimum=0.0,
        maximum=float(PAGE),
        total=float(PAGE * (PAGE + 1)),
        missing=5,
    )
    after = [body["aggs"][COUNTED]["composite"]["after"]["terms"] for body in asked]
    assert after == ["score\x1fn\x1f", numbers(PAGE - 1, 1)[0]]


def test_no_interval_is_counted_where_no_memory_has_a_time():
    request = TimeFacet(field=Field(name="occurred_at"), interval=Interval.DAY)
    for hits in ([], [{"sort": [-(2**63)]}]):
        assert aggregations.starts_told(request, {"hits": {"hits": hits}}) == ()


def test_patterns_are_for_the_text_itself():
    assert aggregations.escaped("a.b*[c]") == "a\\.b\\*\\[c\\]"
