"""From a memory's id to its slot, in some ten bytes a memory, for many ids at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mnemata.index.local.columns import Columns

NOT_THERE = -1
"""Stands for the slot of an id that never had one; in the table, for an empty place."""

_FEWEST_BITS = 11
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_NEAR = np.arange(8)


class IdSlots:
    """An open-addressing table of slots: whose slot it is, the columns tell. One writer; any number of readers.

    Entries never move within a table, and a reader looks at the columns after it has read an entry, so that it finds
    there whatever the entry names. Lookups go through the table together, step by step: one by one they take several
    times as long, and a dictionary ten times the memory.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._table = _empty(_FEWEST_BITS)
        self._used = 0

    @property
    def nbytes(self) -> int:
        return self._table.nbytes

    def slots(self, numbers: Sequence[int]) -> NDArray[np.int64]:
        """(n,) int64: the slot that was put last for each id (a 128-bit number), NOT_THERE where there is none.

        Whether the memory still lives there is not asked here.
        """
        return self._entries(*_halves(numbers))[1]

    def put(self, slots: NDArray[np.int64]) -> None:
        """Let the ids that the columns have at `slots`, which are all different, be found there from now on."""
        self._reserve(len(slots))
        high, low = (column[slots] for column in self._columns.id_halves)
        missing = np.arange(len(slots))
        while len(missing):
            # Two new ids may meet at one empty place: only one of them is there afterwards, the others go on.
            places, known = self._entries(high[missing], low[missing])
            self._table[places] = slots[missing]
            won = self._table[places] == slots[missing]
            self._used += int(np.count_nonzero(won & (known == NOT_THERE)))
            missing = missing[~won]

    def _entries(
        self, high: NDArray[np.uint64], low: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each id stands in the table, or the empty place where it would; and the slot that is there."""
        table = self._table
        homes = ((low * _SPREAD) >> np.uint64(65 - len(table).bit_length())).astype(np.int64)
        places, entries = self._near_home(table, homes, low)
        searched = self._taken(entries, high, low)
        # One that is not there, or comes after an id with the same lower half, is looked for from its home on.
        places[searched] = homes[searched] - 1
        while len(searched):
            places[searched] = there = (places[searched] + 1) & (len(table) - 1)
            entries[searched] = later = table.take(there)
            searched = searched[self._taken(later, high[searched], low[searched])]
        return places, entries

    def _near_home(
        self, table: NDArray[np.int32], homes: NDArray[np.int64], low: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first of a few places from home on that is empty or has an id with this lower half, and its entry.

        The lower halves of ids made by chance are all different, and at most half of the places are taken: nearly
        all ids are found so, in a few steps for all of them.
        """
        places = (homes[:, None] + _NEAR) & (len(table) - 1)
        entries = table.take(places)
        stops = self._columns.id_halves[1].take(entries, mode="clip") == low[:, None]
        stops |= entries == NOT_THERE
        chosen = np.arange(0, entries.size, len(_NEAR)) + stops.argmax(axis=1)
        return places.take(chosen), entries.take(chosen).astype(np.int64)

    def _taken(
        self, entries: NDArray[np.integer], high: NDArray[np.uint64], low: NDArray[np.uint64]
    ) -> NDArray[np.int64]:
        """Which of the places are another id's than the one that is looked for there."""
        known_high, known_low = self._columns.id_halves
        # An empty place is read as the first slot's, and then left out.
        other = known_low.take(entries, mode="clip") != low
        other |= known_high.take(entries, mode="clip") != high
        other &= entries != NOT_THERE
        return other.nonzero()[0]

    def _reserve(self, more: int) -> None:
        """Make room: at most half of the places are used."""
        wanted = 2 * (self._used + more)
        if wanted <= len(self._table):
            return
        known = self._table[self._table != NOT_THERE].astype(np.int64)
        larger = IdSlots(self._columns)
        larger._table = _empty(wanted.bit_length())
        larger.put(known)
        self._table, self._used = larger._table, larger._used


def _empty(bits: int) -> NDArray[np.int32]:
    return np.full(1 << bits, NOT_THERE, np.int32)


def _halves(numbers: Sequence[int]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The upper and the lower 64 bits of each."""
    together = np.frombuffer(b"".join([number.to_bytes(16, "little") for number in numbers]), "<u8")
    return together[1::2], together[::2]
