"""`mnemata index`: the generations of the search index, and what it could not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli import people
from mnemata.cli.call import Call

if TYPE_CHECKING:
    from rich.console import Console

Name = Annotated[str, typer.Argument(metavar="NAME", help="The generation, as `index status` names it.")]
OptionalName = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="The generation, as `index status` names it.")
]
Force = Annotated[bool, typer.Option("--force", help="Switch also where the comparison speaks against it.")]


async def status(call: Call) -> None:
    """List the generations of the index: the live one, what is being built, what was replaced."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        report = await client.get("/v1/admin/index")
    call.output.answer(report, lambda console: _print(console, report))


async def create(call: Call) -> None:
    """Make an empty generation beside the live one, and print its name."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        made = await client.request("POST", "/v1/admin/index:create")
    call.output.answer(made, lambda console: console.print(made["generation"], markup=False))


async def rebuild(
    call: Call,
    name: OptionalName = None,
    *,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N", help="Memories a second at most; 0: as many as it can.", min=0),
    ] = None,
    no_switch: Annotated[
        bool, typer.Option("--no-switch", help="Leave it beside the live one when it is built.")
    ] = False,
    force: Force = False,
) -> None:
    """Build a generation, verify it, and make it the live one.

    It goes on with the one that is on its way, if there is one, and begins a new one else.
    """
    from mnemata.cli.connection import connected
    from mnemata.cli.watching import watched

    body: dict[str, Any] = {"switch": not no_switch, "force": force}
    body |= {} if name is None else {"generation": name}
    body |= {} if rate is None else {"rate": rate}
    async with connected(call) as client:
        outcome = await watched(
            client, call.output, "/v1/admin/index:rebuild", body, title="rebuilding", part="rebuild"
        )
    call.output.answer(outcome, lambda console: console.print(rebuilt(outcome), markup=False, soft_wrap=True))


async def switch(call: Call, name: Name, *, force: Force = False) -> None:
    """Make another generation the live one: one that was verified, or that was live before."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        body = {"generation": name, "force": force}
        outcome = await client.post("/v1/admin/index:switch", body, patient=True)
    told = f"{outcome['generation']} is live; {outcome['before']} is kept for a while"
    call.output.answer(outcome, lambda console: console.print(told, markup=False, soft_wrap=True))


async def drop(call: Call, name: Name) -> None:
    """Delete a generation that is not live."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        outcome = await client.post("/v1/admin/index:drop", {"generation": name})
    call.output.answer(outcome, lambda console: console.print(f"{outcome['dropped']} is deleted"))


async def set_aside(
    call: Call,
    *,
    retry: Annotated[bool, typer.Option("--retry", help="Try all of them again.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many.", min=1, max=200)] = 50,
) -> None:
    """List the changes that the index could not take, or try them again."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        if retry:
            outcome = await client.post("/v1/admin/set-aside:retry", {})
            call.output.answer(outcome, lambda console: console.print(f"{outcome['retried']:,} tried again"))
            return
        page = await client.get("/v1/admin/set-aside", params={"limit": limit})
    call.output.answer(page, lambda console: _print_set_aside(console, page))


def rebuilt(outcome: dict[str, Any]) -> str:
    """What a rebuild did, in a line."""
    done = f"{people.amount(outcome['documents'], 'memory')} indexed in {people.duration(outcome['seconds'])}"
    resumed = f", {outcome['resumed']:,} of them before it was broken off" if outcome["resumed"] else ""
    alike = "" if outcome["overlap"] is None else f"; {outcome['overlap']:.0%} of a sample of searches alike"
    state = "live" if outcome["switched"] else "not live yet"
    return f"{done}{resumed}, verified{alike}; {outcome['generation']} is {state}"


def _print(console: Console, report: dict[str, Any]) -> None:
    waiting, aside = report["changes_waiting"], report["set_aside"]
    console.print(f"{report['engine']}: {waiting:,} changes waiting, {aside:,} set aside", markup=False)
    titles = ("NAME", "STATE", "MEMORIES", "SIZE", "POSITION", "MADE", "NOTES")
    columns = [people.Column(title=title) for title in titles]
    people.print_table(console, columns, [_row(one) for one in report["generations"]])


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    state = one["state"] if one["fits"] else f"{one['state']}, of another space, epoch or format"
    return (
        one["name"],
        state,
        f"{one['documents']:,}",
        people.size(one["bytes"]),
        one["position"],
        people.moment(one["created_at"]),
        _notes(one["notes"]),
    )


def _notes(notes: dict[str, Any]) -> str:
    said: list[str] = []
    if notes.get("verified"):
        said.append(f"verified {people.moment(notes['verified']['at'])}")
    elif notes.get("filled"):
        said.append("filled")
    elif notes.get("filled_to"):
        said.append(f"{notes['done']:,} memories in")
    return ", ".join(said)


def _print_set_aside(console: Console, page: dict[str, Any]) -> None:
    columns = [
        people.Column(title=title) for title in ("MEMORY", "TENANT", "VERSION", "CODE", "TIMES", "LAST")
    ]
    rows = [
        (
            item["memory_id"],
            item["tenant"],
            str(item["version"]),
            item["code"],
            str(item["attempts"]),
            people.moment(item["last_seen"]),
        )
        for item in page["items"]
    ]
    people.print_table(console, columns, rows)
