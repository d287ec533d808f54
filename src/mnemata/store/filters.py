"""The filter tree as SQL. Nothing else builds SQL; what it means is said by domain.filter.matches.

A leaf over an absent field is NULL, which counts as false; `IS NOT TRUE` makes every negation a complement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from psycopg import sql

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
from mnemata.store.rows import tag_hash, term_hash

_TRUE = sql.SQL("TRUE")
_FALSE = sql.SQL("FALSE")
_AND = sql.SQL(" AND ")
_OR = sql.SQL(" OR ")
_TEXT = sql.SQL("text")
_TEXTS = sql.SQL("text[]")
_HASHES = sql.SQL("bigint[]")
_OVERLAP = sql.SQL("&&")
_CONTAIN = sql.SQL("@>")
_ONE_WITHIN = sql.SQL("e >= {} AND e < {}")
_ONE_STARTS = sql.SQL("starts_with(e, {})")
_ONE_STARTS_EITHER = sql.SQL("starts_with(e, {}) OR starts_with(e, {})")
_TYPES = {
    FieldType.STRING: _TEXT,
    FieldType.NUMBER: sql.SQL("float8"),
    FieldType.TIME: sql.SQL("timestamptz"),
}


class Source(Enum):
    """Which rows are filtered: the memories as they are, whose terms have an index, or their versions."""

    MEMORIES = "id"
    VERSIONS = "memory_id"


class Compiler:
    """Compiles filters over one table under the alias `m`; `parameters` collects the values."""

    def __init__(self, source: Source = Source.MEMORIES) -> None:
        self.source = source
        self.parameters: dict[str, Any] = {}

    def compile(self, condition: Filter) -> sql.Composable:
        """A boolean expression in brackets, or a constant."""
        match condition:
            case Everything():
                return _TRUE
            case Not(item=item):
                return sql.SQL("({} IS NOT TRUE)").format(self.compile(item))
            case And(items=items):
                return self._join(_AND, items, empty=_TRUE)
            case Or(items=items):
                return self._join(_OR, items, empty=_FALSE)
            case _ if condition.field.path:
                return self._metadata(condition)
            case _ if condition.field.type is FieldType.STRINGS:
                return self._tags(condition)
            case _:
                return self._column(condition)

    def value(self, value: object, kind: sql.SQL) -> sql.Composed:
        """A placeholder for the value, of that type."""
        name = f"f{len(self.parameters)}"
        self.parameters[name] = value
        return sql.SQL("{}::{}").format(sql.Placeholder(name), kind)

    def _join(self, joint: sql.SQL, items: Sequence[Filter], *, empty: sql.SQL) -> sql.Composable:
        if not items:
            return empty
        return sql.SQL("({})").format(joint.join(self.compile(item) for item in items))

    def _metadata(self, condition: AnyOf | AllOf | Range | Prefix | Exists) -> sql.Composable:
        path = condition.field.path
        if not all(map(_storable, path)):
            return _TRUE if condition == AllOf(field=condition.field, values=()) else _FALSE
        match condition:
            case AnyOf(values=values):
                terms = [metadata_term(path, value) for value in values if _fits(value)]
                return self._overlaps("attributes", terms, term_hash)
            case AllOf(values=values):
                if not all(map(_fits, values)):
                    return _FALSE
                terms = [metadata_term(path, value) for value in values]
                return self._contains("attributes", terms, term_hash)
            case Range():
                low, high = metadata_bounds(condition)
                return self._some_element("attributes", _ONE_WITHIN, low, high)
            case Prefix(text=text):
                return self._starts("attributes", attributes.string_prefix(path, text))
            case Exists():
                at, below = attributes.path_prefix(path), attributes.path_text(path) + "."
                return self._some_element("attributes", _ONE_STARTS_EITHER, at, below)

    def _tags(self, condition: AnyOf | AllOf | Range | Prefix | Exists) -> sql.Composable:
        match condition:
            case AnyOf(values=values):
                return self._overlaps("tags", [str(value) for value in values if _text(value)], tag_hash)
            case AllOf(values=values):
                if not all(map(_text, values)):
                    return _FALSE
                return self._contains("tags", [str(value) for value in values], tag_hash)
            case Prefix(text=text):
                return self._starts("tags", text)
            case Exists():
                return sql.SQL("(cardinality(m.tags) > 0)")
            case Range():
                return _FALSE

    def _column(self, condition: AnyOf | AllOf | Range | Prefix | Exists) -> sql.Composable:
        field = condition.field
        match condition:
            case AnyOf(values=values):
                known = self._known(field, values)
                return self._equals_any(field, known) if known else _FALSE
            case AllOf(values=values):
                return self._join(
                    _AND, [AnyOf(field=field, values=(value,)) for value in values], empty=_TRUE
                )
            case Range():
                return self._between(condition)
            case Prefix(text=text):
                return self._begins(field, text)
            case Exists():
                return sql.SQL("({} IS NOT NULL)").format(self._name(field))

    def _equals_any(self, field: Field, values: list[Any]) -> sql.Composed:
        kind = sql.SQL("uuid") if field.name == "id" else _TYPES[field.type]
        if len(values) == 1:
            # Equality with one value keeps an index's order: the planner needs no sort behind it.
            return sql.SQL("({} = {})").format(self._name(field), self.value(values[0], kind))
        return sql.SQL("({} = ANY({}[]))").format(self._name(field), self.value(values, kind))

    def _between(self, condition: Range) -> sql.Composable:
        field = condition.field
        if field.type is FieldType.STRING:
            return _FALSE
        name, kind = self._name(field), _TYPES[field.type]
        parts: list[sql.Composable] = [sql.SQL("{} IS NOT NULL").format(name)]
        if condition.low is not None:
            operator = sql.SQL(">=") if condition.include_low else sql.SQL(">")
            parts.append(sql.SQL("{} {} {}").format(name, operator, self.value(_bound(condition.low), kind)))
        if condition.high is not None:
            operator = sql.SQL("<=") if condition.include_high else sql.SQL("<")
            parts.append(sql.SQL("{} {} {}").format(name, operator, self.value(_bound(condition.high), kind)))
        return sql.SQL("({})").format(_AND.join(parts))

    def _begins(self, field: Field, text: str) -> sql.Composable:
        if field.type is not FieldType.STRING or not _storable(text):
            return _FALSE
        name = sql.SQL("{}::text").format(self._name(field)) if field.name == "id" else self._name(field)
        return sql.SQL("starts_with({}, {})").format(name, self.value(text, _TEXT))

    def _overlaps(self, column: str, values: list[str], hashed: Callable[[str], int]) -> sql.Composable:
        return self._compared(column, _OVERLAP, values, hashed) if values else _FALSE

    def _contains(self, column: str, values: list[str], hashed: Callable[[str], int]) -> sql.Composable:
        return self._compared(column, _CONTAIN, values, hashed) if values else _TRUE

    def _compared(
        self, column: str, operator: sql.SQL, values: list[str], hashed: Callable[[str], int]
    ) -> sql.Composed:
        """The exact condition, where there is an index behind the same one by hashes, which may find too many."""
        exact = sql.SQL("m.{} {} {}").format(sql.Identifier(column), operator, self.value(values, _TEXTS))
        if self.source is Source.VERSIONS:
            return exact
        hashes = self.value([hashed(value) for value in values], _HASHES)
        return sql.SQL("(m.term_hashes {} {} AND {})").format(operator, hashes, exact)

    def _starts(self, column: str, text: str) -> sql.Composable:
        return self._some_element(column, _ONE_STARTS, text) if _storable(text) else _FALSE

    def _some_element(self, column: str, test: sql.SQL, *values: str) -> sql.Composed:
        return sql.SQL("EXISTS (SELECT FROM unnest(m.{}) AS u (e) WHERE {})").format(
            sql.Identifier(column), test.format(*(self.value(value, _TEXT) for value in values))
        )

    def _name(self, field: Field) -> sql.Composable:
        if field.name == "id":
            return sql.Identifier("m", self.source.value)
        if field.name == "updated_at" and self.source is Source.VERSIONS:
            return sql.Identifier("m", "recorded_at")
        return sql.Identifier("m", field.name)

    def _known(self, field: Field, values: tuple[Operand, ...]) -> list[Any]:
        """The values that the column can hold at all: no other equals it."""
        if field.name == "id":
            return [value for value in map(_uuid, values) if value is not None]
        match field.type:
            case FieldType.NUMBER:
                return [_number(value) for value in values if isinstance(value, bool | int | float)]
            case FieldType.TIME:
                return [value for value in values if isinstance(value, datetime)]
            case _:
                return [value for value in values if _text(value)]


def _storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text at all; what it cannot hold equals nothing that it holds."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _text(value: object) -> bool:
    return isinstance(value, str) and _storable(value)


def _fits(value: Operand) -> bool:
    return _storable(value) if isinstance(value, str) else True


def _uuid(value: object) -> UUID | None:
    """The id that is written exactly so: ids are compared as text."""
    try:
        parsed = UUID(str(value))
    except ValueError:
        return None
    return parsed if str(parsed) == value else None


def _bound(value: float | datetime) -> float | datetime:
    return value if isinstance(value, datetime) else _number(value)


def _number(value: float) -> float:
    """As a double; what is beyond the doubles lies beyond every number that a column holds."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
