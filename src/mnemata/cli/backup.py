"""`mnemata backup` and `mnemata restore`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli import people
from mnemata.cli.call import Call
from mnemata.cli.progress import BYTES, bar

if TYPE_CHECKING:
    from mnemata.settings import Settings
    from mnemata.store.backup_archive import Manifest


async def backup(
    call: Call,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="Where to write it, on the server; without one, in the backup folder."
        ),
    ] = None,
) -> None:
    """Write a backup while the platform runs."""
    from mnemata.cli.connection import connected
    from mnemata.cli.watching import watched

    request = {} if path is None else {"path": str(path if call.aloof else path.absolute())}
    async with connected(call) as client:
        made = await watched(
            client,
            call.output,
            "/v1/admin:backup",
            request,
            title="backing up",
            part="backup",
            noun=BYTES,
        )
    told = f"{people.amount(made['memories'], 'memory')}, {people.size(made['bytes'])} in {people.duration(made['seconds'])}"
    call.output.answer(made, lambda console: console.print(made["path"], markup=False, soft_wrap=True))
    call.output.note(told)


async def restore(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", exists=True, dir_okay=False)],
) -> None:
    """Bring a backup into an empty data folder.

    Its checksums are compared before anything is touched, and memories that are there are never overwritten. The
    search index is built anew at the next start.
    """
    settings = call.settings
    began = time.perf_counter()
    with bar(call.output, "restoring", BYTES) as shown:
        manifest = await _restored(settings, file, lambda done, total: shown.at(done, total, counted=done))
    outcome: dict[str, Any] = {
        "path": str(file.absolute()),
        "data_dir": str(settings.data_dir),
        "memories": manifest.memories,
        "seconds": round(time.perf_counter() - began, 3),
    }
    where = "the database" if settings.database.url is not None else str(settings.data_dir)
    told = f"{people.amount(manifest.memories, 'memory')} restored into {where}"
    call.output.answer(outcome, lambda console: console.print(told, markup=False, soft_wrap=True))


async def _restored(settings: Settings, file: Path, progress: Callable[[int, int], None]) -> Manifest:
    """The backup's rows at this program's schema. Errors as `store.backup.restore` and `opened_store`."""
    from mnemata.cli.store_access import opened_store
    from mnemata.observability import logging
    from mnemata.store import backup, migrate
    from mnemata.store.backup_archive import verify
    from mnemata.store.backup_tools import PostgresTools

    logging.configure(format=settings.log.format, level="error")
    # Opening makes a folder and starts PostgreSQL: not for a file that cannot be restored.
    await asyncio.to_thread(verify, file)
    with opened_store(settings) as url:
        manifest = await backup.restore(file, url, tools=PostgresTools.bundled(), progress=progress)
        await asyncio.to_thread(migrate.migrate, url)
    return manifest
