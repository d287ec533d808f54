"""The `key:value` operators that people type in a query, each a filter."""

from __future__ import annotations

from mnemata.domain.errors import InvalidFilter
from mnemata.domain.filter import (
    FIELD_TYPES,
    And,
    AnyOf,
    Exists,
    Field,
    FieldType,
    Filter,
    Not,
    Operand,
    Or,
    Prefix,
    Range,
)
from mnemata.query.fields import METADATA, parse_field
from mnemata.query.filters import MAX_PREFIX_BYTES
from mnemata.query.intervals import compare, compared, number, number_or_period, period
from mnemata.query.operands import equal_operand

ALIASES = {
    "tag": "tags",
    "user": "user_id",
    "agent": "agent_id",
    "session": "session_id",
    "speaker": "role",
    "external": "external_id",
    "occurred": "occurred_at",
    "created": "created_at",
    "updated": "updated_at",
    "expires": "expires_at",
}
"""Short names of fields; every field's own name works too."""

WHEN = {"before": "<", "after": ">", "since": ">=", "until": "<=", "on": "="}
"""Operators on the time when a memory was true: `occurred_at`, or where it is absent `created_at`."""

_OCCURRED, _CREATED = Field(name="occurred_at"), Field(name="created_at")


def read_operator(key: str, value: str, *, quoted: bool) -> Filter | None:
    """The filter that `key:value` means, or None where the key is not known or the value does not fit it."""
    name = key.lower()
    if name in WHEN:
        return _when(WHEN[name], value)
    if name == "has":
        return _has(value)
    field = _field(key)
    return None if field is None else _field_filter(field, value, quoted=quoted)


def _field(key: str) -> Field | None:
    name, dot, path = key.partition(".")
    if dot:
        return _parsed(METADATA + path) if name.lower() in {"metadata", "meta"} else None
    return _parsed(ALIASES.get(name.lower(), name.lower()))


def _parsed(name: str) -> Field | None:
    try:
        return parse_field(name, at="query")
    except InvalidFilter:
        return None


def _field_filter(field: Field, value: str, *, quoted: bool) -> Filter | None:
    match field.type:
        case FieldType.NUMBER:
            return compared(field, value, number)
        case FieldType.TIME:
            return compared(field, value, period)
        case FieldType.METADATA:
            return _metadata(field, value, quoted=quoted)
        case _:
            return _strings(field, value, quoted=quoted)


def _when(sign: str, value: str) -> Filter | None:
    interval = period(value)
    if interval is None:
        return None
    learned = And(items=(Not(item=Exists(field=_OCCURRED)), compare(_CREATED, sign, interval)))
    return Or(items=(compare(_OCCURRED, sign, interval), learned))


def _has(value: str) -> Filter | None:
    names = {"date": "occurred_at", "expiry": "expires_at"}
    field = _field(names.get(value.lower(), value))
    return None if field is None else Exists(field=field)


def _strings(field: Field, value: str, *, quoted: bool) -> Filter | None:
    values = (value,) if quoted else tuple(part for part in value.split(",") if part)
    if not quoted and len(values) == 1 and _is_prefix(values[0]):
        return Prefix(field=field, text=values[0][:-1])
    try:
        operands = tuple(equal_operand(field, item, at="query") for item in values)
    except InvalidFilter:
        return None
    return AnyOf(field=field, values=operands) if operands else None


def _metadata(field: Field, value: str, *, quoted: bool) -> Filter | None:
    if quoted:
        return AnyOf(field=field, values=(value,))
    if value[0] in "<>" or ".." in value:
        return compared(field, value, number_or_period)
    if _is_prefix(value):
        return Prefix(field=field, text=value[:-1])
    return _metadata_equal(field, value)


def _metadata_equal(field: Field, value: str) -> Filter:
    # What is typed has no type: 3 may be the number or the string, and a day may be any moment of it.
    operands = tuple[Operand, ...](item for part in value.split(",") if part for item in _readings(part))
    equal = AnyOf(field=field, values=operands or (value,))
    day: Range | None = None if number(value) else compared(field, value, period)
    return equal if day is None else Or(items=(equal, day))


def _readings(part: str) -> tuple[Operand, ...]:
    if part.lower() in {"true", "false"}:
        return (part, part.lower() == "true")
    point = number(part)
    return (part,) if point is None else (part, point.low)


def _is_prefix(value: str) -> bool:
    return (
        len(value) > 1 and value.endswith("*") and len(value.encode("utf-8", "replace")) <= MAX_PREFIX_BYTES
    )


KEYS = frozenset({*ALIASES, *FIELD_TYPES, *WHEN, "has"})
"""Every key that is an operator, besides `metadata.<path>`."""
