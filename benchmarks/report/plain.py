"""A bench that has no section of its own yet its figures here: every figure by its name, rows as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.report.markdown import paragraphs, table


def section(figures: dict[str, Any]) -> str:
    rows = [(name, value) for name, value in _flat(figures) if not isinstance(value, list)]
    return paragraphs(
        table(("figure", "value"), rows), *(_rows(name, value) for name, value in _tables(figures))
    )


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in value.items():
        told = f"{before}{name.replace('_', ' ')}"
        if isinstance(one, dict):
            yield from _flat(one, f"{told}, ")
        elif not isinstance(one, list):
            yield told, one


def _tables(figures: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name, value in figures.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            yield name, value


def _rows(name: str, rows: list[dict[str, Any]]) -> str:
    head = list(rows[0])
    return paragraphs(
        f"{name.replace('_', ' ').capitalize()}:",
        table([one.replace("_", " ") for one in head], [[row.get(one) for one in head] for row in rows]),
    )
