"""The filter tree evaluated on columns, with exactly the meaning of `domain.filter.matches`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, reduce
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mnemata.domain import attributes
from mnemata.domain.filter import (
    AllOf,
    And,
    AnyOf,
    Everything,
    Exists,
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
from mnemata.index.local.columns import NO_NUMBER, Snapshot, microseconds

Slots: TypeAlias = NDArray[np.int64]
"""(n,) int64, ascending."""

Mask: TypeAlias = NDArray[np.bool_]

Leaf: TypeAlias = "AnyOf | AllOf | Range | Prefix | Exists"

_NARROW = 16
"""When no more than one slot in this many is left, the remaining conditions look at those only."""

_FEW = 4
"""Up to this many values are compared one by one; more go through a table of codes."""

_DIGITS = "0123456789abcdef"
_HYPHENS = (8, 13, 18, 23)
_LOW = (1 << 64) - 1
_INT64 = (-(1 << 63), (1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class Few:
    """What a filter chose, as slot numbers."""

    slots: Slots

    @property
    def count(self) -> int:
        return len(self.slots)

    def numbers(self) -> Slots:
        return self.slots

    def mask_of(self, size: int) -> Mask:
        mask = np.zeros(size, np.bool_)
        mask[self.slots] = True
        return mask


@dataclass(frozen=True)
class Many:
    """What a filter chose, as a mask over all slots."""

    mask: Mask

    @cached_property
    def count(self) -> int:
        return int(np.count_nonzero(self.mask))

    def numbers(self) -> Slots:
        return np.flatnonzero(self.mask)

    def mask_of(self, size: int) -> Mask:
        return self.mask[:size]


Chosen: TypeAlias = "Few | Many"


def select(columns: Snapshot, condition: Filter) -> Chosen:
    """The living slots that the filter matches."""
    mask: Mask | None = None
    slots: Slots | None = None
    for item in sorted(_conjuncts([condition]), key=_cost):
        if slots is not None:
            slots = slots[_evaluate(columns, item, slots)]
            continue
        holds = _evaluate(columns, item, None)
        mask = holds if mask is None else mask & holds
        if np.count_nonzero(mask) * _NARROW <= columns.size:
            slots = np.flatnonzero(mask)
    if slots is not None:
        return Few(slots[columns.lives(slots)])
    if mask is None or columns.living == columns.size:
        return Many(columns.alive if mask is None else mask)
    return Many(mask & columns.alive)


def comparable(columns: Snapshot, chosen: Chosen) -> Chosen:
    """Those of the chosen slots whose vector is there."""
    if columns.vectors == columns.living:
        return chosen
    match chosen:
        case Few(slots=slots):
            return Few(slots[columns.column("has_vector", slots)])
        case Many(mask=mask):
            return Many(mask & columns.column("has_vector"))


def _conjuncts(conditions: Iterable[Filter]) -> list[Filter]:
    flat: list[Filter] = []
    for condition in conditions:
        if isinstance(condition, And):
            flat.extend(_conjuncts(condition.items))
        elif not isinstance(condition, Everything):
            flat.append(condition)
    return flat


def _cost(condition: Filter) -> int:
    """Equality on a column first: it is the cheapest and leaves the fewest."""
    match condition:
        case AnyOf(field=field):
            return 1 if field.type in (FieldType.METADATA, FieldType.STRINGS) else 0
        case Range(field=field) if not field.path:
            return 1
        case Not() | And() | Or():
            return 3
        case _:
            return 2


def _evaluate(columns: Snapshot, condition: Filter, rows: Slots | None) -> Mask:
    match condition:
        case Everything():
            return _constant(columns, rows, value=True)
        case Not(item=item):
            return ~_evaluate(columns, item, rows)
        case And(items=items):
            held = [_evaluate(columns, item, rows) for item in items]
            return np.logical_and.reduce(held) if held else _constant(columns, rows, value=True)
        case Or(items=items):
            held = [_evaluate(columns, item, rows) for item in items]
            return np.logical_or.reduce(held) if held else _constant(columns, rows, value=False)
        case AllOf(field=field, values=values):
            return _evaluate(
                columns, And(items=tuple(AnyOf(field=field, values=(value,)) for value in values)), rows
            )
        case _:
            return _leaf(columns, condition, rows)


def _leaf(columns: Snapshot, condition: Leaf, rows: Slots | None) -> Mask:
    match condition.field.type:
        case FieldType.METADATA:
            return _in_list(columns, "attributes", _attribute_codes(columns, condition), rows)
        case FieldType.STRINGS:
            return _in_list(columns, "tags", _string_codes(columns, "tags", condition), rows)
        case FieldType.STRING if condition.field.name == "id":
            return _identity(columns, condition, rows)
        case FieldType.STRING:
            return _string(columns, condition, rows)
        case FieldType.NUMBER if condition.field.name == "importance":
            return _number(columns.column("importance", rows), condition)
        case FieldType.NUMBER:
            return _integer(columns.column(condition.field.name, rows), condition)
        case FieldType.TIME:
            return _time(columns.column(condition.field.name, rows), condition)


def _constant(columns: Snapshot, rows: Slots | None, *, value: bool) -> Mask:
    return np.full(columns.size if rows is None else len(rows), value)


# Strings and lists of strings: the condition becomes a set of codes.


def _string(columns: Snapshot, condition: Leaf, rows: Slots | None) -> Mask:
    name = condition.field.name
    column = columns.column(name, rows)
    if isinstance(condition, Exists):
        return column >= 0
    return _has_code(column, _string_codes(columns, name, condition), len(columns.terms[name]))


def _string_codes(columns: Snapshot, name: str, condition: Leaf) -> NDArray[np.int32]:
    terms = columns.terms[name]
    match condition:
        case AnyOf(values=values) | AllOf(values=values):
            return _codes(terms.find(value for value in values if isinstance(value, str)))
        case Prefix(text=text):
            return terms.starting_with(text)
        case Range(low=None, high=None) | Exists():
            return np.arange(len(terms), dtype=np.int32)
        case Range():
            raise TypeError(f"{condition.field} is not ordered")


def _attribute_codes(columns: Snapshot, condition: Leaf) -> NDArray[np.int32]:
    terms, path = columns.terms["attributes"], condition.field.path
    match condition:
        case AnyOf(values=values) | AllOf(values=values):
            return _codes(terms.find(metadata_term(path, value) for value in values))
        case Range():
            return terms.between(*metadata_bounds(condition))
        case Prefix(text=text):
            return terms.starting_with(attributes.string_prefix(path, text))
        case Exists():
            at = terms.starting_with(attributes.path_prefix(path))
            return np.concatenate([at, terms.starting_with(attributes.path_text(path) + ".")])


def _codes(found: list[int]) -> NDArray[np.int32]:
    return np.array(found, np.int32)


def _has_code(column: NDArray[Any], codes: NDArray[np.int32], known: int) -> Mask:
    """Where the column holds one of the codes. A code of -1 (no string) is never asked for."""
    if len(codes) == 0:
        return np.zeros(len(column), np.bool_)
    if len(codes) <= _FEW:
        first, *others = codes
        return reduce(np.logical_or, (column == code for code in others), column == first)
    table = np.zeros(known + 1, np.bool_)  # the last entry is what -1 finds
    table[codes] = True
    return table[column]


def _in_list(columns: Snapshot, name: str, codes: NDArray[np.int32], rows: Slots | None) -> Mask:
    """Where one of the slot's postings is one of the codes."""
    postings, known = columns.postings[name], len(columns.terms[name])
    if rows is None or len(codes) == 0:
        held = _constant(columns, rows, value=False)
        if len(codes):
            # flatnonzero: indexing with a dense mask takes five times as long.
            held[postings.slots[np.flatnonzero(_has_code(postings.codes, codes, known))]] = True
        return held
    owners, places = columns.posting_places(name, rows)
    held = np.zeros(len(rows), np.bool_)
    held[owners[_has_code(postings.codes[places], codes, known)]] = True
    return held


# The id: two unsigned halves of 64 bits.


def _identity(columns: Snapshot, condition: Leaf, rows: Slots | None) -> Mask:
    high, low = columns.column("id_high", rows), columns.column("id_low", rows)
    match condition:
        case AnyOf(values=values) | AllOf(values=values):
            return _is_one_of(
                high, low, [number for value in values if (number := _as_id(value)) is not None]
            )
        case Prefix(text=text):
            return _has_id_prefix(high, low, text)
        case Range(low=None, high=None) | Exists():
            return np.ones(len(high), np.bool_)
        case Range():
            raise TypeError(f"{condition.field} is not ordered")


def _is_one_of(high: NDArray[Any], low: NDArray[Any], ids: list[int]) -> Mask:
    held = np.zeros(len(low), np.bool_)
    if len(ids) <= _FEW:
        for number in ids:
            held |= (low == np.uint64(number & _LOW)) & (high == np.uint64(number >> 64))
        return held
    wanted = set(ids)
    places = np.flatnonzero(np.isin(low, np.array([number & _LOW for number in ids], np.uint64)))
    for place in places.tolist():
        held[place] = (int(high[place]) << 64 | int(low[place])) in wanted
    return held


def _as_id(value: Operand) -> int | None:
    """The number of a memory id in its canonical form; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        parsed = UUID(value)
    except ValueError:
        return None
    return parsed.int if str(parsed) == value else None


def _has_id_prefix(high: NDArray[Any], low: NDArray[Any], text: str) -> Mask:
    hyphens_stand = all((char == "-") == (place in _HYPHENS) for place, char in enumerate(text))
    digits = text.replace("-", "")
    if len(text) > 36 or not hyphens_stand or any(digit not in _DIGITS for digit in digits):
        return np.zeros(len(high), np.bool_)
    first, last = int(digits.ljust(32, "0"), 16), int(digits.ljust(32, "f"), 16)
    above = (high > np.uint64(first >> 64)) | (
        (high == np.uint64(first >> 64)) & (low >= np.uint64(first & _LOW))
    )
    below = (high < np.uint64(last >> 64)) | (
        (high == np.uint64(last >> 64)) & (low <= np.uint64(last & _LOW))
    )
    return above & below


# Numbers and times.


def _integer(column: NDArray[Any], condition: Leaf) -> Mask:
    present = column != NO_NUMBER
    match condition:
        case AnyOf(values=values) | AllOf(values=values):
            wanted = [_whole(value) for value in values if isinstance(value, int | float)]
            inside = [value for value in wanted if value is not None and _INT64[0] < value <= _INT64[1]]
            return np.isin(column, np.array(inside, np.int64))
        case Range():
            return present & _between(column, *_integer_bounds(condition))
        case Exists():
            return present
        case Prefix():
            return np.zeros(len(column), np.bool_)


def _whole(value: float) -> int | None:
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value)


def _integer_bounds(condition: Range) -> tuple[int, int]:
    """The closed range of integers that the bounds leave: comparing int64 with doubles would round."""
    low, high = condition.low, condition.high
    first = _INT64[0] if low is None else _first_integer(low, include=condition.include_low)
    last = _INT64[1] if high is None else -_first_integer(_negative(high), include=condition.include_high)
    return first, last


def _negative(value: float | datetime) -> float:
    if isinstance(value, datetime):
        raise TypeError("a number is not compared with a time")
    return -value


def _first_integer(low: float | datetime, *, include: bool) -> int:
    """The least integer that is not below `low` (or is above it, where `low` is not included)."""
    if isinstance(low, datetime):
        raise TypeError("a number is not compared with a time")
    if isinstance(low, float) and not math.isfinite(low):
        # Infinity and NaN leave no integer; minus infinity leaves all.
        return _INT64[0] if low < 0 else _INT64[1] + 1
    return math.ceil(low) if include else math.floor(low) + 1


def _between(column: NDArray[Any], first: int, last: int) -> Mask:
    first = max(first, _INT64[0])
    last = min(last, _INT64[1])
    if first > last:
        return np.zeros(len(column), np.bool_)
    return (column >= np.int64(first)) & (column <= np.int64(last))


def _number(column: NDArray[Any], condition: Leaf) -> Mask:
    match condition:
        case AnyOf(values=values) | AllOf(values=values):
            return np.isin(
                column, np.array([_double(v) for v in values if isinstance(v, int | float)], np.float64)
            )
        case Range():
            held = np.ones(len(column), np.bool_)
            if condition.low is not None:
                low = _double(condition.low)
                held &= (column >= low) if condition.include_low else (column > low)
            if condition.high is not None:
                high = _double(condition.high)
                held &= (column <= high) if condition.include_high else (column < high)
            return held
        case Exists():
            return np.ones(len(column), np.bool_)
        case Prefix():
            return np.zeros(len(column), np.bool_)


def _double(value: float | datetime) -> float:
    """The operand as a double; integers beyond all doubles become infinite."""
    if isinstance(value, datetime):
        raise TypeError("a number is not compared with a time")
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _time(column: NDArray[Any], condition: Leaf) -> Mask:
    present = column != NO_NUMBER
    match condition:
        case AnyOf(values=values) | AllOf(values=values):
            moments = [microseconds(v) for v in values if isinstance(v, datetime) and v.tzinfo is not None]
            return np.isin(column, np.array(moments, np.int64))
        case Range():
            return present & _between(column, *_time_bounds(condition))
        case Exists():
            return present
        case Prefix():
            return np.zeros(len(column), np.bool_)


def _time_bounds(condition: Range) -> tuple[int, int]:
    low, high = condition.low, condition.high
    first = _INT64[0] if low is None else _moment(low) + (not condition.include_low)
    last = _INT64[1] if high is None else _moment(high) - (not condition.include_high)
    return first, last


def _moment(bound: float | datetime) -> int:
    if not isinstance(bound, datetime):
        raise TypeError("a time is not compared with a number")
    return microseconds(bound)
