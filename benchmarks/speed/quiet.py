"""When the background has nothing more to do: merges, graphs and saves are over."""

from __future__ import annotations

import time

import psutil

_LONGEST_S = 600.0
_IDLE_SHARE = 0.15
"""A process that uses less of one core than this is at rest: timers and polls go on for ever."""


def until_quiet(pid: int | None = None, *, still_s: float) -> float:
    """Wait until a process (this one: None) has been at rest for `still_s`; the seconds that it took until then."""
    process = psutil.Process(pid)
    started = time.perf_counter()
    calm_since = started
    process.cpu_percent()
    while time.perf_counter() - started < _LONGEST_S:
        time.sleep(0.5)
        if process.cpu_percent() > _IDLE_SHARE * 100:
            calm_since = time.perf_counter()
        elif time.perf_counter() - calm_since >= still_s:
            return calm_since - started
    raise SystemExit(f"the background was still at work after {_LONGEST_S:.0f} s")
