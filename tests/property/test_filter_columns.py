"""The columns' filter against the reference: the same set, for any memories and any filter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemata.domain.filter import (
    EVERYTHING,
    FIELD_TYPES,
    AllOf,
    And,
    AnyOf,
    Exists,
    Field,
    FieldType,
    Not,
    Or,
    Prefix,
    Range,
    matches,
)
from mnemata.domain.memory import Memory
from mnemata.index.local.column_filter import select
from mnemata.index.local.columns import Columns

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDS = [UUID(int=(0x0190 << 112) | (n << 60) | n * 7919) for n in range(40)]
WORDS = st.sampled_from(
    ["", "a", "ab", "abc", "b", "é", "2026-05-01", "2026-05-01T12:00:00Z", "x" * 250, "\x1fa"]
)
WHOLE = st.integers(-3, 3) | st.sampled_from([2**53 + 1, -(2**60)])
NUMBERS = WHOLE | st.sampled_from([0.0, 0.5, 1.0, -0.5, 1e300, float("inf"), float(2**53)]) | st.booleans()
TIMES = st.sampled_from([NOON, NOON + timedelta(microseconds=1), NOON - timedelta(days=20_000)])
KEYS = st.sampled_from(["a", "b", "a.b", "", "c\\d"])
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(tuple)
VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, -2, 0.5, -0.0, 1e300]) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def memories(draw):
    count = draw(st.integers(0, 16))
    optional = st.none() | WORDS
    return [
        Memory(
            id=IDS[number],
            tenant="t",
            content="c",
            content_hash=b"",
            kind=draw(WORDS),
            user_id=draw(optional),
            agent_id=draw(optional),
            session_id=None,
            sequence=draw(st.none() | WHOLE),
            role=draw(optional),
            tags=tuple(draw(st.lists(WORDS, max_size=3))),
            metadata=draw(st.dictionaries(KEYS, VALUES, max_size=3)),
            importance=draw(st.sampled_from([0.0, 0.5, 1.0])),
            source=None,
            external_id=None,
            occurred_at=draw(st.none() | TIMES),
            created_at=draw(TIMES),
            updated_at=NOON,
            expires_at=None,
            version=draw(st.integers(1, 3)),
            superseded_by=None,
            deleted_at=None,
        )
        for number in range(count)
    ]


def leaves_of(name: str):
    """The leaves that the filter grammar can write for a field."""
    field = st.just(Field(name=name))
    match FIELD_TYPES[name]:
        case FieldType.NUMBER:
            return st.one_of(
                equalities(field, NUMBERS), ranges(field, NUMBERS), st.builds(Exists, field=field)
            )
        case FieldType.TIME:
            return st.one_of(equalities(field, TIMES), ranges(field, TIMES), st.builds(Exists, field=field))
        case FieldType.STRINGS:
            return st.one_of(
                equalities(field, WORDS),
                st.builds(AllOf, field=field, values=st.lists(WORDS, max_size=3).map(tuple)),
                st.builds(Prefix, field=field, text=WORDS),
                st.builds(Exists, field=field),
            )
        case _:
            texts = st.sampled_from([str(one) for one in IDS[:9]]) | WORDS if name == "id" else WORDS
            starts = st.builds(lambda text, width: text[:width], texts, st.integers(0, 36))
            return st.one_of(
                equalities(field, texts),
                st.builds(Prefix, field=field, text=starts),
                st.builds(Exists, field=field),
            )


def equalities(field, values):
    return st.builds(AnyOf, field=field, values=st.lists(values, max_size=7).map(tuple))


def ranges(field, bounds):
    bound = st.none() | bounds
    return st.builds(
        Range, field=field, low=bound, high=bound, include_low=st.booleans(), include_high=st.booleans()
    )


PATH_FIELDS = st.builds(Field, name=st.just("metadata"), path=PATHS)
METADATA = st.one_of(
    equalities(PATH_FIELDS, WORDS | NUMBERS | TIMES),
    st.builds(AllOf, field=PATH_FIELDS, values=st.lists(WORDS | NUMBERS, max_size=3).map(tuple)),
    ranges(PATH_FIELDS, NUMBERS),
    ranges(PATH_FIELDS, TIMES),
    st.builds(Prefix, field=PATH_FIELDS, text=WORDS),
    st.builds(Exists, field=PATH_FIELDS),
)
LEAVES = st.one_of(st.just(EVERYTHING), METADATA, *(leaves_of(name) for name in FIELD_TYPES))
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, item=inner),
        st.builds(And, items=st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, items=st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(memories(), CONDITIONS, st.sets(st.integers(0, 39)))
def test_columns_choose_what_the_reference_chooses(stored, condition, ended):
    columns = Columns()
    if stored:
        columns.append(stored, [True] * len(stored))
    columns.end(sorted(number for number in ended if number < len(stored)))
    columns.publish()
    chosen = {stored[slot].id for slot in select(columns.snapshot, condition).numbers().tolist()}
    expected = {
        memory.id for slot, memory in enumerate(stored) if slot not in ended and matches(condition, memory)
    }
    assert chosen == expected


@settings(max_examples=40, deadline=None)
@given(memories(), st.lists(CONDITIONS, min_size=1, max_size=3))
def test_conditions_on_a_narrowed_selection_choose_the_same(stored, conditions):
    """One user in forty: what follows the narrow condition looks at few slots only."""
    columns = Columns()
    repeated = [stored[number % len(stored)] for number in range(800)] if stored else []
    if repeated:
        columns.append(repeated, [True] * len(repeated))
        columns.publish()
    narrow = And(items=(AnyOf(field=Field(name="id"), values=(str(IDS[3]),)), *conditions))
    chosen = select(columns.snapshot, narrow).numbers().tolist()
    assert chosen == [slot for slot, memory in enumerate(repeated) if matches(narrow, memory)]
