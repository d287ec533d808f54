"""`mnemata backup` and `mnemata restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnemata.cli import people
from mnemata.cli.call import Call


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
            client, call.output, "/v1/admin:backup", request, title="backing up", part="backup"
        )
    told = f"{people.amount(made['memories'], 'memory')}, {people.size(made['bytes'])} in {people.duration(made['seconds'])}"
    call.output.answer(made, lambda console: console.print(made["path"], markup=False, soft_wrap=True))
    call.output.note(told)


async def restore(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", exists=True, dir_okay=False)],
) -> None:
    """Bring a backup into an empty data folder."""
