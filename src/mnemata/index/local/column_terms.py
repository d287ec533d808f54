"""Interned strings: a code per distinct string, and ranges of strings found by binary search."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

ABSENT = -1
"""The code of no string."""


class Terms:
    """Append-only dictionary of strings. One writer; any number of readers.

    Codes count from 0 in the order of arrival. The sorted order is made when the first range or prefix asks for it,
    because most tenants filter by equality only, and is extended by what has arrived since.
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._sorting = threading.Lock()
        self._sorted: list[str] = []
        self._sorted_codes: NDArray[np.int32] = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, term: str | None) -> int:
        """The term's code; a new one where it is not known; ABSENT for None. Only the writer calls this."""
        if term is None:
            return ABSENT
        return self._codes.setdefault(term, len(self._codes))

    def find(self, terms: Iterable[str]) -> list[int]:
        """The codes of those terms that are known."""
        return [code for code in map(self._codes.get, terms) if code is not None]

    def since(self, start: int) -> list[str]:
        """The terms from code `start` on, in the order of their codes."""
        return list(islice(self._codes, start, None))

    def between(self, low: str, high: str) -> NDArray[np.int32]:
        """The codes of the terms in [low, high), by code points, which is the order of UTF-8 bytes."""
        terms, codes = self.in_order()
        return codes[bisect_left(terms, low) : bisect_left(terms, high)]

    def starting_with(self, prefix: str) -> NDArray[np.int32]:
        """The codes of the terms that start with `prefix`."""
        terms, codes = self.in_order()
        width = len(prefix)
        return codes[bisect_left(terms, prefix) : bisect_right(terms, prefix, key=lambda term: term[:width])]

    def sort(self) -> None:
        """Make the order now, so that no search has to wait for it."""
        self.in_order()

    def in_order(self) -> tuple[list[str], NDArray[np.int32]]:
        """The terms by code points, not to be changed, and the code of each."""
        with self._sorting:
            if len(self._sorted) != len(self._codes):
                self._extend_order()
            return self._sorted, self._sorted_codes

    def _extend_order(self) -> None:
        # New lists, not changed ones: readers outside the lock still search the old order.
        merged = self._sorted + sorted(self.since(len(self._sorted)))
        merged.sort()  # two ascending runs: timsort merges them in linear time
        self._sorted_codes = np.fromiter(map(self._codes.__getitem__, merged), np.int32, len(merged))
        self._sorted = merged
