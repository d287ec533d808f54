"""A filter means the same in SQL as in the reference evaluator, for memories as they are and as they were."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.domain.clock import ManualClock
from mnemata.domain.filter import (
    EVERYTHING,
    FIELD_TYPES,
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
    matches,
)
from mnemata.domain.ids import SequentialIds
from mnemata.domain.memory import Memory, MemoryDraft, Operation
from mnemata.domain.rules import new_memory
from mnemata.domain.scope import DEFAULT_TENANT, Scope
from mnemata.observability.metrics import Metrics
from mnemata.store.database import Database, PoolOptions

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDS = [SequentialIds().new(), *(SequentialIds(start_ms=1_767_225_600_000 + n).new() for n in range(1, 6))]
SCOPE = Scope(tenant=DEFAULT_TENANT)

# Few values, so that conditions hit; odd ones, so that collation, quoting and absence show.
texts = st.sampled_from(
    ["a", "A", "ab", "ä", "z", "é", "%", "_", "a%", "'", '"', "\\", "{a,b}", "NULL", "x" * 250, "🙂", " a"]
)
any_text = texts | st.sampled_from(["", "\x00", "\ud800", "x" * 210])
numbers = st.sampled_from([0, 1, 2, 3, -1, 0.5, 1.0, -0.0, 1e300, -1e-300, 2**53, 10**18]) | st.integers(0, 5)
moments = st.sampled_from(
    [NOW - timedelta(days=n, microseconds=n) for n in range(5)]
    + [datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)]
    + [datetime(2026, 4, 30, 14, tzinfo=timezone(timedelta(hours=2)))]
)
dates = st.sampled_from(["2026-04-30", "2026-04-30T12:00:00Z", "2026-05-01T01:00:00+02:00", "2026-13-01"])
keys = st.sampled_from(["a", "b", "a.b", "A", "k\\", "ä"])
scalars = st.none() | st.booleans() | numbers | texts | dates
metadata = st.dictionaries(
    keys,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=2)
    ),
    max_size=3,
)
optional_text = st.none() | texts.filter(lambda text: bool(text.strip()))
drafts = st.builds(
    MemoryDraft,
    content=st.just("content"),
    kind=texts,
    user_id=optional_text,
    agent_id=optional_text,
    session_id=optional_text,
    role=optional_text,
    source=optional_text,
    sequence=st.none() | st.integers(0, 4) | st.just(2**53 - 1),
    tags=st.lists(texts, max_size=3, unique=True).map(tuple),
    metadata=metadata,
    importance=st.sampled_from([0.0, 0.1, 0.5, 0.1 + 0.2, 1.0]),
    occurred_at=st.none() | moments,
    expires_at=st.none() | st.just(datetime(9999, 1, 1, tzinfo=UTC)),
)


def operands(field: Field) -> st.SearchStrategy:
    match field.type:
        case FieldType.STRING if field.name == "id":
            return st.sampled_from([*map(str, IDS), str(IDS[0]).upper(), "no id"])
        case FieldType.STRING | FieldType.STRINGS:
            return any_text
        case FieldType.NUMBER:
            return numbers | st.just(10**400)
        case FieldType.TIME:
            return moments
        case FieldType.METADATA:
            return (
                st.booleans() | numbers | any_text.filter(lambda text: "\ud800" not in text) | dates | moments
            )


paths = st.lists(keys, min_size=1, max_size=2).map(tuple) | st.just(("\x00",))
plain_fields = st.sampled_from([Field(name=name) for name in FIELD_TYPES])
fields = plain_fields | paths.map(lambda path: Field(name="metadata", path=path))


def leaves(field: Field) -> st.SearchStrategy[Filter]:
    values = st.lists(operands(field), max_size=3).map(tuple)
    found: list[st.SearchStrategy[Filter]] = [
        st.builds(AnyOf, field=st.just(field), values=values),
        st.builds(AllOf, field=st.just(field), values=values),
        st.builds(Exists, field=st.just(field)),
    ]
    if field.type in {FieldType.STRING, FieldType.STRINGS, FieldType.METADATA}:
        prefixes = st.sampled_from(["", "a", "A", "x" * 100, "%", "01", "2026", "\x00"])
        found.append(st.builds(Prefix, field=st.just(field), text=prefixes))
    bounds: list[st.SearchStrategy] = []
    if field.type in {FieldType.NUMBER, FieldType.METADATA}:
        bounds.append(numbers)
    if field.type in {FieldType.TIME, FieldType.METADATA}:
        bounds.append(moments)
    found += [
        st.builds(
            Range,
            field=st.just(field),
            low=st.none() | bound,
            high=st.none() | bound,
            include_low=st.booleans(),
            include_high=st.booleans(),
        )
        for bound in bounds
    ]
    return st.one_of(found)


filters = st.recursive(
    st.just(EVERYTHING) | fields.flatmap(leaves),
    lambda inner: (
        st.builds(Not, item=inner)
        | st.builds(And, items=st.lists(inner, max_size=3).map(tuple))
        | st.builds(Or, items=st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


class Undone(Exception):
    """Ends an example: nothing that it stored stays."""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(
        database_url, options=PoolOptions(pool_min=1, pool_max=2), metrics=Metrics(), clock=ManualClock(NOW)
    )
    yield opened
    await opened.close()


@pytest.mark.slow
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    drafts=st.lists(drafts, min_size=1, max_size=6),
    conditions=st.lists(filters, min_size=1, max_size=8),
    data=st.data(),
)
async def test_sql_finds_what_the_reference_finds(database: Database, drafts, conditions, data):
    memories = [
        replace(
            new_memory(draft, memory_id=memory_id, tenant=DEFAULT_TENANT, now=NOW - timedelta(days=1)),
            updated_at=data.draw(moments.filter(lambda moment: moment <= NOW)),
        )
        for draft, memory_id in zip(drafts, IDS, strict=False)
    ]
    with pytest.raises(Undone):
        async with database.tenant(SCOPE) as transaction:
            await transaction.memories.insert(memories, operation=Operation.CREATED)
            for condition in conditions:
                expected = _ids([memory for memory in memories if matches(condition, memory)])
                now = await transaction.memories.page(condition, limit=100, now=NOW)
                then = await transaction.memories.page_as_of(condition, limit=100, as_of=NOW)
                assert _ids(now) == expected
                assert _ids(then) == expected
                assert await transaction.memories.count(condition, now=NOW) == len(expected)
            raise Undone


def _ids(memories: list[Memory]) -> list[str]:
    return sorted(str(memory.id) for memory in memories)
