"""The figures as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.speed.goals import Row


def show(console: Console, figures: dict[str, Any], rows: Sequence[Row]) -> None:
    machine = figures["machine"]
    console.print(
        f"\nMnemata {figures['version']} · {figures['corpus']} · {machine['cores']} cores, {machine['processor']} · "
        f"load {machine['load_before']} before, {machine['load_after']} after"
    )
    if "contestants" in figures:
        for scenario in figures["contestants"]["mnemata_index"]["scenarios"]:
            _show_scenario(console, figures, scenario)
    if "http" in figures:
        _show_http(console, figures["http"])
    _show_summary(console, rows)


def _show_scenario(console: Console, figures: dict[str, Any], scenario: str) -> None:
    table = Table(title=f"In process, {figures['turns']:,} turns: {scenario}", title_justify="left")
    table.add_column("engine")
    for name in ("p10 ms", "p50 ms", "p95 ms", "x floor", "processor ms", "vector recall@10", "load"):
        table.add_column(name, justify="right")
    for contestant in figures["contestants"].values():
        if "skipped" in contestant:
            table.add_row(contestant["name"], contestant["skipped"])
            continue
        row = contestant["scenarios"][scenario]
        table.add_row(
            contestant["name"],
            *(f"{row[name]:.2f}" for name in ("p10_ms", "p50_ms", "p95_ms")),
            f"{row['times_the_floor']:.1f}",
            f"{row['processor_ms']:.2f}",
            f"{row['vector_recall']:.3f}",
            f"{row['load']:.1f}",
        )
    console.print(table)


def _show_http(console: Console, http: dict[str, Any]) -> None:
    if "searches" in http:
        _show_searches(console, http)
    for name, figures in http.items():
        if name != "searches":
            told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in figures.items())
            console.print(f"  {name.replace('_', ' ')}: {told}")


def _show_searches(console: Console, http: dict[str, Any]) -> None:
    table = Table(title=f"HTTP, {http['bulk']['memories']:,} memories", title_justify="left")
    table.add_column("search")
    for name in ("p10 ms", "p50 ms", "p95 ms", "load", "inside, p50 by stage"):
        table.add_column(name, justify="left" if name.startswith("inside") else "right")
    for scenario, kinds in http["searches"].items():
        for kind, row in kinds.items():
            stages = " ".join(f"{stage} {ms:.1f}" for stage, ms in row["stages_p50_ms"].items())
            table.add_row(
                f"{scenario}, {kind.replace('_', ' ')}",
                *(f"{row[name]:.2f}" for name in ("p10_ms", "p50_ms", "p95_ms")),
                f"{row['load']:.1f}",
                stages,
            )
    console.print(table)


def _show_summary(console: Console, rows: Sequence[Row]) -> None:
    table = Table(title="Beside the goals (for two idle cores)", title_justify="left")
    for name, justify in (
        ("what", "left"),
        ("measured", "right"),
        ("", "left"),
        ("goal", "right"),
        ("met", "left"),
    ):
        table.add_column(name, justify=justify)
    for row in rows:
        value = "not measured" if row.value is None else f"{row.value:,g}"
        met = "" if row.met is None else ("yes" if row.met else "NO")
        table.add_row(row.name, value, row.unit, row.goal, met)
    console.print(table)
