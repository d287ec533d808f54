"""The whole platform in one process on a data folder, with the servers that it brings along."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals

import httpx
import psutil
from deploy.servers.member import Member

from benchmarks.chaos.nemeses import Fault

_ANSWER_S = 10
_PARTS = {"postgres": "postgres", "valkey": "valkey-server"}
"""Servers that the process starts, by the names of their programs."""


class Single(Member):
    """`mnemata serve` on its embedded defaults."""

    def __init__(self, folder: Path, *, port: int, settings: Mapping[str, str]) -> None:
        url = f"http://127.0.0.1:{port}"
        super().__init__("platform", folder=folder, log=folder / "platform.log", url=url)
        self.settings = {
            **settings,
            "MNEMATA_DATA_DIR": str(folder / "data"),
            "MNEMATA_HTTP__PORT": str(port),
        }

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "mnemata", "serve"]

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONUNBUFFERED": "1", **self.settings}

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=_ANSWER_S).status_code == 200
        except httpx.HTTPError:
            return False

    def of_parts(self) -> dict[str, Fault]:
        """Each server of its own killed, and paused."""
        faults: dict[str, Fault] = {}
        for name in _PARTS:
            faults[f"killed {name} of {self.name}"] = Fault(
                begin=partial(self._tell, name, SIGKILL), end=self.wait
            )
            faults[f"paused {name} of {self.name}"] = Fault(
                begin=partial(self._tell, name, SIGSTOP), end=partial(self._tell, name, SIGCONT)
            )
        return faults

    def _tell(self, part: str, how: Signals) -> None:
        """Send a signal to every process of the part."""
        for process in psutil.Process(self.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.name() == _PARTS[part]:
                    process.send_signal(how)
