"""`mnemata verify` and `mnemata index verify`: whether all is as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli import people
from mnemata.cli.call import Call
from mnemata.cli.exits import ExitCode
from mnemata.cli.index import OptionalName

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 50

Repair = Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")]


async def verify(
    call: Call,
    *,
    store: Annotated[
        bool, typer.Option("--store", help="What is stored, with its hashes and history.")
    ] = False,
    index: Annotated[bool, typer.Option("--index", help="The live index, with what is stored.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="What is cached, with what is stored.")] = False,
    repair: Repair = False,
) -> None:
    """Compare store, index and cache while they are written to, and name what differs.

    Everything unless parts are named. Ends with exit code 1 if something is wrong and was not mended, or is undecided.
    """
    every = not (store or index or cache)
    body = {"store": store or every, "index": index or every, "cache": cache or every, "repair": repair}
    await _verified(call, body)


async def verify_index(call: Call, name: OptionalName = None, *, repair: Repair = False) -> None:
    """Compare the live index, or another generation of it, with the store.

    Ends with exit code 1 if something is wrong and was not mended, or is undecided.
    """
    only = {"store": False, "cache": False} if name is None else {"generation": name}
    await _verified(call, {**only, "repair": repair})


async def _verified(call: Call, body: dict[str, Any]) -> None:
    from mnemata.cli.connection import connected
    from mnemata.cli.watching import watched

    async with connected(call) as client:
        report = await watched(
            client, call.output, "/v1/admin:verify", body, title="verifying", part="verify"
        )
    call.output.answer(report, lambda console: _print(console, report))
    if report["left"] or report["undecided"]:
        raise typer.Exit(ExitCode.INTERNAL)


def _print(console: Console, report: dict[str, Any]) -> None:
    checked = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in report["checked"].items())
    console.print(f"compared: {checked or 'nothing'}", markup=False, soft_wrap=True)
    for fault in report["named"][:_SHOWN]:
        _print_fault(console, fault)
    if report["faults"] > _SHOWN:
        console.print(f"and {report['faults'] - _SHOWN:,} more; --json names up to 1,000")
    if report["undecided"]:
        told = f"{people.amount(report['undecided'], 'memory')} undecided: they changed at every look, or the index did not come as far in time. Verify again"
        console.print(told, style="yellow", soft_wrap=True)
    told = (
        f"{people.amount(report['faults'], 'fault')}, {report['repaired']:,} mended, {report['left']:,} left"
    )
    console.print(told, style="red" if report["left"] else "green")


def _print_fault(console: Console, fault: dict[str, Any]) -> None:
    of = fault["memory_id"] or ""
    field = f" {fault['field']}" if fault["field"] else ""
    state = "mended" if fault["repaired"] else fault["remedy"]
    console.print(
        f"{fault['part']:<6}{fault['what']:<16}{of}{field}: {fault['detail']} ({state})",
        markup=False,
        soft_wrap=True,
    )
