"""Ranges over sortable values as a few exact terms (Schindler & Diepenbroek 2008, as in Lucene's numeric fields).

A value of 16 hex digits is indexed with each of its beginnings. A range is then the union of a few hundred aligned
blocks at most, however many distinct values there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mnemata.domain.attributes import SEPARATOR, path_text, sortable_number, sortable_time
from mnemata.domain.filter import Range

DIGITS = 16
_LAST = (1 << 64) - 1
_RANGED = frozenset("nt")


def beginnings(terms: tuple[str, ...]) -> Iterator[str]:
    """The terms to index for ranges, of a memory's metadata terms: numbers and dates only."""
    for term in terms:
        path, kind, digits = term.split(SEPARATOR, 2)
        if kind in _RANGED:
            start = f"{path}{SEPARATOR}{kind}{SEPARATOR}"
            for length in range(DIGITS + 1):
                yield start + digits[:length]


def covering(condition: Range) -> list[str]:
    """The indexed terms of which a memory has at least one exactly if the metadata range holds for it."""
    timed = isinstance(condition.low, datetime) or isinstance(condition.high, datetime)
    start = f"{path_text(condition.field.path)}{SEPARATOR}{'t' if timed else 'n'}{SEPARATOR}"
    low = 0 if condition.low is None else _ordinal(condition.low) + (not condition.include_low)
    high = _LAST if condition.high is None else _ordinal(condition.high) - (not condition.include_high)
    return [start + block for block in blocks(low, high)]


def blocks(low: int, high: int) -> Iterator[str]:
    """The fewest hex beginnings that cover low..high, both included, and nothing else."""
    while low <= high:
        size = 0
        while size < DIGITS and low % 16 ** (size + 1) == 0 and low + 16 ** (size + 1) - 1 <= high:
            size += 1
        yield f"{low:016x}"[: DIGITS - size]
        low += 16**size


def _ordinal(value: float | datetime) -> int:
    return int(sortable_time(value) if isinstance(value, datetime) else sortable_number(value), 16)
