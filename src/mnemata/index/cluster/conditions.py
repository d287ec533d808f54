"""The filter tree in the query language of the cluster: exact, without a part in the score.

Metadata is one keyword field of typed terms, whose byte order is the order of the values: a range over a path is a range of
terms, and no path needs a field of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mnemata.domain import attributes
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
    metadata_bounds,
    metadata_term,
)
from mnemata.domain.ids import TenantId
from mnemata.index.local.document import microseconds

Clause = dict[str, Any]

ATTRIBUTES = "attributes"
PRESENT = "present"
ALL: Clause = {"match_all": {}}
NONE: Clause = {"match_none": {}}

_MOST_TERMS = 65_536
"""The most values that a cluster takes in one `terms` query."""


def within(tenant: TenantId, condition: Filter) -> list[Clause]:
    """The clauses that hold for the tenant's memories for which the filter holds."""
    of_tenant: Clause = {"term": {"tenant": tenant}}
    return [of_tenant] if isinstance(condition, Everything) else [of_tenant, compiled(condition)]


def compiled(condition: Filter) -> Clause:
    """The clause that holds exactly where the filter does."""
    match condition:
        case Everything():
            return ALL
        case Not(item=item):
            return none_of([compiled(item)])
        case And(items=items):
            return all_of([compiled(item) for item in items])
        case Or(items=items):
            return any_of([compiled(item) for item in items])
        case _ if condition.field.path:
            return _metadata(condition)
        case _:
            return _field(condition)


def all_of(clauses: Sequence[Clause]) -> Clause:
    return {"bool": {"filter": list(clauses)}} if clauses else ALL


def any_of(clauses: Sequence[Clause]) -> Clause:
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}} if clauses else NONE


def none_of(clauses: Sequence[Clause]) -> Clause:
    return {"bool": {"must_not": list(clauses)}}


def _metadata(condition: AnyOf | AllOf | Range | Prefix | Exists) -> Clause:
    path = condition.field.path
    match condition:
        case AnyOf(values=values):
            return _terms(ATTRIBUTES, [metadata_term(path, value) for value in values])
        case AllOf(values=values):
            return all_of([{"term": {ATTRIBUTES: metadata_term(path, value)}} for value in values])
        case Range():
            low, high = metadata_bounds(condition)
            return {"range": {ATTRIBUTES: {"gte": low, "lt": high}}} if low < high else NONE
        case Prefix(text=text):
            return {"prefix": {ATTRIBUTES: {"value": attributes.string_prefix(path, text)}}}
        case Exists():
            return {"term": {PRESENT: f"metadata.{attributes.path_text(path)}"}}


def _field(condition: AnyOf | AllOf | Range | Prefix | Exists) -> Clause:
    field = condition.field
    match condition:
        case AnyOf(values=values):
            return _terms(field.name, _stored(field, values))
        case AllOf(values=values):
            return all_of([_terms(field.name, _stored(field, (value,))) for value in values])
        case Range():
            return _range(condition)
        case Prefix(text=text):
            return {"prefix": {field.name: {"value": text}}}
        case Exists():
            return {"term": {PRESENT: field.name}}


def _range(condition: Range) -> Clause:
    name = condition.field.name
    bounds: dict[str, float | int] = {}
    if condition.low is not None:
        bounds["gte" if condition.include_low else "gt"] = _bound(condition.low)
    if condition.high is not None:
        bounds["lte" if condition.include_high else "lt"] = _bound(condition.high)
    return {"range": {name: bounds}} if bounds else {"term": {PRESENT: name}}


def _bound(value: float | datetime) -> float | int:
    return microseconds(value) if isinstance(value, datetime) else float(value) + 0.0


def _stored(field: Field, values: Sequence[Operand]) -> list[str | float | int]:
    """The values as the field holds them; those of another type equal none of its."""
    match field.type:
        case FieldType.NUMBER:
            return [float(value) + 0.0 for value in values if isinstance(value, int | float)]
        case FieldType.TIME:
            return [microseconds(value) for value in values if isinstance(value, datetime)]
        case _:
            return [value for value in values if isinstance(value, str)]


def _terms(field: str, values: Sequence[str | float | int]) -> Clause:
    if len(values) == 1:
        return {"term": {field: values[0]}}
    parts = [list(values[at : at + _MOST_TERMS]) for at in range(0, len(values), _MOST_TERMS)]
    return any_of([{"terms": {field: part}} for part in parts])
