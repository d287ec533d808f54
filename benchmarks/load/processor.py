"""Who uses the machine's cores: the platform's processes by name, the load itself, and everybody else."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

import psutil

LOAD = "load generator"
OTHERS = "others"


class Processors:
    """`processes`: pids by the name under which they are told; each with what came from it and has no name of its own."""

    def __init__(self, processes: Mapping[str, Sequence[int]]) -> None:
        self._processes = {**processes, LOAD: [os.getpid()]}
        self._named = {pid for pids in self._processes.values() for pid in pids}
        self._before, self._since = self._now(), time.perf_counter()

    def used(self) -> dict[str, float]:
        """Cores that each used since this object was made, on average."""
        now, seconds = self._now(), time.perf_counter() - self._since
        cores = {name: max(now[name] - self._before[name], 0.0) / seconds for name in now}
        whole = cores.pop(OTHERS)
        cores[OTHERS] = max(whole - sum(cores.values()), 0.0)
        return {name: round(value, 3) for name, value in cores.items()}

    def _now(self) -> dict[str, float]:
        spent = {name: sum(map(self._seconds, pids)) for name, pids in self._processes.items()}
        times = psutil.cpu_times()
        # Guests are in `user` already; `steal` is what another machine had.
        unused = sum(getattr(times, kind, 0.0) for kind in ("idle", "iowait", "steal", "guest", "guest_nice"))
        return {**spent, OTHERS: sum(times) - unused}

    def _seconds(self, pid: int) -> float:
        """Of a process and of those below it, also of those that have ended and were waited for."""
        try:
            process = psutil.Process(pid)
            times, children = process.cpu_times(), process.children()
        except psutil.NoSuchProcess:
            return 0.0
        own = times.user + times.system + times.children_user + times.children_system
        return own + sum(self._seconds(child.pid) for child in children if child.pid not in self._named)
