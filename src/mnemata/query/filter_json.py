"""The filter tree written as the JSON that reads back as the same filter."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from mnemata.domain.filter import (
    AllOf,
    And,
    AnyOf,
    Everything,
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
from mnemata.domain.memory import JsonScalar, JsonValue
from mnemata.domain.rules import FIRST_MOMENT


def to_json(condition: Filter) -> JsonValue:
    """The JSON object that describes the filter: an answer shows it as what was understood."""
    match condition:
        case Everything():
            return {}
        case And(items=items):
            return {"and": [to_json(item) for item in items]}
        case Or(items=items):
            return {"or": [to_json(item) for item in items]}
        case Not(item=item):
            return {"not": to_json(item)}
        case Exists(field=field):
            return {str(field): {"exists": True}}
        case Prefix(field=field, text=text):
            return {str(field): {"prefix": text}}
        case Range():
            return _range(condition)
        case AnyOf(field=field, values=values):
            return _any_of(field, values)
        case _:
            return _all_of(condition)


def _range(condition: Range) -> JsonValue:
    bounds = dict[str, JsonValue]()
    if condition.low is not None:
        bounds["gte" if condition.include_low else "gt"] = _scalar(condition.low)
    if condition.high is not None:
        bounds["lte" if condition.include_high else "lt"] = _scalar(condition.high)
    return {str(condition.field): bounds or {"gte": _least(condition.field)}}


def _least(field: Field) -> JsonScalar:
    return _scalar(FIRST_MOMENT) if field.type is FieldType.TIME else -sys.float_info.max


def _any_of(field: Field, values: tuple[Operand, ...]) -> JsonValue:
    if any(_is_metadata_moment(field, value) for value in values):
        return {"or": [_equals(field, value) for value in values]}
    return (
        _equals(field, values[0]) if len(values) == 1 else {str(field): {"in": [_scalar(v) for v in values]}}
    )


def _all_of(condition: AllOf) -> JsonValue:
    field, values = condition.field, condition.values
    if any(_is_metadata_moment(field, value) for value in values):
        return {"and": [_equals(field, value) for value in values]}
    return {str(field): {"all": [_scalar(value) for value in values]}}


def _equals(field: Field, value: Operand) -> JsonValue:
    # In metadata a date string equals itself as text; the moment it names is the range that begins and ends there.
    if _is_metadata_moment(field, value):
        return {str(field): {"gte": _scalar(value), "lte": _scalar(value)}}
    return {str(field): _scalar(value)}


def _is_metadata_moment(field: Field, value: Operand) -> bool:
    return field.type is FieldType.METADATA and isinstance(value, datetime)


def _scalar(value: Operand) -> JsonScalar:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
