"""Tables and numbers in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Numbers to the right, words to the left."""
    told = [list(row) for row in rows]
    rule = ["---:" if _is_numeric([row[place] for row in told]) else "---" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(map(cell, row))} |" for row in (head, rule, *told))


def cell(value: object) -> str:
    """Numbers as people read them; nothing where there is none."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return number(value)
    return str(value).replace("|", "\\|")


def number(value: float) -> str:
    """Three digits that count, at least."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3
    return f"{value:,.{digits}f}"


def paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def stages(row: dict[str, Any]) -> str:
    """Milliseconds of a search by stage, in the order in which they happen."""
    known = {name: place for place, name in enumerate(_STAGES)}
    ordered = sorted(row["stages_p50_ms"].items(), key=lambda stage: known.get(stage[0], len(known)))
    return ", ".join(f"{name} {ms:.1f}" for name, ms in ordered)


_STAGES = ("cache", "parse", "embed", "lexical", "vector", "search", "fuse", "hydrate", "total")


def _is_numeric(values: Sequence[object]) -> bool:
    return all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )
