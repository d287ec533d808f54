"""`mnemata search`, `list` and `show`: what is remembered."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli import people
from mnemata.cli.call import Call
from mnemata.cli.options import (
    Agent,
    AsOf,
    FilterText,
    KindName,
    MemoryIdText,
    Session,
    Tags,
    User,
    filter_of,
    in_path,
    moment,
)

if TYPE_CHECKING:
    from rich.console import Console


class ModeName(StrEnum):
    HYBRID = "hybrid"
    LEXICAL = "lexical"
    VECTOR = "vector"


class SortName(StrEnum):
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    OCCURRED_AT = "occurred_at"
    IMPORTANCE = "importance"


async def search(
    call: Call,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help='Words, "exact words", -without, tag:x, before:2026-05-01.')
    ],
    *,
    mode: Annotated[
        ModeName, typer.Option("--mode", help="By words and meaning, by words only, by meaning only.")
    ] = ModeName.HYBRID,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="Hits at most.")] = 10,
    context: Annotated[
        int,
        typer.Option(
            "--context", min=0, metavar="N", help="Turns of the same session to show around each hit."
        ),
    ] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Say how each score came about.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show long texts whole.")] = False,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    kind: KindName = None,
    tag: Tags = None,
    condition: FilterText = None,
    as_of: AsOf = None,
    personalize_for: Annotated[
        str | None,
        typer.Option("--for", metavar="ID", help="Rank with regard to this user; leaves nothing out."),
    ] = None,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Where the page before ended.")
    ] = None,
) -> None:
    """Find memories by words and by meaning."""
    from mnemata.cli.connection import connected

    request: dict[str, Any] = {"query": query, "mode": mode.value, "limit": limit}
    narrowed = filter_of(condition, user=user, agent=agent, session=session, kind=kind, tags=tag)
    extras = {
        "filter": narrowed,
        "context": context,
        "explain": explain,
        "as_of": moment(as_of),
        "cursor": cursor,
    }
    request |= {name: value for name, value in extras.items() if value}
    if personalize_for is not None:
        request["personalize_for"] = personalize_for
    async with connected(call) as client:
        answer = await client.post("/v1/search", request)
    call.output.answer(answer, lambda console: _print_hits(console, answer, whole=full))
    _say_what_was_missing(call, answer)


async def list_memories(
    call: Call,
    *,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    kind: KindName = None,
    tag: Tags = None,
    condition: FilterText = None,
    sort: Annotated[SortName, typer.Option("--sort", help="What orders them.")] = SortName.CREATED_AT,
    ascending: Annotated[bool, typer.Option("--ascending", help="Oldest or least first.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="Memories at most.")] = 20,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Where the page before ended.")
    ] = None,
    as_of: AsOf = None,
) -> None:
    """List memories, newest first."""
    from mnemata.cli.connection import connected

    order = "asc" if ascending else "desc"
    request: dict[str, Any] = {"sort": sort.value, "order": order, "limit": limit, "with_total": True}
    narrowed = filter_of(condition, user=user, agent=agent, session=session, kind=kind, tags=tag)
    extras = {"filter": narrowed, "as_of": moment(as_of), "cursor": cursor}
    request |= {name: value for name, value in extras.items() if value}
    async with connected(call) as client:
        page = await client.post("/v1/memories:query", request)
    call.output.answer(page, lambda console: people.memory_table(console, page["items"]))
    shown = len(page["items"])
    call.output.note(f"{shown:,} of {people.amount(page['total'], 'memory')}")
    if page.get("next_cursor"):
        call.output.note(f"more: --cursor {page['next_cursor']}")


async def show(
    call: Call,
    memory_id: MemoryIdText,
    *,
    history: Annotated[bool, typer.Option("--history", help="Every version, newest first.")] = False,
    as_of: AsOf = None,
) -> None:
    """Show one memory whole, or its history."""
    from mnemata.cli.connection import connected

    path = f"/v1/memories/{in_path(memory_id)}"
    async with connected(call) as client:
        if history:
            versions = await client.get(f"{path}/history")
            call.output.answer(versions, lambda console: _print_history(console, versions["items"]))
        else:
            memory = await client.get(path, params={"as_of": moment(as_of)})
            call.output.answer(memory, lambda console: people.print_memory(console, memory))


def _print_hits(console: Console, answer: dict[str, Any], *, whole: bool) -> None:
    for rank, hit in enumerate(answer["hits"], start=1):
        people.print_hit(console, rank, hit, whole=whole)


def _say_what_was_missing(call: Call, answer: dict[str, Any]) -> None:
    took = answer["took_ms"]["total"]
    call.output.note(f"{len(answer['hits'])} of {people.amount(answer['total'], 'memory')} in {took:.0f} ms")
    if answer.get("next_cursor"):
        call.output.note(f"more: --cursor {answer['next_cursor']}")
    if answer.get("degraded"):
        call.output.warn(f"answered without: {', '.join(answer['degraded'])} (see `mnemata status`)")


_HISTORY_COLUMNS = (
    people.Column(title="VERSION"),
    people.Column(title="OPERATION"),
    people.Column(title="RECORDED", width=16),
    people.Column(title="MEMORY", share=1),
)


def _print_history(console: Console, versions: list[dict[str, Any]]) -> None:
    rows = [
        (
            str(version["memory"]["version"]),
            version["operation"],
            people.moment(version["recorded_at"]),
            version["memory"]["content"],
        )
        for version in versions
    ]
    people.print_table(console, _HISTORY_COLUMNS, rows)
