r"""Metadata as a flat set of typed terms, so that SQL and every index filter it with the same few operations.

Each scalar at a path becomes one term `path US type US value` (US = U+001F); a string that is an RFC 3339 date
or date-time gives a second, date-typed term. Numbers and dates are written so that the order of the terms'
UTF-8 bytes is the order of the values. Arrays give one term per element (one level is unwrapped at each step, as lax
SQL/JSON paths do); null gives none. Equality is equality of terms, a range is a range of terms, `exists` is a
prefix. Numbers are compared as IEEE 754 doubles.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime

from mnemata.domain.memory import JsonValue, Metadata

SEPARATOR = "\x1f"
HASHED = "\x1e"
MAX_PLAIN_BYTES = 200
"""Longer strings are cut here and closed with a digest: equality holds, prefixes up to this length hold."""

_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def attribute_terms(metadata: Metadata) -> tuple[str, ...]:
    """The sorted, distinct terms of a memory's metadata."""
    return tuple(sorted(set(_walk((), dict(metadata)))))


def path_text(path: tuple[str, ...]) -> str:
    r"""The first part of a term. A dot within a key is written `\.`, as in a filter's field name."""
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in path)


def path_prefix(path: tuple[str, ...]) -> str:
    """Every term at the path starts with this."""
    return path_text(path) + SEPARATOR


def string_term(path: tuple[str, ...], value: str) -> str:
    return f"{path_text(path)}{SEPARATOR}s{SEPARATOR}{_bounded(value)}"


def string_prefix(path: tuple[str, ...], value: str) -> str:
    return f"{path_text(path)}{SEPARATOR}s{SEPARATOR}{value}"


def number_term(path: tuple[str, ...], value: float) -> str:
    return f"{path_text(path)}{SEPARATOR}n{SEPARATOR}{sortable_number(value)}"


def boolean_term(path: tuple[str, ...], value: bool) -> str:  # noqa: FBT001 (the value itself)
    return f"{path_text(path)}{SEPARATOR}b{SEPARATOR}{'1' if value else '0'}"


def date_term(path: tuple[str, ...], value: datetime) -> str:
    return f"{path_text(path)}{SEPARATOR}t{SEPARATOR}{sortable_time(value)}"


def typed_bounds(path: tuple[str, ...], kind: str) -> tuple[str, str]:
    """The half-open range [low, high) of all terms of one type ('s', 'n', 'b' or 't') at the path."""
    start = f"{path_text(path)}{SEPARATOR}{kind}"
    return start + SEPARATOR, start + "\x20"


def sortable_number(value: float) -> str:
    """16 hex digits whose order is the order of the doubles; -0.0 equals 0.0."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))
    ordered = (bits ^ _ALL) if bits & _SIGN else bits | _SIGN
    return f"{ordered:016x}"


def plain_number(digits: str) -> float:
    """The number that `sortable_number` wrote."""
    ordered = int(digits, 16)
    bits = ordered ^ _SIGN if ordered & _SIGN else ordered ^ _ALL
    (value,) = struct.unpack(">d", struct.pack(">Q", bits))
    return value


def term_value(term: str) -> tuple[str | bool | float, bool]:
    """The value in a string, number or boolean term, and whether it is only the beginning of a longer string."""
    _, kind, text = term.split(SEPARATOR, 2)
    match kind:
        case "b":
            return text == "1", False
        case "n":
            return plain_number(text), False
        case _ if len(text.encode("utf-8")) > MAX_PLAIN_BYTES:
            return text.rsplit(HASHED, 1)[0], True
        case _:
            return text, False


def sortable_time(value: datetime) -> str:
    """16 hex digits whose order is the order of the instants, in microseconds."""
    delta = value - _EPOCH
    microseconds = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    return f"{microseconds + _SIGN:016x}"


def parse_instant(text: str) -> datetime | None:
    """The instant that an RFC 3339 date or date-time names (UTC where it names no zone), or None."""
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper().replace(" ", "T"))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _walk(path: tuple[str, ...], value: JsonValue) -> Iterator[str]:
    match value:
        case None:
            return
        case bool():
            yield boolean_term(path, value)
        case int() | float():
            yield number_term(path, value)
        case str():
            yield string_term(path, value)
            instant = parse_instant(value)
            if instant is not None:
                yield date_term(path, instant)
        case list():
            for element in value:
                if not isinstance(element, list):
                    yield from _walk(path, element)
        case _:
            for key, inner in value.items():
                yield from _walk((*path, key), inner)


def _bounded(value: str) -> str:
    data = value.encode("utf-8")
    if len(data) <= MAX_PLAIN_BYTES:
        return value
    head = data[:MAX_PLAIN_BYTES].decode("utf-8", errors="ignore")
    return f"{head}{HASHED}{hashlib.sha256(data).hexdigest()}"
