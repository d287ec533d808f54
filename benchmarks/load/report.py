"""The figures as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show(console: Console, run: dict[str, Any]) -> None:
    for name, scenario in run["scenarios"].items():
        console.print(f"\n{run['target']}, {run['api']} API process(es), {name}")
        console.print(_steps(scenario))
        console.print(_operations(scenario))
        if "knee" in scenario:
            at = scenario["knee"]
            reached = "knee" if at["reached"] else "no knee yet"
            console.print(
                f"  {reached}: {at['clients']} clients, {at['throughput']} {scenario['unit']} a second"
            )
            console.print(f"  exhausted there: {at['exhausted']}")


def _steps(scenario: dict[str, Any]) -> Table:
    names = list(scenario["steps"][0]["cores"])
    table = Table(
        "clients",
        f"{scenario['unit']} a second",
        "refused",
        "failed",
        "degraded",
        *names,
        title="cores used by",
    )
    for step in scenario["steps"]:
        counts = (sum(step[kind].values()) for kind in ("refused", "failures", "degraded"))
        table.add_row(
            step["label"] or str(step["clients"]),
            f"{step['throughput']:,}",
            *map(str, counts),
            *(f"{step['cores'][name]:.2f}" for name in names),
        )
    return table


def _operations(scenario: dict[str, Any]) -> Table:
    table = Table("clients", "operation", "a second", "p50 ms", "p95 ms", "p99 ms", "max ms")
    for step in scenario["steps"]:
        for name, row in step["operations"].items():
            times = (f"{row[key]:,.1f}" for key in ("per_s", "p50_ms", "p95_ms", "p99_ms", "max_ms"))
            table.add_row(step["label"] or str(step["clients"]), name, *times)
    return table
