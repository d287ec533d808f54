"""A breaker: after failures in a row nothing is sent for a while, so that a slow server costs its timeout only now and then."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Open after `failures` in a row; then one trial at a time, after pauses that double up to `longest_s`.

    `monotonic`: seconds.
    """

    def __init__(
        self,
        *,
        failures: int = 3,
        pause_s: float = 0.5,
        longest_s: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._first_s = pause_s
        self._longest_s = longest_s
        self._monotonic = monotonic
        self._failed = 0
        self._pause_s = pause_s
        self._closed_from = 0.0

    @property
    def open(self) -> bool:
        """Whether calls are refused or on trial."""
        return self._failed >= self._limit

    def allows(self) -> bool:
        """Whether a call may be made now. After a pause one caller is let through, and the next pause begins."""
        if not self.open:
            return True
        now = self._monotonic()
        if now < self._closed_from:
            return False
        self._closed_from = now + self._pause_s
        return True

    def worked(self) -> None:
        """A call was answered."""
        self._failed = 0
        self._pause_s = self._first_s

    def failed(self) -> None:
        """A call was not answered in time, or not at all."""
        self._failed += 1
        if self._failed > self._limit:
            self._pause_s = min(self._pause_s * 2, self._longest_s)
        if self.open:
            self._closed_from = self._monotonic() + self._pause_s
