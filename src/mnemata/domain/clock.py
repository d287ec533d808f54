"""Time comes in through the door: everything that needs the time is given a Clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time: the system's, one that is kept by the store's and, in tests, one that is moved by hand."""

    def now(self) -> datetime:
        """The time, timezone-aware, in UTC, with microseconds."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 (the one place)


class SteadyClock:
    """Goes on from the time that it was set to, whatever is done to the clock of the machine meanwhile."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._since = time.monotonic()

    def now(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._since)

    def set(self, at: datetime, *, since: float) -> timedelta:
        """It was `at` when the monotonic clock stood at `since`; how far this clock was behind."""
        behind = at - (self._at + timedelta(seconds=since - self._since))
        self._at, self._since = at, since
        return behind


class ManualClock:
    """A clock that stands until it is set."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def set(self, at: datetime) -> None:
        self._at = at
