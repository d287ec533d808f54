from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from mnemata.domain.errors import InvalidFilter
from mnemata.domain.filter import (
    EVERYTHING,
    FIELD_TYPES,
    AllOf,
    And,
    AnyOf,
    Exists,
    Field,
    Not,
    Or,
    Prefix,
    Range,
)
from mnemata.query.filters import MAX_DEPTH, MAX_NODES, MAX_VALUES, OPERATORS, parse_filter, to_json

MAY = datetime(2026, 5, 1, tzinfo=UTC)
USER = Field(name="user_id")
TAGS = Field(name="tags")
CREATED = Field(name="created_at")
IMPORTANCE = Field(name="importance")
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def topic(*path: str) -> Field:
    return Field(name="metadata", path=path)


@pytest.mark.parametrize(
    ("given", "tree"),
    [
        ({}, EVERYTHING),
        ({"user_id": "ana"}, AnyOf(field=USER, values=("ana",))),
        ({"user_id": ["ana", "bob"]}, AnyOf(field=USER, values=("ana", "bob"))),
        ({"user_id": []}, AnyOf(field=USER, values=())),
        ({"user_id": {"eq": "ana"}}, AnyOf(field=USER, values=("ana",))),
        ({"user_id": {"ne": "ana"}}, Not(item=AnyOf(field=USER, values=("ana",)))),
        ({"user_id": {"in": ["ana"]}}, AnyOf(field=USER, values=("ana",))),
        ({"user_id": {"nin": ["ana", "bob"]}}, Not(item=AnyOf(field=USER, values=("ana", "bob")))),
        ({"user_id": {"exists": True}}, Exists(field=USER)),
        ({"user_id": {"exists": False}}, Not(item=Exists(field=USER))),
        ({"user_id": {"prefix": "a"}}, Prefix(field=USER, text="a")),
        ({"id": ID.upper()}, AnyOf(field=Field(name="id"), values=(ID,))),
        ({"tags": {"any": ["work", "home"]}}, AnyOf(field=TAGS, values=("work", "home"))),
        ({"tags": {"all": ["work", "home"]}}, AllOf(field=TAGS, values=("work", "home"))),
        ({"importance": {"gt": 0.5}}, Range(field=IMPORTANCE, low=0.5, include_low=False)),
        ({"sequence": {"lte": 3}}, Range(field=Field(name="sequence"), high=3)),
        ({"created_at": {"gte": "2026-05-01"}}, Range(field=CREATED, low=MAY)),
        ({"created_at": "2026-05-01T02:00:00+02:00"}, AnyOf(field=CREATED, values=(MAY,))),
        ({"metadata.score": 3}, AnyOf(field=topic("score"), values=(3,))),
        ({"metadata.on": True}, AnyOf(field=topic("on"), values=(True,))),
        ({"metadata.due": "2026-05-01"}, AnyOf(field=topic("due"), values=("2026-05-01",))),
        ({"metadata.due": {"lt": "2026-05-01"}}, Range(field=topic("due"), high=MAY, include_high=False)),
        ({"metadata.a.b": "x"}, AnyOf(field=topic("a", "b"), values=("x",))),
        ({r"metadata.a\.b.c\\d": "x"}, AnyOf(field=topic("a.b", "c\\d"), values=("x",))),
        ({"not": {"user_id": "ana"}}, Not(item=AnyOf(field=USER, values=("ana",)))),
        ({"and": []}, EVERYTHING),
        ({"and": [{}, {"user_id": "ana"}]}, AnyOf(field=USER, values=("ana",))),
        ({"or": []}, Or(items=())),
        ({"or": [{"user_id": "ana"}, {}]}, Or(items=(AnyOf(field=USER, values=("ana",)), EVERYTHING))),
    ],
)
def test_json_filter_is_read_as_this_tree_and_written_back(given, tree):
    assert parse_filter(given) == tree
    assert parse_filter(to_json(tree)) == tree


def test_keys_of_an_object_hold_together():
    given = {"user_id": "ana", "tags": {"any": ["work"]}, "or": [{"importance": {"gte": 0.5}}]}

    assert parse_filter(given) == And(
        items=(
            AnyOf(field=USER, values=("ana",)),
            AnyOf(field=TAGS, values=("work",)),
            Or(items=(Range(field=IMPORTANCE, low=0.5),)),
        )
    )


def test_several_bounds_on_one_field_are_one_range():
    given = {"metadata.score": {"gte": 3, "ne": 4, "lt": 5}}

    assert parse_filter(given) == And(
        items=(
            Not(item=AnyOf(field=topic("score"), values=(4,))),
            Range(field=topic("score"), low=3, high=5, include_high=False),
        )
    )


def test_integers_that_a_double_cannot_hold_are_compared_as_doubles():
    large = 2**60 + 1

    condition = parse_filter({"metadata.n": large})

    assert condition == AnyOf(field=topic("n"), values=(float(large),))
    assert isinstance(condition.values[0], float)


@pytest.mark.parametrize(
    ("given", "at", "remedy"),
    [
        ("user", "filter", "as in"),
        (None, "filter", "as in"),
        ([], "filter", "as in"),
        ({"user": "ana"}, "filter.user", "'user_id'"),
        ({"zzz": "ana"}, "filter.zzz", "metadata.<key>"),
        ({"metadata": {"a": 1}}, "filter.metadata", "Name a path"),
        ({"metadata.": 1}, "filter.metadata.", "double dots"),
        ({"metadata.a..b": 1}, "filter.metadata.a..b", "double dots"),
        ({"metadata.a\\b": 1}, "filter.metadata.a\\b", "backslash"),
        ({"metadata." + ".".join("k" * 17): 1}, "filter.metadata." + ".".join("k" * 17), "Shorten"),
        ({"metadata." + "k" * 257: 1}, "filter.metadata." + "k" * 247, "at most 256"),
        ({"metadata.a\x1fb": 1}, "filter.metadata.a\x1fb", "printable"),
        ({"metadata.a\x00b": 1}, "filter.metadata.a\x00b", "U+0000"),
        ({"metadata.a\ud800": 1}, "filter.metadata.a\\ud800", "valid Unicode"),
        ({"user_id": None}, "filter.user_id", "exists"),
        ({"created_at": None}, "filter.created_at", "exists"),
        ({"importance": None}, "filter.importance", "exists"),
        ({"metadata.a": None}, "filter.metadata.a", "exists"),
        ({"user_id": {"eq": None}}, "filter.user_id.eq", "exists"),
        ({"user_id": {"in": ["ana", None]}}, "filter.user_id.in[1]", "exists"),
        ({"user_id": 7}, "filter.user_id", "quotation marks"),
        ({"user_id": "a\x00"}, "filter.user_id", "U+0000"),
        ({"user_id": "a\ud800"}, "filter.user_id", "valid Unicode"),
        ({"user_id": "a" * 65_537}, "filter.user_id", "prefix"),
        ({"user_id": {}}, "filter.user_id", "Use one of"),
        ({"user_id": {"equals": "ana"}}, "filter.user_id.equals", "Use one of"),
        ({"user_id": {"exist": True}}, "filter.user_id.exist", "'exists'"),
        ({"user_id": {"gt": "ana"}}, "filter.user_id.gt", "prefix"),
        ({"user_id": {"all": ["ana"]}}, "filter.user_id.all", "eq or in"),
        ({"user_id": {"in": "ana"}}, "filter.user_id.in", "as in"),
        ({"user_id": {"exists": 1}}, "filter.user_id.exists", "true or false"),
        ({"user_id": {"prefix": ""}}, "filter.user_id.prefix", "exists"),
        ({"user_id": {"prefix": 1}}, "filter.user_id.prefix", "quotation marks"),
        ({"user_id": {"prefix": "é" * 101}}, "filter.user_id.prefix", "Shorten"),
        ({"importance": {"prefix": "0"}}, "filter.importance.prefix", "gte and lt"),
        ({"id": "seven"}, "filter.id", "UUID"),
        ({"importance": "high"}, "filter.importance", "without quotation marks"),
        ({"importance": True}, "filter.importance", "without quotation marks"),
        ({"importance": math.nan}, "filter.importance", "Send a number"),
        ({"importance": {"lt": math.inf}}, "filter.importance.lt", "Send a number"),
        ({"sequence": 10**400}, "filter.sequence", "Send a number"),
        ({"created_at": 5}, "filter.created_at", "2026-05-01"),
        ({"created_at": {"gt": "soon"}}, "filter.created_at.gt", "2026-05-01"),
        ({"created_at": {"gt": "0001-01-01T00:00:00+14:00"}}, "filter.created_at.gt", "2026-05-01"),
        ({"metadata.a": {"gt": "b"}}, "filter.metadata.a.gt", "2026-05-01"),
        ({"metadata.a": {"gt": True}}, "filter.metadata.a.gt", "without quotation marks"),
        ({"metadata.a": {"in": [[1]]}}, "filter.metadata.a.in[0]", "elements"),
        ({"metadata.a": [{"b": 1}]}, "filter.metadata.a[0]", "elements"),
        ({"metadata.a": {"gt": 1, "gte": 1}}, "filter.metadata.a.gt", "one of the two"),
        ({"metadata.a": {"lt": 1, "lte": 1}}, "filter.metadata.a.lt", "one of the two"),
        ({"metadata.a": {"gt": 1, "lt": "2026-01-01"}}, "filter.metadata.a", "one type"),
        ({"or": {"user_id": "ana"}}, "filter.or", "as in"),
        ({"or": [{"user_id": "ana"}, 3]}, "filter.or[1]", "as in"),
        ({"not": [{"user_id": "ana"}]}, "filter.not", "as in"),
        ({"and": [{"not": {"tags": {"some": ["a"]}}}]}, "filter.and[0].not.tags.some", "Use one of"),
    ],
)
def test_wrong_filter_is_refused_at_its_path_with_a_remedy(given, at, remedy):
    with pytest.raises(InvalidFilter) as refused:
        parse_filter(given)

    assert refused.value.field == at
    assert remedy in refused.value.remedy


def test_no_sentence_ends_twice():
    with pytest.raises(InvalidFilter) as refused:
        parse_filter({"user": "ana"})

    assert str(refused.value).endswith("'metadata.<key>'.")
    assert "?." not in str(refused.value)


@pytest.mark.parametrize("name", sorted(FIELD_TYPES))
def test_every_field_of_the_memory_can_be_asked_for(name):
    assert parse_filter({name: {"exists": True}}) == Exists(field=Field(name=name))


def test_every_operator_is_read():
    operands = {"in": ["a"], "nin": ["a"], "any": ["a"], "all": ["a"], "exists": True, "prefix": "a"}
    bounds = {"gt": 1, "gte": 1, "lt": 1, "lte": 1}

    for name in OPERATORS:
        assert parse_filter({"metadata.a": {name: operands.get(name, bounds.get(name, "a"))}}) != EVERYTHING


def test_filter_of_the_allowed_depth_is_read_and_a_deeper_one_is_refused():
    def nested(levels: int) -> dict:
        tree: dict = {"user_id": "ana"}
        for _ in range(levels - 1):
            tree = {"not": tree}
        return tree

    assert parse_filter(nested(MAX_DEPTH))
    with pytest.raises(InvalidFilter, match="nested deeper"):
        parse_filter(nested(MAX_DEPTH + 1))


def test_filter_that_could_exhaust_the_stack_is_refused():
    tree: dict = {"user_id": "ana"}
    for _ in range(100_000):
        tree = {"not": tree}

    with pytest.raises(InvalidFilter, match="nested deeper"):
        parse_filter(tree)
    while "not" in tree:  # taken apart by hand: freeing it whole would recurse
        tree = tree["not"]


def test_filter_of_too_many_conditions_is_refused():
    with pytest.raises(InvalidFilter, match="256 conditions"):
        parse_filter({"or": [{"user_id": str(n)} for n in range(MAX_NODES)]})


def test_filter_of_too_many_values_is_refused():
    assert parse_filter({"user_id": [str(n) for n in range(MAX_VALUES)]})
    with pytest.raises(InvalidFilter, match="1,000 values"):
        parse_filter({"user_id": [str(n) for n in range(MAX_VALUES)], "tags": ["one"]})


@pytest.mark.parametrize(
    ("tree", "written"),
    [
        (
            AnyOf(field=topic("due"), values=(MAY,)),
            {"or": [{"metadata.due": {"gte": "2026-05-01T00:00:00Z", "lte": "2026-05-01T00:00:00Z"}}]},
        ),
        (
            AllOf(field=topic("due"), values=(MAY, 1)),
            {
                "and": [
                    {"metadata.due": {"gte": "2026-05-01T00:00:00Z", "lte": "2026-05-01T00:00:00Z"}},
                    {"metadata.due": 1},
                ]
            },
        ),
        (Range(field=CREATED), {"created_at": {"gte": "0001-01-02T00:00:00Z"}}),
        (Range(field=IMPORTANCE), {"importance": {"gte": -1.7976931348623157e308}}),
        (Range(field=topic("n"), high=2, include_high=False), {"metadata.n": {"lt": 2}}),
        (Not(item=EVERYTHING), {"not": {}}),
    ],
)
def test_trees_that_json_has_no_word_for_are_written_by_their_meaning(tree, written):
    assert to_json(tree) == written
    assert parse_filter(written) is not None
