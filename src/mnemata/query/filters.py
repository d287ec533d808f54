"""The JSON filter of every door, read into the one filter tree; and the tree written back as JSON.

An object is the conjunction of its keys. A key is a field with a value, a list or operators; or `and`, `or`, `not`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from mnemata.domain.errors import InvalidFilter
from mnemata.domain.filter import (
    EVERYTHING,
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
from mnemata.query.fields import nearest, parse_field, shown
from mnemata.query.filter_json import to_json
from mnemata.query.operands import equal_operand, json_type, range_operand, string_operand

__all__ = ["MAX_DEPTH", "MAX_NODES", "MAX_PREFIX_BYTES", "MAX_VALUES", "OPERATORS", "parse_filter", "to_json"]

MAX_NODES = 256
MAX_DEPTH = 32
MAX_VALUES = 1_000
MAX_PREFIX_BYTES = 200
"""Longer strings are kept hashed behind this length (domain.attributes), so a longer prefix could not be found."""

OPERATORS = ("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "any", "all", "exists", "prefix")
_BOUNDS = frozenset({"gt", "gte", "lt", "lte"})


def parse_filter(value: object) -> Filter:
    """The filter that a JSON object describes; an empty object matches everything.

    Raises InvalidFilter whose `field` is the JSON path of what is wrong, from `filter` on.
    """
    return _Parser().tree(value, at="filter", depth=1)


class _Parser:
    """Walks the JSON once, counting what it costs."""

    def __init__(self) -> None:
        self._nodes = 0
        self._values = 0

    def tree(self, value: object, *, at: str, depth: int) -> Filter:
        if not isinstance(value, Mapping):
            raise InvalidFilter(
                field=at,
                reason=f"must be an object, not {json_type(value)}",
                remedy='Write it as in {"user_id": "ana"}',
            )
        self._count(at, depth)
        return _conjunction(
            [self._entry(str(key), inner, at=at, depth=depth) for key, inner in value.items()]
        )

    def _entry(self, key: str, value: object, *, at: str, depth: int) -> Filter:
        here = f"{at}.{shown(key)}"
        match key:
            case "and":
                return _conjunction(self._trees(value, at=here, depth=depth))
            case "or":
                return Or(items=tuple(self._trees(value, at=here, depth=depth)))
            case "not":
                return Not(item=self.tree(value, at=here, depth=depth + 1))
            case _:
                return self._condition(parse_field(key, at=here), value, at=here, depth=depth)

    def _trees(self, value: object, *, at: str, depth: int) -> list[Filter]:
        items = _list(value, at=at, remedy='Write it as in [{"user_id": "ana"}, {"user_id": "bob"}]')
        return [self.tree(item, at=f"{at}[{place}]", depth=depth + 1) for place, item in enumerate(items)]

    def _condition(self, field: Field, value: object, *, at: str, depth: int) -> Filter:
        self._count(at, depth)
        match value:
            case Mapping():
                return self._operators(
                    field, {str(key): inner for key, inner in value.items()}, at=at, depth=depth
                )
            case list() | tuple():
                return AnyOf(field=field, values=self._operands(field, value, at=at))
            case _:
                return AnyOf(field=field, values=(equal_operand(field, value, at=at),))

    def _operators(self, field: Field, operators: Mapping[str, object], *, at: str, depth: int) -> Filter:
        if not operators:
            raise InvalidFilter(
                field=at, reason="has no operator", remedy=f"Use one of {', '.join(OPERATORS)}"
            )
        items = list[Filter]()
        for name, operand in operators.items():
            self._count(f"{at}.{shown(name)}", depth)
            if name not in _BOUNDS:
                items.append(self._operator(field, name, operand, at=f"{at}.{shown(name)}"))
        bounds = {name: operand for name, operand in operators.items() if name in _BOUNDS}
        if bounds:
            items.append(_range(field, bounds, at=at))
        return _conjunction(items)

    def _operator(self, field: Field, name: str, operand: object, *, at: str) -> Filter:
        match name:
            case "eq":
                return AnyOf(field=field, values=(equal_operand(field, operand, at=at),))
            case "ne":
                return Not(item=AnyOf(field=field, values=(equal_operand(field, operand, at=at),)))
            case "in" | "any":
                return AnyOf(field=field, values=self._operands(field, operand, at=at))
            case "nin":
                return Not(item=AnyOf(field=field, values=self._operands(field, operand, at=at)))
            case "all":
                _check_has_elements(field, at=at)
                return AllOf(field=field, values=self._operands(field, operand, at=at))
            case "exists":
                return _exists(field, operand, at=at)
            case "prefix":
                return _prefix(field, operand, at=at)
            case _:
                close = nearest(name, list(OPERATORS))
                remedy = f"Perhaps '{close}' is meant" if close else f"Use one of {', '.join(OPERATORS)}"
                raise InvalidFilter(field=at, reason="is not an operator", remedy=remedy)

    def _operands(self, field: Field, value: object, *, at: str) -> tuple[Operand, ...]:
        items = _list(value, at=at, remedy='Write it as in ["work", "home"]')
        self._values += len(items)
        if self._values > MAX_VALUES:
            raise InvalidFilter(
                field=at,
                reason=f"brings the filter over {MAX_VALUES:,} values",
                remedy="Split the request, or filter by a common property",
            )
        return tuple(equal_operand(field, item, at=f"{at}[{place}]") for place, item in enumerate(items))

    def _count(self, at: str, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise InvalidFilter(
                field=at,
                reason=f"brings the filter over {MAX_NODES} conditions",
                remedy="Use in with a list in place of many or",
            )
        if depth > MAX_DEPTH:
            raise InvalidFilter(
                field=at[:200],
                reason=f"is nested deeper than {MAX_DEPTH} levels",
                remedy="Flatten the filter",
            )


def _conjunction(items: list[Filter]) -> Filter:
    told = tuple(item for item in items if not isinstance(item, Everything))
    match told:
        case ():
            return EVERYTHING
        case (only,):
            return only
        case _:
            return And(items=told)


def _list(value: object, *, at: str, remedy: str) -> list[object]:
    if not isinstance(value, list | tuple):
        raise InvalidFilter(field=at, reason=f"must be a list, not {json_type(value)}", remedy=remedy)
    return list(value)


def _check_has_elements(field: Field, *, at: str) -> None:
    if field.type not in {FieldType.STRINGS, FieldType.METADATA}:
        raise InvalidFilter(
            field=at, reason="asks for several values, and this field has one", remedy="Use eq or in"
        )


def _exists(field: Field, operand: object, *, at: str) -> Filter:
    if not isinstance(operand, bool):
        raise InvalidFilter(
            field=at, reason=f"must be true or false, not {json_type(operand)}", remedy="Write true or false"
        )
    return Exists(field=field) if operand else Not(item=Exists(field=field))


def _prefix(field: Field, operand: object, *, at: str) -> Filter:
    if field.type in {FieldType.NUMBER, FieldType.TIME}:
        raise InvalidFilter(
            field=at,
            reason="is for text, and this field is not",
            remedy="Use gte and lt on numbers and dates",
        )
    text = string_operand(operand, at=at)
    if not text:
        raise InvalidFilter(field=at, reason="is empty", remedy='Ask for {"exists": true} instead')
    if len(text.encode("utf-8")) > MAX_PREFIX_BYTES:
        raise InvalidFilter(
            field=at,
            reason=f"is longer than {MAX_PREFIX_BYTES} bytes of UTF-8",
            remedy="Shorten it, or compare whole values with eq",
        )
    return Prefix(field=field, text=text)


def _range(field: Field, bounds: Mapping[str, object], *, at: str) -> Filter:
    for pair in (("gt", "gte"), ("lt", "lte")):
        if bounds.keys() >= set(pair):
            raise InvalidFilter(
                field=f"{at}.{pair[0]}", reason=f"stands beside {pair[1]}", remedy="Give one of the two"
            )
    values = {name: range_operand(field, value, at=f"{at}.{name}") for name, value in bounds.items()}
    if len({isinstance(value, datetime) for value in values.values()}) > 1:
        raise InvalidFilter(
            field=at,
            reason="has a number as one bound and a date as the other",
            remedy="Use one type for both",
        )
    return Range(
        field=field,
        low=values.get("gt", values.get("gte")),
        high=values.get("lt", values.get("lte")),
        include_low="gt" not in values,
        include_high="lt" not in values,
    )
