"""`mnemata migrate`: the store's schema brought up to date."""

from __future__ import annotations

from typing import Annotated

import typer

from mnemata.cli.call import Call


def migrate(
    call: Call,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Bring the store's schema up to date.

    `serve` does so by itself unless the setting database.migrate is off.
    """
