"""Memories as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_HIT_LINES = 4
_SIZES = ("B", "KB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`width`: never narrower. `share`: takes what is left, in proportion."""

    title: str
    style: str = ""
    width: int | None = None
    share: int | None = None


def moment(value: str | None) -> str:
    """An RFC 3339 time in UTC to the minute: `2026-05-08 13:56`."""
    return value[:16].replace("T", " ") if value else ""


def when(memory: Mapping[str, Any]) -> str:
    """When it was true in the world, else when it was learned."""
    return moment(memory.get("occurred_at") or memory.get("created_at"))


def whose(memory: Mapping[str, Any]) -> str:
    """Who speaks, whose memory it is and in which session, as far as they are known: `Ana · ana/monday`."""
    named = [memory.get(name) for name in ("role", "user_id", "agent_id", "session_id")]
    return " · ".join(dict.fromkeys(name for name in named if name))


def one_line(text: str) -> str:
    return " ".join(text.split())


def amount(count: float, noun: str) -> str:
    """`1 memory`, `2,960 memories`, `3 keys`."""
    plural = noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeiou" else noun + "s"
    return f"{count:,.0f} {noun if count == 1 else plural}"


def size(count: float) -> str:
    """Bytes to three digits: `23.1 MB`."""
    step = 0
    while count >= 1_000 and step < len(_SIZES) - 1:
        count, step = count / 1_000, step + 1
    return f"{count:.0f} B" if step == 0 else f"{count:.3g} {_SIZES[step]}"


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def print_hit(console: Console, rank: int, hit: Mapping[str, Any], *, whole: bool) -> None:
    """A hit as a few lines: rank, score, when, who; the text; its neighbours and how the score came about; the id."""
    from rich.text import Text

    memory = hit["memory"]
    head = Text(f"{rank:>3}  ", style="bold")
    head.append(f"{hit['score']:.3f}", style="green")
    head.append(f"  {when(memory)}", style="cyan")
    head.append(f"  {whose(memory)}", style="magenta")
    console.print(head, soft_wrap=True)
    before, after = _around(memory, hit.get("context") or ())
    for turn in before:
        _print_indented(console, _turn(turn), whole=False)
    _print_indented(console, Text(memory["content"]), whole=whole)
    for turn in after:
        _print_indented(console, _turn(turn), whole=False)
    if hit.get("explanation"):
        _print_indented(console, Text(_why(hit["explanation"]), style="yellow"), whole=True)
    _print_indented(console, Text(memory["id"], style="dim"), whole=True)


def _around(memory: Mapping[str, Any], turns: Any) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    def place(turn: Mapping[str, Any]) -> tuple[int, str]:
        return turn.get("sequence") or 0, turn.get("occurred_at") or turn["created_at"]

    return [t for t in turns if place(t) < place(memory)], [t for t in turns if place(t) >= place(memory)]


def _turn(memory: Mapping[str, Any]) -> Text:
    from rich.text import Text

    speaker = f"{memory['role']}: " if memory.get("role") else ""
    return Text(f"{speaker}{one_line(memory['content'])}", style="dim")


def _why(explanation: Mapping[str, Any]) -> str:
    ranks, scores = explanation.get("ranks", {}), explanation.get("scores", {})
    legs = [f"{leg} #{rank} ({scores.get(leg, 0.0):.3f})" for leg, rank in ranks.items()]
    others = [f"{name} {value:.3f}" for name, value in scores.items() if name not in ranks]
    lifts = [f"{reason} +{value:.4f}" for reason, value in explanation.get("personal", {}).items()]
    return " · ".join([*legs, *others, f"fused {explanation.get('fused', 0.0):.4f}", *lifts])


def _print_indented(console: Console, text: Text, *, whole: bool) -> None:
    """The text under the head, wrapped to the terminal and cut after a few lines; on a pipe one long line."""
    if not console.is_terminal:
        console.print("     " + one_line(text.plain), markup=False, soft_wrap=True)
        return
    lines = text.wrap(console, max(20, console.width - 6))
    shown = lines if whole else lines[:_HIT_LINES]
    for line in shown:
        line.pad_left(5)
        console.print(line)
    if len(lines) > len(shown):
        console.print(f"     … {amount(len(lines) - len(shown), 'line')} more", style="dim")


def print_table(console: Console, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Rows under their titles, fitted to the terminal; on a pipe bare rows, tabs between whole values."""
    if not console.is_terminal:
        for row in rows:
            console.print("\t".join(one_line(cell) for cell in row), markup=False, soft_wrap=True)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.title,
            style=column.style,
            no_wrap=True,
            overflow="ellipsis",
            ratio=column.share,
            min_width=column.width,
        )
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console.print(table)


_MEMORY_COLUMNS = (
    Column(title="WHEN", style="cyan", width=16),
    Column(title="WHOSE", style="magenta", width=12),
    Column(title="MEMORY", share=1),
    Column(title="ID", style="dim", width=36),
)


def memory_table(console: Console, memories: Iterable[Mapping[str, Any]]) -> None:
    """A line per memory: when, whose, text, id."""
    rows = [(when(memory), whose(memory), memory["content"], memory["id"]) for memory in memories]
    print_table(console, _MEMORY_COLUMNS, rows)


def print_memory(console: Console, memory: Mapping[str, Any]) -> None:
    """Every field that has a value, then the whole text."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in memory.items():
        if name != "content" and value not in (None, [], {}):
            table.add_row(name, Text(str(value)))
    console.print(table)
    console.print()
    console.print(memory["content"], markup=False, soft_wrap=True)
