"""What an operator asks of a running platform: rebuild and verify, make a backup, sweep, warm the cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from mnemata.domain.job import JobKind
from mnemata.domain.memory import JsonValue
from mnemata.domain.scope import Role, Scope

Progress: TypeAlias = Callable[[int, int], None]
"""Told how much is done, and how much there is in all."""

Facts: TypeAlias = Mapping[str, JsonValue]

Handler: TypeAlias = Callable[[Facts, Progress], Awaitable[Facts]]
"""Does one kind of work with its arguments, tells how far it is, and gives what it made."""


NOTHING: Facts = MappingProxyType({})


def no_progress(done: int, total: int) -> None:
    """Nobody watches."""


class Operations:
    """`do`: has a kind of work done, here or by a worker, and gives what it made."""

    def __init__(self, do: Callable[[JobKind, Facts, Progress], Awaitable[Facts]]) -> None:
        self._do = do
        self._running: dict[str, JsonValue] = {}

    @property
    def running(self) -> Facts:
        """Long work that is under way, by name: how much is `done`, and the `total`."""
        return dict(self._running)

    async def rebuild(
        self, scope: Scope, progress: Progress = no_progress, *, arguments: Facts = NOTHING
    ) -> Facts:
        """Build the index anew beside the live one, verify it and switch: `documents`, `seconds`, `verified`...

        Arguments: `generation` to go on with, `rate` in memories a second, `switch`, `force`.
        """
        return await self._noted(scope, JobKind.REBUILD, arguments, progress)

    async def switch(self, scope: Scope, arguments: Facts, progress: Progress = no_progress) -> Facts:
        """Make another generation of the index the live one: its `generation` and the one `before`.

        Arguments: `generation`, `force`.
        """
        return await self._noted(scope, JobKind.SWITCH, arguments, progress)

    async def verify(self, scope: Scope, arguments: Facts, progress: Progress = no_progress) -> Facts:
        """Compare store, index and cache, and repair: `checked`, `faults`, `repaired`, `left`, `named`...

        Arguments: `store`, `index`, `cache` (each true by default), `generation` (that one alone), `repair`.
        """
        return await self._noted(scope, JobKind.VERIFY, arguments, progress)

    async def backup(self, scope: Scope, path: Path | None = None, progress: Progress = no_progress) -> Facts:
        """A whole, checksummed backup at `path`, or in the backup folder: `path`, `bytes`, `memories`, `seconds`.

        Its progress is in bytes, their total an estimate from above.
        """
        return await self._noted(scope, JobKind.BACKUP, {} if path is None else {"path": str(path)}, progress)

    async def sweep(self, scope: Scope, progress: Progress = no_progress) -> Facts:
        """Expire and purge now what is due, instead of at the next interval: how many were `expired` and `purged`."""
        return await self._noted(scope, JobKind.SWEEP, {}, progress)

    async def warm(self, scope: Scope, progress: Progress = no_progress) -> Facts:
        """Have the most asked queries answered before they are asked again: `tenants`, `searches` that were made."""
        return await self._noted(scope, JobKind.WARM, {}, progress)

    async def _noted(self, scope: Scope, kind: JobKind, arguments: Facts, progress: Progress) -> Facts:
        scope.require(Role.OPERATOR)
        with self._watched(kind.value, progress) as noted:
            return await self._do(kind, arguments, noted)

    @contextmanager
    def _watched(self, name: str, progress: Progress) -> Generator[Progress]:
        """Progress that shows in `running` while the block runs, and that is told on."""

        def noted(done: int, total: int) -> None:
            self._running[name] = {"done": done, "total": total}
            progress(done, total)

        try:
            yield noted
        finally:
            self._running.pop(name, None)
