"""The values that a filter compares with: checked against the field's type, dates read as moments."""

from __future__ import annotations

import math
from datetime import datetime
from uuid import UUID

from mnemata.domain.attributes import parse_instant
from mnemata.domain.errors import InvalidField, InvalidFilter
from mnemata.domain.filter import Field, FieldType, Operand
from mnemata.domain.rules import check_text

MAX_STRING_BYTES = 65_536
"""Metadata as a whole is no larger, so nothing longer could be equal."""

_EXACT = 2**53
_DATE_REMEDY = "Write a date such as 2026-05-01 or 2026-05-01T10:00:00Z"


def equal_operand(field: Field, value: object, *, at: str) -> Operand:
    """The operand of an equality: of the field's type; a date stays a string in metadata. Raises InvalidFilter."""
    match field.type:
        case FieldType.STRING | FieldType.STRINGS:
            return _identifier(value, at=at) if field.name == "id" else string_operand(value, at=at)
        case FieldType.NUMBER:
            return _number(value, at=at)
        case FieldType.TIME:
            return _moment(value, at=at)
        case _:
            return _metadata_scalar(value, at=at)


def range_operand(field: Field, value: object, *, at: str) -> float | datetime:
    """The operand of gt, gte, lt or lte: a number or, for times and in metadata, a date. Raises InvalidFilter."""
    match field.type:
        case FieldType.STRING | FieldType.STRINGS:
            raise InvalidFilter(
                field=at,
                reason="compares order, and this field is text",
                remedy="Use eq, in or prefix on text, and gt, gte, lt, lte on numbers and dates",
            )
        case FieldType.NUMBER:
            return _number(value, at=at)
        case FieldType.TIME:
            return _moment(value, at=at)
        case _:
            return _moment(value, at=at) if isinstance(value, str) else _number(value, at=at)


def string_operand(value: object, *, at: str) -> str:
    """Text that PostgreSQL and JSON can carry, of at most 64 KiB. Raises InvalidFilter."""
    _refuse_null(value, at=at)
    if not isinstance(value, str):
        raise InvalidFilter(
            field=at, reason=f"must be a string, not {json_type(value)}", remedy="Put it in quotation marks"
        )
    try:
        check_text(at, value)
    except InvalidField as error:
        raise InvalidFilter(field=at, reason=error.reason, remedy=error.remedy) from None
    if len(value.encode("utf-8")) > MAX_STRING_BYTES:
        raise InvalidFilter(
            field=at, reason=f"is longer than {MAX_STRING_BYTES:,} bytes", remedy="Use prefix, or shorten it"
        )
    return value


def json_type(value: object) -> str:
    """What JSON calls the value, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def _metadata_scalar(value: object, *, at: str) -> Operand:
    match value:
        case bool():
            return value
        case int() | float():
            return _number(value, at=at)
        case list() | tuple() | dict():
            raise InvalidFilter(
                field=at,
                reason=f"must be a string, a number or a boolean, not {json_type(value)}",
                remedy="Compare the elements with in, any or all, and objects by a longer path",
            )
        case _:
            return string_operand(value, at=at)


def _identifier(value: object, *, at: str) -> str:
    text = string_operand(value, at=at)
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidFilter(
            field=at, reason="is not the id of a memory", remedy="Send a UUID, as in a memory's 'id'"
        ) from None


def _number(value: object, *, at: str) -> float:
    _refuse_null(value, at=at)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFilter(
            field=at,
            reason=f"must be a number, not {json_type(value)}",
            remedy="Write it without quotation marks",
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidFilter(
            field=at, reason="is not a finite number", remedy="Send a number, or ask for exists"
        )
    # Integers stay integers as long as doubles hold them exactly: SQL then compares a bigint with a bigint.
    return value if abs(number) <= _EXACT else number


def _moment(value: object, *, at: str) -> datetime:
    _refuse_null(value, at=at)
    if not isinstance(value, str):
        raise InvalidFilter(field=at, reason=f"must be a date, not {json_type(value)}", remedy=_DATE_REMEDY)
    moment = parse_instant(value)
    if moment is None:
        raise InvalidFilter(field=at, reason="is not a date", remedy=_DATE_REMEDY)
    return moment


def _refuse_null(value: object, *, at: str) -> None:
    if value is None:
        raise InvalidFilter(
            field=at, reason="is null, and nothing equals null", remedy='Ask for {"exists": false} instead'
        )
