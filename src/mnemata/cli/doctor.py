"""`mnemata doctor`: what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import typer

from mnemata.cli.call import Call
from mnemata.domain.errors import MnemataError

if TYPE_CHECKING:
    from rich.console import Console

    from mnemata.cli.checks import Check

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


async def doctor(call: Call) -> None:
    """Look for what is wrong and say what to do.

    The exit code is that of the first failure.
    """
    from mnemata.cli.checks import State

    checks = [check async for check in _all_checks(call)]
    call.output.answer(
        {"checks": [check.as_json() for check in checks]}, lambda console: _print(console, checks)
    )
    failures = [check for check in checks if check.state is State.FAIL]
    if failures:
        raise typer.Exit(failures[0].exit)


async def _all_checks(call: Call) -> AsyncIterator[Check]:
    from mnemata.cli.checks import FOLDER, Check, State, failed, machine_checks, port_check, process_check
    from mnemata.cli.store_checks import server_checks, store_checks
    from mnemata.observability import logging

    try:
        settings = call.settings
    except MnemataError as error:
        yield failed("settings", error)
        return
    logging.configure(format=settings.log.format, level="error")
    yield Check(name="settings", says="every name is known, every value fits")
    if call.aloof:
        async for check in server_checks(call):
            yield check
        return
    usable = True
    for check in machine_checks(settings):
        yield check
        usable = usable and not (check.name == FOLDER and check.state is State.FAIL)
    if not usable:
        return
    process = process_check(settings)
    yield process
    if process.state is State.FAIL:
        return
    if "answers at" not in process.says:
        yield port_check(settings)
    async for check in store_checks(call):
        yield check


def _print(console: Console, checks: list[Check]) -> None:
    from rich.text import Text

    for check in checks:
        line = Text(f"{check.state.value:<5}", style=_STYLES[check.state.value])
        line.append(f"{check.name:<13}", style="bold")
        line.append(check.says, style="default")
        console.print(line, soft_wrap=True)
        if check.remedy:
            console.print(f"     {'':<13}{check.remedy}", markup=False, soft_wrap=True)
