"""Backups of a platform: asked for, and on schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from mnemata.domain.clock import Clock
from mnemata.platform.store import Store
from mnemata.services.operations import Facts, Progress, no_progress
from mnemata.settings import Settings
from mnemata.store.backup import backup
from mnemata.store.backup_rotation import newest_at, rotate, scheduled_name
from mnemata.store.backup_tools import PostgresTools

BackUp = Callable[[Path | None, Progress], Awaitable[Facts]]
"""Makes a backup at a path; without one in the backup folder, under a name that no rotation deletes."""


def backup_to(settings: Settings, store: Store, clock: Clock) -> BackUp:
    folder = _folder(settings, store)

    async def back_up(path: Path | None, progress: Progress) -> Facts:
        target = path or folder / f"kept-{scheduled_name(clock.now())}"
        tools = PostgresTools.bundled()
        report = await backup(store.url, target, tools=tools, clock=clock, progress=progress)
        return {
            "path": str(report.path),
            "bytes": report.bytes,
            "memories": report.manifest.memories,
            "seconds": round(report.seconds, 3),
        }

    return back_up


def scheduled(
    settings: Settings, store: Store, back_up: BackUp, clock: Clock
) -> Callable[[], Awaitable[None]]:
    folder = _folder(settings, store)

    async def run() -> None:
        # One moment for both: what was just made is the newest, however the clock is set meanwhile.
        now = clock.now()
        await back_up(folder / scheduled_name(now), no_progress)
        await asyncio.to_thread(rotate, folder, keep=settings.backup.keep, now=now)

    return run


def newest_scheduled(settings: Settings, store: Store) -> Callable[[], Awaitable[datetime | None]]:
    """Tells when the newest scheduled backup was made."""
    folder = _folder(settings, store)
    return lambda: asyncio.to_thread(newest_at, folder)


def _folder(settings: Settings, store: Store) -> Path:
    return settings.backup.dir or store.folder.backups
