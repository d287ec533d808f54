"""Keeps long work below a rate, so that it leaves room for what people wait for."""

from __future__ import annotations

import asyncio
import time

_LONGEST_S = 1.0


class Pace:
    """`per_s`: items a second; 0: as fast as it goes."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._due = time.monotonic()

    def page(self, most: int) -> int:
        """How many items to do at once: what a second allows, at most `most`."""
        return most if self._per_s <= 0 else max(1, min(most, round(self._per_s * _LONGEST_S)))

    async def after(self, items: int) -> None:
        """Return when the next items may be done. Time that was not used is not made up for."""
        if self._per_s <= 0:
            return
        self._due = max(self._due, time.monotonic() - _LONGEST_S) + items / self._per_s
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))
