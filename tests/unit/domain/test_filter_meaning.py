from datetime import UTC, datetime
from uuid import UUID

import pytest

from mnemata.domain import rules
from mnemata.domain.attributes import attribute_terms, parse_instant
from mnemata.domain.filter import (
    EVERYTHING,
    AllOf,
    And,
    AnyOf,
    Exists,
    Field,
    FieldType,
    Filter,
    Not,
    Or,
    Prefix,
    Range,
    both,
    field_elements,
    holds_always,
    matches,
)
from mnemata.domain.ids import MemoryId, TenantId
from mnemata.domain.memory import Memory, MemoryDraft

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def meta(*path: str) -> Field:
    return Field(name="metadata", path=path)


def memory(**fields: object) -> Memory:
    draft = MemoryDraft(**{"content": "c", **fields})
    return rules.new_memory(draft, memory_id=MemoryId(UUID(int=5)), tenant=TenantId("t"), now=NOW)


ANA = memory(
    user_id="ana",
    tags=("work", "home"),
    importance=0.7,
    occurred_at=NOW,
    metadata={
        "score": 3,
        "price": -1.5,
        "zero": -0.0,
        "ok": True,
        "name": "Zoë",
        "when": "2026-01-15",
        "list": [1, "x", [9]],
        "deep": {"items": [{"sku": "a"}, {"sku": "b"}]},
        "a.b": "dotted",
        "none": None,
        "long": "ä" * 300,
    },
)


@pytest.mark.parametrize(
    "condition",
    [
        EVERYTHING,
        AnyOf(field=Field(name="user_id"), values=("bo", "ana")),
        AnyOf(field=Field(name="id"), values=(str(UUID(int=5)),)),
        AnyOf(field=Field(name="tags"), values=("home",)),
        AllOf(field=Field(name="tags"), values=("home", "work")),
        AllOf(field=Field(name="tags"), values=()),
        Prefix(field=Field(name="tags"), text="wo"),
        Prefix(field=Field(name="user_id"), text="an"),
        Exists(field=Field(name="tags")),
        Not(item=Exists(field=Field(name="session_id"))),
        Range(field=Field(name="importance"), low=0.7, high=0.7),
        Range(field=Field(name="occurred_at"), low=NOW),
        Range(field=Field(name="occurred_at"), high=NOW),
        AnyOf(field=meta("score"), values=(3.0,)),
        AnyOf(field=meta("zero"), values=(0.0,)),
        AnyOf(field=meta("ok"), values=(True,)),
        AnyOf(field=meta("list"), values=("x",)),
        AllOf(field=meta("list"), values=("x", 1.0)),
        AnyOf(field=meta("deep", "items", "sku"), values=("b",)),
        AnyOf(field=meta("a.b"), values=("dotted",)),
        AnyOf(field=meta("long"), values=("ä" * 300,)),
        Prefix(field=meta("long"), text="ä" * 100),
        Prefix(field=meta("name"), text="Zo"),
        Range(field=meta("score"), low=3.0, high=5.0, include_high=False),
        Range(field=meta("price"), low=-2.0, high=-1.5),
        Range(field=meta("price"), high=0.0, include_high=False),
        Range(field=meta("when"), low=datetime(2026, 1, 15, tzinfo=UTC)),
        Range(field=meta("when"), high=datetime(2026, 1, 16, tzinfo=UTC)),
        AnyOf(field=meta("when"), values=(datetime(2026, 1, 15, tzinfo=UTC),)),
        Exists(field=meta("deep")),
        Exists(field=meta("deep", "items")),
        Not(item=Exists(field=meta("none"))),
        And(items=()),
        Or(items=(AnyOf(field=Field(name="kind"), values=("no",)), EVERYTHING)),
    ],
)
def test_the_reference_meaning_finds_what_it_says(condition: Filter) -> None:
    assert matches(condition, ANA)
    assert not matches(Not(item=condition), ANA)


@pytest.mark.parametrize(
    "condition",
    [
        Or(items=()),
        AnyOf(field=Field(name="user_id"), values=()),
        AnyOf(field=Field(name="user_id"), values=("Ana",)),
        AnyOf(field=meta("score"), values=("3",)),
        AnyOf(field=meta("ok"), values=(1.0,)),
        AnyOf(field=meta("list"), values=(9.0,)),
        AnyOf(field=meta("a", "b"), values=("dotted",)),
        AnyOf(field=meta("long"), values=("ä" * 299 + "b",)),
        AllOf(field=meta("list"), values=("x", 2.0)),
        Range(field=Field(name="importance"), low=0.7, include_low=False),
        Range(field=Field(name="importance"), high=0.7, include_high=False),
        Range(field=Field(name="sequence"), low=0.0),
        Range(field=meta("name"), low=0.0),
        Range(field=meta("score"), low=3.0, include_low=False),
        Range(field=meta("when"), high=datetime(2026, 1, 15, tzinfo=UTC), include_high=False),
        Prefix(field=Field(name="role"), text="a"),
        Prefix(field=meta("score"), text="3"),
        Exists(field=meta("nam")),
        Not(item=EVERYTHING),
    ],
)
def test_the_reference_meaning_leaves_out_the_rest(condition: Filter) -> None:
    assert not matches(condition, ANA)


def test_both_of_nothing_is_everything_and_of_one_is_that_one() -> None:
    one = Exists(field=Field(name="role"))
    assert both(EVERYTHING, EVERYTHING) is EVERYTHING
    assert both(one, EVERYTHING) is one
    assert both(EVERYTHING, one) is one
    assert both(one, one) == And(items=(one, one))


_TAGS, _USER = Field(name="tags"), Field(name="user_id")
_ALWAYS = [
    EVERYTHING,
    AllOf(field=_TAGS, values=()),
    Not(item=AnyOf(field=_USER, values=())),
    Not(item=Or(items=())),
    Not(item=Not(item=EVERYTHING)),
    Not(item=And(items=(Exists(field=_USER), Or(items=())))),
    And(items=()),
    And(items=(AllOf(field=_TAGS, values=()), EVERYTHING)),
    Or(items=(Exists(field=_USER), EVERYTHING)),
]
_NOT_ALWAYS = [
    Exists(field=_USER),
    Not(item=Exists(field=_USER)),
    AllOf(field=_TAGS, values=("a",)),
    AnyOf(field=_USER, values=()),
    Not(item=AnyOf(field=_USER, values=("ana",))),
    Or(items=()),
    Or(items=(Exists(field=_USER), Not(item=EVERYTHING))),
    And(items=(EVERYTHING, Exists(field=_USER))),
]


@pytest.mark.parametrize("condition", _ALWAYS)
def test_conditions_without_values_are_everything_in_other_words(condition: Filter) -> None:
    assert holds_always(condition)
    assert matches(condition, ANA)


@pytest.mark.parametrize("condition", _NOT_ALWAYS)
def test_a_condition_that_may_fail_is_not_everything(condition: Filter) -> None:
    assert not holds_always(condition)


def test_a_field_tells_its_type_and_its_name() -> None:
    assert meta("a.b", "c").type is FieldType.METADATA
    assert str(meta("a.b", "c")) == r"metadata.a\.b.c"
    assert Field(name="tags").type is FieldType.STRINGS
    assert str(Field(name="tags")) == "tags"


def test_elements_of_an_absent_field_are_none() -> None:
    assert field_elements(Field(name="session_id"), ANA) == ()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-15", datetime(2026, 1, 15, tzinfo=UTC)),
        ("2026-01-15T10:00:00Z", datetime(2026, 1, 15, 10, tzinfo=UTC)),
        ("2026-01-15 10:00:00.5", datetime(2026, 1, 15, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-15t10:00+02:00", datetime(2026, 1, 15, 8, tzinfo=UTC)),
        ("2026-13-15", None),
        ("2026-02-30T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("15.01.2026", None),
        ("2026-01-15x", None),
    ],
)
def test_dates_in_text_are_understood_as_rfc_3339_says(text: str, moment: datetime | None) -> None:
    assert parse_instant(text) == moment


def test_terms_that_are_known_already_give_the_same_answer() -> None:
    condition = AnyOf(field=meta("score"), values=(3.0,))
    assert matches(condition, ANA, frozenset(attribute_terms(ANA.metadata)))
    assert not matches(condition, ANA, frozenset())
