"""From a memory's id to its living slot, in about 20 bytes a memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GONE = -1
_LOW = (1 << 64) - 1


class IdSlots:
    """Ids as 128-bit numbers. One writer; any number of readers.

    What came last stands in a dictionary; `seal` moves it into arrays sorted by the id's lower half. A dictionary
    of everything would take ten times the memory.
    """

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._sealed = _Sealed(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int32))

    @property
    def unsealed(self) -> int:
        return len(self._recent)

    def put(self, number: int, slot: int) -> None:
        self._recent[number] = slot

    def drop(self, number: int) -> None:
        self._recent[number] = _GONE

    def find(self, number: int) -> int | None:
        """The slot that was put last for this id."""
        # The dictionary first: sealing publishes the arrays before it empties the dictionary.
        slot = self._recent.get(number)
        if slot is None:
            return self._sealed.find(number)
        return None if slot == _GONE else slot

    def slots(self, numbers: Sequence[int]) -> NDArray[np.int64]:
        """(n,) int64: as `find` for each, -1 where there is none; one search of the arrays for all of them."""
        found = list(map(self._recent.get, numbers))
        older = [place for place, slot in enumerate(found) if slot is None]
        if older:
            sealed = self._sealed.slots([numbers[place] for place in older])
            for place, slot in zip(older, sealed, strict=True):
                found[place] = slot
        return np.array(found, np.int64)

    def seal(self, high: NDArray[np.uint64], low: NDArray[np.uint64], slots: NDArray[np.int64]) -> None:
        """Take the ids (halves) and slots of everything that lives, as they are now."""
        order = np.argsort(low, kind="stable")
        self._sealed = _Sealed(
            low[order].astype(np.uint64), high[order].astype(np.uint64), slots[order].astype(np.int32)
        )
        self._recent = {}


class _Sealed:
    def __init__(self, low: NDArray[np.uint64], high: NDArray[np.uint64], slots: NDArray[np.int32]) -> None:
        self._low, self._high, self._slots = low, high, slots

    def slots(self, numbers: Sequence[int]) -> list[int]:
        if not len(self._low):
            return [_GONE] * len(numbers)
        low = np.array([number & _LOW for number in numbers], np.uint64)
        high = np.array([number >> 64 for number in numbers], np.uint64)
        places = np.minimum(self._low.searchsorted(low), len(self._low) - 1)
        half = self._low[places] == low
        whole = half & (self._high[places] == high)
        found: list[int] = np.where(whole, self._slots[places], _GONE).tolist()
        # Two ids may share their lower half: those are looked up one by one.
        for n in np.flatnonzero(half & ~whole).tolist():
            slot = self.find(numbers[n])
            found[n] = _GONE if slot is None else slot
        return found

    def find(self, number: int) -> int | None:
        low, high = np.uint64(number & _LOW), np.uint64(number >> 64)
        place = int(self._low.searchsorted(low))
        while place < len(self._low) and self._low[place] == low:
            if self._high[place] == high:
                return int(self._slots[place])
            place += 1
        return None
