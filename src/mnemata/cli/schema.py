"""`mnemata migrate`: the store's schema brought up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli.call import Call

if TYPE_CHECKING:
    from rich.console import Console


def migrate(
    call: Call,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Bring the store's schema up to date.

    `serve` does so by itself unless the setting database.migrate is off.
    """
    from mnemata.cli.store_access import opened_store
    from mnemata.observability import logging
    from mnemata.store import migrate as migrations

    settings = call.settings
    logging.configure(format=settings.log.format, level="error")
    with opened_store(settings) as url:
        before, waiting = migrations.current(url), migrations.pending(url)
        after = before if dry_run else migrations.migrate(url)
    outcome = {"before": before, "after": after, "pending" if dry_run else "applied": waiting}
    call.output.answer(outcome, lambda console: _print(console, outcome, waiting, dry_run=dry_run))


def _print(console: Console, outcome: dict[str, Any], waiting: list[str], *, dry_run: bool) -> None:
    if not waiting:
        console.print(f"The schema is up to date (revision {outcome['after']}).")
    elif dry_run:
        console.print(f"Would apply: {', '.join(waiting)}.")
    else:
        console.print(f"Applied: {', '.join(waiting)}. The schema is at revision {outcome['after']}.")
