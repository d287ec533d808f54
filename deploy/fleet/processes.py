"""Mnemata's own processes in a fleet: the doors and the work behind them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import httpx

from deploy.servers.member import Member

_ANSWER_S = 10


class MnemataProcess(Member):
    """`mnemata serve` or `mnemata worker`; `settings` by their names in the environment."""

    def __init__(
        self,
        name: str,
        role: Literal["serve", "worker"],
        *,
        folder: Path,
        log: Path,
        port: int,
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(name, folder=folder, log=log, url=f"http://127.0.0.1:{port}")
        self.port = port
        self._role = role
        section = "HTTP" if role == "serve" else "WORKER"
        self._settings = {
            "MNEMATA_LOG__FORMAT": "json",
            "MNEMATA_DATA_DIR": str(folder),
            **settings,
            f"MNEMATA_{section}__HOST": "127.0.0.1",
            f"MNEMATA_{section}__PORT": str(port),
        }

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "mnemata", self._role]

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONUNBUFFERED": "1", **self._settings}

    def answers(self) -> bool:
        return self.state().get("ready") is True

    def state(self) -> dict[str, object]:
        """What its `/readyz` says; empty while it says nothing."""
        try:
            return dict(httpx.get(f"{self.url}/readyz", timeout=_ANSWER_S).json())
        except (httpx.HTTPError, ValueError):
            return {}
