"""Both legs of the local index against the reference: the same set, for any memories and any filter."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemata.domain.change import Position
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
from mnemata.domain.query import Leg
from mnemata.domain.vector import Metric, Space
from mnemata.index.local.partition import Partition
from mnemata.index.local.vectors import VectorOptions
from mnemata.index.protocol import PENDING, Remove, Upsert

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDS = [UUID(int=(0x0190 << 112) | (7 << 76) | (n << 61) | n * 7919) for n in range(24)]
NAMES = st.sampled_from(["a", "ab", "a.b*", "ab\nc", "é", "x" * 250, "(a|b)", "\\d", " a"])
STRINGS = NAMES | st.sampled_from(["", "2026-05-01", "2026-05-01T12:00:00.000001Z", "\x1fa", "日" * 90])
NUMBERS = st.sampled_from([0, 1, -1, 2, 3, 0.5, -0.5, 1e300, -1e300, 5e-324, float(2**53 - 1)]) | st.floats(
    -5, 5
)
TIMES = st.sampled_from([NOON + timedelta(microseconds=1), NOON - timedelta(days=20_000)]) | st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 (hypothesis adds the zone)
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)
KEYS = st.sampled_from(["a", "b", "a.b", "c\\", ".", "a\nb"])
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(tuple)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
FIELD_VALUES = {
    "tags": st.lists(NAMES, max_size=3, unique=True).map(tuple),
    "metadata": st.dictionaries(KEYS, VALUES, max_size=3),
    "sequence": st.none() | st.sampled_from([0, 1, 2, 3, 2**53 - 1]),
    "importance": st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1),
    "version": st.integers(1, 3),
    "created_at": TIMES,
    "updated_at": st.just(NOON),
    "occurred_at": st.none() | TIMES,
    "expires_at": st.none() | TIMES,
    "kind": NAMES,
    "tenant": st.just("t"),
    "content": st.just("c"),
    "content_hash": st.just(b""),
    "superseded_by": st.none(),
    "deleted_at": st.none(),
}


def a_memory(number: int):
    drawn = {item.name: FIELD_VALUES.get(item.name, st.none() | NAMES) for item in fields(Memory)}
    return st.builds(Memory, **(drawn | {"id": st.just(IDS[number])}))


MEMORIES = st.integers(1, len(IDS)).flatmap(lambda count: st.tuples(*map(a_memory, range(count))))


def equalities(field, values):
    return st.builds(AnyOf, field=field, values=st.lists(values, max_size=4).map(tuple))


def ranges(field, bounds):
    bound = st.none() | bounds
    return st.builds(
        Range, field=field, low=bound, high=bound, include_low=st.booleans(), include_high=st.booleans()
    )


def leaves_of(name: str):
    field = st.just(Field(name=name))
    exists = st.builds(Exists, field=field)
    match FIELD_TYPES[name]:
        case FieldType.NUMBER:
            return equalities(field, NUMBERS) | ranges(field, NUMBERS) | exists
        case FieldType.TIME:
            return equalities(field, TIMES) | ranges(field, TIMES) | exists
        case FieldType.STRINGS:
            all_of = st.builds(AllOf, field=field, values=st.lists(NAMES, max_size=3).map(tuple))
            return equalities(field, NAMES) | all_of | st.builds(Prefix, field=field, text=STRINGS) | exists
        case _:
            texts = st.sampled_from(IDS).map(str) if name == "id" else STRINGS
            starts = st.builds(lambda text, width: text[:width], texts, st.integers(0, 36))
            return equalities(field, texts) | st.builds(Prefix, field=field, text=starts) | exists


PATH_FIELDS = st.builds(Field, name=st.just("metadata"), path=PATHS)
METADATA = st.one_of(
    equalities(PATH_FIELDS, STRINGS | NUMBERS | TIMES | st.booleans()),
    st.builds(AllOf, field=PATH_FIELDS, values=st.lists(STRINGS | NUMBERS, max_size=3).map(tuple)),
    ranges(PATH_FIELDS, NUMBERS),
    ranges(PATH_FIELDS, TIMES),
    st.builds(Prefix, field=PATH_FIELDS, text=STRINGS),
    st.builds(Exists, field=PATH_FIELDS),
)
CONDITIONS = st.recursive(
    st.one_of(st.just(EVERYTHING), METADATA, METADATA, *(leaves_of(name) for name in FIELD_TYPES)),
    lambda inner: st.one_of(
        st.builds(Not, item=inner),
        st.builds(And, items=st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, items=st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(MEMORIES, st.lists(CONDITIONS, min_size=15, max_size=15), st.sets(st.sampled_from(IDS)))
def test_both_legs_choose_what_the_reference_chooses_fresh_and_folded(stored, conditions, removed):
    with tempfile.TemporaryDirectory() as folder:
        partition = Partition(
            Path(folder),
            space=Space(name="t", dimensions=4),
            metric=Metric.COSINE,
            vectors=VectorOptions(),
            fold_changes=100,
        )
        half = len(stored) // 2
        first, second = stored[: half + 1], stored[half:]
        partition.apply([Upsert(memory=memory, vector=PENDING) for memory in first], position=at(1))
        partition.save()
        partition.apply([Upsert(memory=memory, vector=PENDING) for memory in second], position=at(2))
        partition.apply([Remove(tenant="t", memory_id=memory_id) for memory_id in removed], position=at(3))
        left = [memory for memory in stored if memory.id not in removed]
        agree(partition, conditions, left)
        partition.save()
        agree(partition, conditions, left)
        partition.close()


def at(sequence: int) -> Position:
    return Position(xid=1, sequence=sequence)


def agree(partition: Partition, conditions, left) -> None:
    for condition in conditions:
        expected = {memory.id for memory in left if matches(condition, memory)}
        for leg in Leg:
            assert partition.matching(condition, leg) == expected, (leg, condition)
