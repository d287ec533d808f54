"""`mnemata cache`: how the cache does, emptying it, and warming it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnemata.cli import people
from mnemata.cli.call import Call

if TYPE_CHECKING:
    from rich.console import Console


async def stats(call: Call) -> None:
    """Say how the cache does: hits, bytes and time saved by class, and the server's figures."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        report = await client.get("/v1/admin/cache")
    call.output.answer(report, lambda console: _print(console, report))


async def clear(call: Call) -> None:
    """Give up everything that is cached.

    Nothing is lost: the next searches are computed.
    """
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        outcome = await client.request("POST", "/v1/admin/cache:clear")
    call.output.answer(
        outcome, lambda console: console.print(f"{people.amount(outcome['deleted'], 'key')} deleted")
    )


async def warm(call: Call) -> None:
    """Have the most asked queries answered before they are asked again.

    The platform does so by itself after each change and at its start.
    """
    from mnemata.cli.connection import connected
    from mnemata.cli.watching import watched

    async with connected(call) as client:
        outcome = await watched(client, call.output, "/v1/admin/cache:warm", {}, title="warming", part="warm")
    done = f"{outcome['searches']:,} searches made for {people.amount(outcome['tenants'], 'tenant')}"
    call.output.answer(outcome, lambda console: console.print(done))


def _print(console: Console, report: dict[str, Any]) -> None:
    if not report["used"]:
        console.print("No cache is used.")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("class", "asked", "hits", "ratio", "read", "written", "saved"):
        table.add_column(title, justify="left" if title == "class" else "right")
    for kind, row in report["classes"].items():
        table.add_row(
            kind,
            f"{row['asked']:,}",
            f"{row['hits']:,}",
            f"{row['hit_ratio']:.1%}",
            people.size(row["bytes_read"]),
            people.size(row["bytes_written"]),
            f"{row['saved_ms']:,.0f} ms",
        )
    console.print(table)
    for name, value in report["server"].items():
        console.print(f"  {name:24}{_shown(name, value)}", markup=False)


def _shown(name: str, value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name in {"used_memory", "maxmemory"}:
            return people.size(value)
        case _:
            return str(value)
