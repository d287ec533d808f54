"""`mnemata status`: how a Mnemata is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnemata.cli import people
from mnemata.cli.call import Call

if TYPE_CHECKING:
    from rich.console import Console


async def status(call: Call) -> None:
    """Say how the platform is: parts, sizes, lag."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        report = await client.get("/v1/status")
        call.output.answer(report, lambda console: _print(console, report, where=client.where))


def _print(console: Console, report: dict[str, Any], *, where: str) -> None:
    """The plain facts first, then a block for each part."""
    console.print(where, style="bold", markup=False)
    _print_rows(console, {name: value for name, value in report.items() if not isinstance(value, dict)})
    for name, part in report.items():
        if isinstance(part, dict) and part:
            console.print(f"\n{name}", style="bold", markup=False)
            _print_rows(console, dict(_flat(part)))


def _flat(part: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in part.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows


def _print_rows(console: Console, rows: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=24)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        for title, text in _lines(name, value):
            table.add_row(f"  {title}", Text(text))
    console.print(table)


def _lines(name: str, value: Any) -> list[tuple[str, str]]:
    """A value as one row, a list as one row per element."""
    if isinstance(value, list):
        return [(name if place == 0 else "", _text(name, item)) for place, item in enumerate(value)]
    return [(name, _text(name, value))]


def _text(name: str, value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int() if "bytes" in name:
            return people.size(value)
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.3f}"
        case dict():
            return ", ".join(f"{key} {item}" for key, item in value.items())
        case _:
            return str(value)
