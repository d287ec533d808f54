"""The filter tree as tantivy queries, evaluated inside the search and without a part in the score."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import tantivy
from tantivy import Occur, Query

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
    metadata_term,
)
from mnemata.index.local import document, trie

_TANTIVY_TYPES = {FieldType.NUMBER: tantivy.FieldType.Float, FieldType.TIME: tantivy.FieldType.Integer}
_REGEX_SPECIAL = frozenset("\\.+*?()|[]{}^$#&-~")


def compiled(schema: tantivy.Schema, condition: Filter) -> Query:
    """The query that finds exactly the memories for which the filter holds."""
    match condition:
        case Everything():
            return _term(schema, document.ALIVE, document.ALIVE)
        case Not(item=item):
            return excluding(schema, [compiled(schema, item)])
        case And(items=()):
            return compiled(schema, Everything())
        case And(items=items):
            return all_of([compiled(schema, item) for item in items])
        case Or(items=items):
            return any_of([compiled(schema, item) for item in items])
        case _ if condition.field.path:
            return _metadata(schema, condition)
        case _:
            return _field(schema, condition)


def all_of(queries: Sequence[Query]) -> Query:
    return Query.boolean_query([(Occur.Must, query) for query in queries])


def any_of(queries: Sequence[Query]) -> Query:
    return (
        Query.boolean_query([(Occur.Should, query) for query in queries]) if queries else Query.empty_query()
    )


def excluding(schema: tantivy.Schema, queries: Sequence[Query]) -> Query:
    """Everything but what the queries find."""
    everything = (Occur.Must, compiled(schema, Everything()))
    return Query.boolean_query([everything, *((Occur.MustNot, query) for query in queries)])


def starting_with(schema: tantivy.Schema, field: str, text: str) -> Query:
    escaped = "".join(f"\\{c}" if c in _REGEX_SPECIAL else c for c in text)
    return Query.regex_query(schema, field, f"(?s){escaped}.*")


def _metadata(schema: tantivy.Schema, condition: AnyOf | AllOf | Range | Prefix | Exists) -> Query:
    path = condition.field.path
    match condition:
        case AnyOf(values=values):
            return _terms(schema, document.ATTRIBUTES, [metadata_term(path, value) for value in values])
        case AllOf(values=()):
            return compiled(schema, Everything())
        case AllOf(values=values):
            terms = [metadata_term(path, value) for value in values]
            return all_of([_term(schema, document.ATTRIBUTES, term) for term in terms])
        case Range():
            return _terms(schema, document.BEGINNINGS, trie.covering(condition))
        case Prefix(text=text):
            return starting_with(schema, document.ATTRIBUTES, attributes.string_prefix(path, text))
        case Exists():
            return _term(schema, document.PRESENT, f"metadata.{attributes.path_text(path)}")


def _field(schema: tantivy.Schema, condition: AnyOf | AllOf | Range | Prefix | Exists) -> Query:
    field = condition.field
    match condition:
        case AnyOf(values=values):
            return _equal_to_any(schema, field, values)
        case AllOf(values=()):
            return compiled(schema, Everything())
        case AllOf(values=values):
            return all_of([_equal_to_any(schema, field, (value,)) for value in values])
        case Range():
            return _range(schema, condition)
        case Prefix(text=text):
            return starting_with(schema, field.name, text)
        case Exists():
            return _term(schema, document.PRESENT, field.name)


def _equal_to_any(schema: tantivy.Schema, field: Field, values: tuple[Operand, ...]) -> Query:
    match field.type:
        case FieldType.NUMBER:
            return _terms(schema, field.name, [float(v) + 0.0 for v in values if isinstance(v, int | float)])
        case FieldType.TIME:
            moments = [document.microseconds(v) for v in values if isinstance(v, datetime)]
            return _terms(schema, field.name, moments)
        case _:
            return _terms(schema, field.name, [v for v in values if isinstance(v, str)])


def _range(schema: tantivy.Schema, condition: Range) -> Query:
    low, high = _bound(condition.low), _bound(condition.high)
    if low is None and high is None:
        return _term(schema, document.PRESENT, condition.field.name)
    return Query.range_query(
        schema,
        condition.field.name,
        _TANTIVY_TYPES[condition.field.type],
        low,
        high,
        # Tantivy refuses an open end that is called exclusive.
        include_lower=condition.include_low or low is None,
        include_upper=condition.include_high or high is None,
    )


def _bound(value: float | datetime | None) -> float | int | None:
    if value is None:
        return None
    return document.microseconds(value) if isinstance(value, datetime) else float(value)


def _term(schema: tantivy.Schema, field: str, value: str) -> Query:
    return Query.term_query(schema, field, value, "basic")


def _terms(schema: tantivy.Schema, field: str, values: Sequence[str | float | int]) -> Query:
    if len(values) == 1:
        return Query.term_query(schema, field, values[0], "basic")
    return Query.term_set_query(schema, field, values) if values else Query.empty_query()
