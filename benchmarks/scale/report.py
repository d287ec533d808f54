"""The figures as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show(console: Console, figures: dict[str, Any]) -> None:
    about = figures["about"]
    console.print(f"\n{about['count']:,} memories in PostgreSQL and {about['engine']}")
    _show_ingest(console, figures["ingest"])
    _show_searches(console, figures.get("searches", {}))
    for name in ("settled", "sizes", "start", "memory", "rebuild"):
        if name not in figures:
            console.print(f"  {name}: not measured")
            continue
        told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in figures[name].items())
        console.print(f"  {name}: {told}")


def _show_ingest(console: Console, chunks: list[dict[str, Any]]) -> None:
    table = Table("stored", "a second", "server cpu s", "database cpu s", "resident MB", "load")
    for chunk in chunks:
        names = ("memories_per_s", "server_cpu_s", "database_cpu_s", "resident_mb", "load")
        table.add_row(f"{chunk['last']:,}", *(f"{chunk[name]:,}" for name in names))
    console.print(table)


def _show_searches(console: Console, searches: dict[str, Any]) -> None:
    table = Table("search", "p50 ms", "p95 ms", "load")
    for scenario, kinds in searches.items():
        for kind, row in kinds.items():
            label = f"{scenario}, {kind.replace('_', ' ')}"
            table.add_row(label, f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}", f"{row['load']}")
    console.print(table)
