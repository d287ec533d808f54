from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mnemata.domain.errors import InvalidField, InvalidQuery, TooLarge
from mnemata.domain.filter import And, AnyOf, Field
from mnemata.domain.query import Mode, Query, Words
from mnemata.query.plan import MAX_QUERY_BYTES, MAX_WINDOW, plan

ANA = AnyOf(field=Field(name="user_id"), values=("ana",))
WORK = AnyOf(field=Field(name="tags"), values=("work",))


def test_plain_text_is_planned_with_the_defaults():
    assert plan("green tea") == Query(text="green tea", words=Words(text="green tea"))


def test_typed_operators_and_the_given_filter_hold_together():
    assert plan("tea tag:work", condition=ANA).filter == And(items=(WORK, ANA))


def test_options_reach_the_query():
    query = plan(
        "tea topic:x",
        mode="lexical",
        limit=200,
        offset=MAX_WINDOW - 200,
        context=10,
        diversity=1,
        explain=True,
        as_of=datetime(2026, 5, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    )

    assert (query.mode, query.limit, query.offset, query.context) == (Mode.LEXICAL, 200, 800, 10)
    assert (query.diversity, query.explain) == (1.0, True)
    assert query.as_of == datetime(2026, 5, 1, tzinfo=UTC)
    assert query.unknown == ("topic:x",)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_query_of_nothing_is_refused_with_the_listing_as_remedy(text):
    with pytest.raises(InvalidQuery, match="GET /v1/memories"):
        plan(text)


def test_query_of_operators_alone_is_allowed():
    assert plan("tag:work").words.empty


@pytest.mark.parametrize("text", ["-draft", 'tag:work -"two words"'])
def test_exclusions_alone_are_refused_rather_than_ignored(text):
    with pytest.raises(InvalidQuery, match="must not stand there"):
        plan(text)


def test_filter_alone_is_allowed():
    assert plan("", condition=ANA).filter == ANA


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 991}, "offset"),
        ({"context": -1}, "context"),
        ({"context": 11}, "context"),
        ({"diversity": -0.1}, "diversity"),
        ({"diversity": 1.1}, "diversity"),
        ({"diversity": float("nan")}, "diversity"),
        ({"as_of": datetime(2026, 5, 1)}, "as_of"),  # noqa: DTZ001
        ({"personalize_for": ""}, "personalize_for"),
        ({"personalize_for": "\ud800"}, "personalize_for"),
    ],
)
def test_option_out_of_bounds_is_refused_by_its_name(options, field):
    with pytest.raises(InvalidField) as refused:
        plan("tea", **options)

    assert refused.value.field == field


@pytest.mark.parametrize(("mode", "remedy"), [("lexicl", "'lexical'"), ("?", "hybrid, lexical, vector")])
def test_unknown_mode_is_refused_with_the_known_ones(mode, remedy):
    with pytest.raises(InvalidField, match=remedy):
        plan("tea", mode=mode)


@pytest.mark.parametrize("text", ["tea\x00", "tea\ud800"])
def test_text_that_json_cannot_carry_is_refused(text):
    with pytest.raises(InvalidQuery) as refused:
        plan(text)

    assert refused.value.field == "query"


def test_query_of_the_allowed_length_is_planned_and_a_longer_one_is_refused():
    assert plan("a " * (MAX_QUERY_BYTES // 2))
    with pytest.raises(TooLarge, match="query is larger than 32,768 bytes"):
        plan("é" * (MAX_QUERY_BYTES // 2 + 1))
