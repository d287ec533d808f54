"""Clocks of single processes that can be set: by libfaketime, where it is installed (Debian: faketime)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_PLACES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
)


def library() -> Path | None:
    """The library that tells a process another time; None where it is not installed."""
    return next((Path(place) for place in _PLACES if Path(place).exists()), None)


class SteppedClock:
    """The wall clock of one process: set while it runs. Its monotonic clock goes on, as it would where a machine's clock is set."""

    def __init__(self, name: str, folder: Path, at: Path) -> None:
        self.name = name
        self._file = folder / f"{name}.clock"
        self._library = at
        self.step(0.0)

    def environment(self) -> Mapping[str, str]:
        """What makes a process read this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Read again every second: at every look at the clock it takes more time than all the rest.
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: float) -> None:
        """From now on the process's clock is off by so much."""
        half = self._file.with_suffix(".half")
        half.write_text(f"{seconds:+.3f}\n")
        os.replace(half, self._file)  # noqa: PTH105 (the process reads the old one or the new one, never a part)
