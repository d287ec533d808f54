"""What an operator asks of a running platform: rebuild the index, make a backup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from mnemata.domain.memory import JsonValue
from mnemata.domain.scope import Role, Scope

Progress: TypeAlias = Callable[[int, int], None]
"""Told how much is done, and how much there is in all."""

Facts: TypeAlias = Mapping[str, JsonValue]


def no_progress(done: int, total: int) -> None:
    """Nobody watches."""


class Operations:
    def __init__(
        self,
        *,
        rebuild: Callable[[Progress], Awaitable[Facts]],
        back_up: Callable[[Path | None, Progress], Awaitable[Facts]],
    ) -> None:
        self._rebuild = rebuild
        self._back_up = back_up
        self._running: dict[str, JsonValue] = {}

    @property
    def running(self) -> Facts:
        """Long work that is under way, by name: how much is `done`, and the `total`."""
        return dict(self._running)

    async def rebuild(self, scope: Scope, progress: Progress = no_progress) -> Facts:
        """Build the index anew beside the live one and switch: `documents`, `seconds`."""
        scope.require(Role.OPERATOR)

        with self._noted("rebuild", progress) as noted:
            return await self._rebuild(noted)

    async def backup(self, scope: Scope, path: Path | None = None, progress: Progress = no_progress) -> Facts:
        """A whole, checksummed backup at `path`, or in the backup folder: `path`, `bytes`, `memories`, `seconds`.

        Its progress is in bytes, their total an estimate from above.
        """
        scope.require(Role.OPERATOR)
        with self._noted("backup", progress) as noted:
            return await self._back_up(path, noted)

    @contextmanager
    def _noted(self, name: str, progress: Progress) -> Generator[Progress]:
        """Progress that shows in `running` while the block runs, and that is told on."""

        def noted(done: int, total: int) -> None:
            self._running[name] = {"done": done, "total": total}
            progress(done, total)

        try:
            yield noted
        finally:
            self._running.pop(name, None)
