from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.domain.errors import InvalidFilter
from mnemata.domain.filter import FIELD_TYPES, FieldType, matches
from mnemata.domain.memory import Memory
from mnemata.query.filters import OPERATORS, parse_filter, to_json

# How busy the machine is must not decide.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MOMENTS = [datetime(2026, 5, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
DATES = ["2026-05-01", "2026-05-01T12:00:00Z", "2026-05-02T14:00:00+02:00", "2026-05-03"]
WORDS = ["a", "b", "ab", "2026-05-01", "é"]
SCALARS = st.one_of(st.sampled_from(WORDS), st.sampled_from([0, 1, 1.5, -1]), st.booleans())
KEYS = st.sampled_from(["a", "b", "a.b", "a\\b"])

metadata = st.dictionaries(
    KEYS,
    st.recursive(
        st.one_of(st.none(), SCALARS),
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, max_size=2)),
        max_leaves=4,
    ),
    max_size=3,
)
memories = st.builds(
    lambda number, user, tags, moment, importance, data: Memory(
        id=UUID(int=number),
        tenant="t",
        content="c",
        content_hash=b"",
        kind="semantic",
        user_id=user,
        agent_id=None,
        session_id=None,
        sequence=number,
        role=None,
        tags=tuple(tags),
        metadata=data,
        importance=importance,
        source=None,
        external_id=None,
        occurred_at=moment,
        created_at=MOMENTS[0],
        updated_at=MOMENTS[0],
        expires_at=None,
        version=1,
        superseded_by=None,
        deleted_at=None,
    ),
    st.integers(0, 3),
    st.none() | st.sampled_from(WORDS),
    st.lists(st.sampled_from(WORDS), max_size=2),
    st.none() | st.sampled_from(MOMENTS),
    st.sampled_from([0.0, 0.5, 1.0]),
    metadata,
)


def operand(kind: FieldType) -> st.SearchStrategy:
    match kind:
        case FieldType.NUMBER:
            return st.sampled_from([0, 1, 0.5, 3])
        case FieldType.TIME:
            return st.sampled_from(DATES)
        case FieldType.METADATA:
            return SCALARS
        case _:
            return st.sampled_from(WORDS)


def conditions(name: str, kind: FieldType) -> st.SearchStrategy:
    one, several = operand(kind), st.lists(operand(kind), max_size=2)
    options = [one, several, *(st.fixed_dictionaries({key: one}) for key in ("eq", "ne"))]
    options += [st.fixed_dictionaries({key: several}) for key in ("in", "nin", "any")]
    options.append(st.fixed_dictionaries({"exists": st.booleans()}))
    if kind in {FieldType.STRINGS, FieldType.METADATA}:
        options.append(st.fixed_dictionaries({"all": several}))
    if kind not in {FieldType.NUMBER, FieldType.TIME}:
        options.append(st.fixed_dictionaries({"prefix": st.sampled_from(WORDS)}))
    if kind is FieldType.METADATA:
        bound = st.one_of(st.sampled_from([0, 1, 1.5]), st.sampled_from(DATES))
    else:
        bound = one
    if kind not in {FieldType.STRING, FieldType.STRINGS}:
        options.append(st.fixed_dictionaries({"gte": bound}))
        options.append(st.fixed_dictionaries({"gt": bound, "ne": one}))
    return st.one_of(options).map(lambda value: {name: value})


FIELDS = [(name, kind) for name, kind in FIELD_TYPES.items() if name != "id"]
PATHS = ["metadata.a", "metadata.a.b", r"metadata.a\.b", r"metadata.a\\b"]
leaves = st.one_of(
    *(conditions(name, kind) for name, kind in FIELDS),
    *(conditions(path, FieldType.METADATA) for path in PATHS),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"and": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"or": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=6,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from([*OPERATORS, *FIELD_TYPES, "and", "or", "not", "metadata.a"]) | st.text(), inner
        )
    ),
)


@patient
@given(filters)
def test_filter_survives_being_written_as_json_and_read_again(described):
    tree = parse_filter(described)

    assert parse_filter(json.loads(json.dumps(to_json(tree)))) == tree


@patient
@given(leaves, memories)
def test_negated_operator_holds_exactly_where_the_plain_one_does_not(described, memory):
    assert matches(parse_filter({"not": described}), memory) != matches(parse_filter(described), memory)


@patient
@given(leaves, leaves, memories)
def test_or_and_and_mean_what_they_say(left, right, memory):
    one, other = matches(parse_filter(left), memory), matches(parse_filter(right), memory)

    assert matches(parse_filter({"or": [left, right]}), memory) == (one or other)
    assert matches(parse_filter({"and": [left, right]}), memory) == (one and other)


def refusal(value: object) -> InvalidFilter | None:
    try:
        parse_filter(value)
    except InvalidFilter as refused:
        return refused
    return None


@patient
@given(json_values)
def test_any_json_is_read_or_refused_with_a_place_and_a_remedy(value):
    refused = refusal(value)

    if refused is not None:
        assert refused.field.startswith("filter")
        assert refused.remedy
        assert refused.sentence().encode("utf-8")
