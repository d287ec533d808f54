"""The filter tree: one meaning for SQL, for every index leg and for the reference evaluator below.

Leaves compare one field. Negations are complements: `ne`, `nin` and `not` also hold where the field is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from mnemata.domain import attributes
from mnemata.domain.memory import Memory

Operand: TypeAlias = "str | bool | float | datetime"


class FieldType(StrEnum):
    STRING = "string"
    NUMBER = "number"
    TIME = "time"
    STRINGS = "strings"
    METADATA = "metadata"


FIELD_TYPES: dict[str, FieldType] = {
    "id": FieldType.STRING,
    "kind": FieldType.STRING,
    "user_id": FieldType.STRING,
    "agent_id": FieldType.STRING,
    "session_id": FieldType.STRING,
    "role": FieldType.STRING,
    "source": FieldType.STRING,
    "external_id": FieldType.STRING,
    "tags": FieldType.STRINGS,
    "sequence": FieldType.NUMBER,
    "importance": FieldType.NUMBER,
    "version": FieldType.NUMBER,
    "occurred_at": FieldType.TIME,
    "created_at": FieldType.TIME,
    "updated_at": FieldType.TIME,
    "expires_at": FieldType.TIME,
}
"""Every field that a filter may name, besides `metadata.<path>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of the memory, or a path in its metadata (`name` is then 'metadata', `path` is not empty)."""

    name: str
    path: tuple[str, ...] = ()

    @property
    def type(self) -> FieldType:
        return FieldType.METADATA if self.path else FIELD_TYPES[self.name]

    def __str__(self) -> str:
        return f"metadata.{attributes.path_text(self.path)}" if self.path else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """Matches every memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """The field equals one of the values (`eq`, `in`, `any`); for tags and metadata arrays: an element does.

    An empty tuple matches nothing.
    """

    field: Field
    values: tuple[Operand, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    """Every value is among the field's elements (`all`). Tags and metadata only. An empty tuple matches everything."""

    field: Field
    values: tuple[Operand, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The field lies between the bounds. Numbers and times; in metadata the operands' type chooses which terms count.

    In a metadata array one and the same element must lie within both bounds.
    """

    field: Field
    low: float | datetime | None = None
    high: float | datetime | None = None
    include_low: bool = True
    include_high: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The field, or an element of it, starts with `text` (case counts). Strings, tags, metadata strings."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists:
    """The field has a value; tags: at least one; metadata: a scalar that is not null at or below the path."""

    field: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    item: Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    items: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """At least one item holds. No items: matches nothing."""

    items: tuple[Filter, ...]


Filter: TypeAlias = "Everything | AnyOf | AllOf | Range | Prefix | Exists | Not | And | Or"

EVERYTHING = Everything()


def both(left: Filter, right: Filter) -> Filter:
    """The filter that holds where both do."""
    items = tuple(item for item in (left, right) if not isinstance(item, Everything))
    if not items:
        return EVERYTHING
    return items[0] if len(items) == 1 else And(items=items)


def holds_always(condition: Filter) -> bool:
    """Whether it is `Everything` in other words: conditions without values decide nothing, whatever there is."""
    match condition:
        case Everything() | AllOf(values=()):
            return True
        case Not(item=item):
            return _holds_never(item)
        case And(items=items):
            return all(map(holds_always, items))
        case Or(items=items):
            return any(map(holds_always, items))
        case _:
            return False


def _holds_never(condition: Filter) -> bool:
    match condition:
        case AnyOf(values=()):
            return True
        case Not(item=item):
            return holds_always(item)
        case And(items=items):
            return any(map(_holds_never, items))
        case Or(items=items):
            return all(map(_holds_never, items))
        case _:
            return False


def matches(condition: Filter, memory: Memory, terms: frozenset[str] | None = None) -> bool:
    """The reference meaning of a filter. Engines must agree with it: a property test holds them to it.

    `terms` are the memory's metadata terms, where the caller has them already.
    """
    if terms is None:
        terms = frozenset(attributes.attribute_terms(memory.metadata))
    return _matches(condition, memory, terms)


def metadata_term(path: tuple[str, ...], value: Operand) -> str:
    """The term that a metadata element equal to `value` has."""
    match value:
        case bool():
            return attributes.boolean_term(path, value)
        case str():
            return attributes.string_term(path, value)
        case datetime():
            return attributes.date_term(path, value)
        case _:
            return attributes.number_term(path, value)


def metadata_bounds(condition: Range) -> tuple[str, str]:
    """The half-open range [low, high) of terms that a metadata Range covers, by the order of UTF-8 bytes."""
    path = condition.field.path
    timed = isinstance(condition.low, datetime) or isinstance(condition.high, datetime)
    first, last = attributes.typed_bounds(path, "t" if timed else "n")
    # Terms have a fixed width, so the next term after one is that one with one more character behind it.
    if condition.low is not None:
        first = metadata_term(path, condition.low) + ("" if condition.include_low else "\x01")
    if condition.high is not None:
        last = metadata_term(path, condition.high) + ("\x01" if condition.include_high else "")
    return first, last


def _matches(condition: Filter, memory: Memory, terms: frozenset[str]) -> bool:
    match condition:
        case Everything():
            return True
        case Not(item=item):
            return not _matches(item, memory, terms)
        case And(items=items):
            return all(_matches(item, memory, terms) for item in items)
        case Or(items=items):
            return any(_matches(item, memory, terms) for item in items)
        case _ if condition.field.path:
            return _matches_metadata(condition, terms)
        case _:
            return _matches_field(condition, memory)


def _matches_metadata(condition: AnyOf | AllOf | Range | Prefix | Exists, terms: frozenset[str]) -> bool:
    path = condition.field.path
    match condition:
        case AnyOf(values=values):
            return any(metadata_term(path, value) in terms for value in values)
        case AllOf(values=values):
            return all(metadata_term(path, value) in terms for value in values)
        case Range():
            low, high = metadata_bounds(condition)
            return any(low <= term < high for term in terms)
        case Prefix(text=text):
            return any(term.startswith(attributes.string_prefix(path, text)) for term in terms)
        case _:
            at, below = attributes.path_prefix(path), attributes.path_text(path) + "."
            return any(term.startswith((at, below)) for term in terms)


def _matches_field(condition: AnyOf | AllOf | Range | Prefix | Exists, memory: Memory) -> bool:
    elements = field_elements(condition.field, memory)
    match condition:
        case AnyOf(values=values):
            return any(value in elements for value in values)
        case AllOf(values=values):
            return all(value in elements for value in values)
        case Range():
            return any(_within(condition, element) for element in elements)
        case Prefix(text=text):
            return any(isinstance(element, str) and element.startswith(text) for element in elements)
        case _:
            return bool(elements)


def field_elements(field: Field, memory: Memory) -> tuple[Operand, ...]:
    """The values of a field that is not metadata: none where it is absent, several for tags."""
    if field.name == "id":
        return (str(memory.id),)
    value = getattr(memory, field.name)
    if isinstance(value, tuple):
        return value
    return () if value is None else (value,)


def _within(condition: Range, element: Operand) -> bool:
    low, high = condition.low, condition.high
    above = low is None or element > low or (condition.include_low and element == low)  # pyright: ignore[reportOperatorIssue]
    below = high is None or element < high or (condition.include_high and element == high)  # pyright: ignore[reportOperatorIssue]
    return above and below
