"""Numbers and dates as people type them: `>0.5`, `0.2..0.8`, `2026-05`, each a range of one field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from mnemata.domain.attributes import parse_instant
from mnemata.domain.filter import Field, Range

_COMPARED = re.compile(r"(>=|<=|>|<|=)?(.+)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_PERIOD = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """From `low` to `high`. A point has both equal and holds them; a day, month or year ends just before `high`."""

    low: float | datetime
    high: float | datetime
    point: bool


ReadsInterval: TypeAlias = Callable[[str], Interval | None]


def number(text: str) -> Interval | None:
    """The point that a decimal number names, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return Interval(low=value, high=value, point=True) if math.isfinite(value) else None


def period(text: str) -> Interval | None:
    """The year `2026`, the month `2026-05`, the day `2026-05-01` (UTC) or the instant of a date-time, or None."""
    named = _PERIOD.fullmatch(text)
    if named:
        return _calendar_period(*(int(part) if part else None for part in named.groups()))
    instant = parse_instant(text)
    return None if instant is None else Interval(low=instant, high=instant, point=True)


def number_or_period(text: str) -> Interval | None:
    return number(text) or period(text)


def compared(field: Field, text: str, read: ReadsInterval) -> Range | None:
    """The range that `>x`, `>=x`, `<x`, `<=x`, `=x`, `x` or `x..y` names, each side read by `read`; or None."""
    first, dots, last = text.partition("..")
    if dots:
        return _between(field, read(first), read(last))
    parts = _COMPARED.fullmatch(text)
    interval = read(parts[2]) if parts else None
    return compare(field, parts[1] or "=", interval) if parts and interval else None


def compare(field: Field, sign: str, interval: Interval) -> Range:
    """Where the field stands to the interval: after a day means after its end, before it means before its start."""
    match sign:
        case ">":
            return Range(field=field, low=interval.high, include_low=not interval.point)
        case ">=":
            return Range(field=field, low=interval.low)
        case "<":
            return Range(field=field, high=interval.low, include_high=False)
        case "<=":
            return Range(field=field, high=interval.high, include_high=interval.point)
        case _:
            return Range(field=field, low=interval.low, high=interval.high, include_high=interval.point)


def _between(field: Field, first: Interval | None, last: Interval | None) -> Range | None:
    if first is None or last is None or type(first.low) is not type(last.high):
        return None
    return Range(field=field, low=first.low, high=last.high, include_high=last.point)


def _calendar_period(year: int | None, month: int | None, day: int | None) -> Interval | None:
    try:
        start = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
        return Interval(low=start, high=_end(start, month=month, day=day), point=False)
    except (ValueError, OverflowError):
        return None


def _end(start: datetime, *, month: int | None, day: int | None) -> datetime:
    if day is not None:
        return start + timedelta(days=1)
    if month is not None and month < 12:
        return start.replace(month=month + 1)
    return start.replace(year=start.year + 1, month=1)
