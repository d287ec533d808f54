"""`mnemata add`: store one memory."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from mnemata.cli.call import Call
from mnemata.cli.options import Wait, json_object, moment, wait_for
from mnemata.domain.errors import InvalidField


async def add(
    call: Call,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to remember; - reads it from stdin.")],
    *,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Whose memory it is.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="ID", help="Which agent's it is.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="The conversation it is a turn of.")
    ] = None,
    sequence: Annotated[
        int | None, typer.Option("--sequence", metavar="N", help="Its place in the session.")
    ] = None,
    role: Annotated[str | None, typer.Option("--role", metavar="NAME", help="Who speaks.")] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="semantic, episodic, procedural, working, or your own."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; again for more.")
    ] = None,
    metadata: Annotated[
        str | None, typer.Option("--metadata", metavar="JSON", help="Anything else, as a JSON object.")
    ] = None,
    importance: Annotated[
        float | None, typer.Option("--importance", metavar="0..1", help="How much it matters.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Where it comes from.")
    ] = None,
    external_id: Annotated[
        str | None,
        typer.Option(
            "--external-id",
            metavar="ID",
            help="Your own id: storing it again changes the memory instead of adding one.",
        ),
    ] = None,
    occurred_at: Annotated[
        str | None, typer.Option("--occurred-at", metavar="TIME", help="When it was true (RFC 3339).")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", metavar="TIME", help="When to forget it (RFC 3339).")
    ] = None,
    ttl: Annotated[
        float | None, typer.Option("--ttl", metavar="SECONDS", help="Forget it after this time.")
    ] = None,
    wait: Wait = True,
) -> None:
    """Store a memory and print its id."""
    from mnemata.cli.connection import connected

    fields: dict[str, Any] = {
        "content": _from_stdin() if text == "-" else text,
        "user_id": user,
        "agent_id": agent,
        "session_id": session,
        "sequence": sequence,
        "role": role,
        "kind": kind,
        "tags": tag or None,
        "metadata": json_object("--metadata", metadata) or None,
        "importance": importance,
        "source": source,
        "external_id": external_id,
        "occurred_at": moment(occurred_at),
        "expires_at": moment(expires_at),
        "ttl_s": ttl,
    }
    draft = {name: value for name, value in fields.items() if value is not None}
    async with connected(call) as client:
        memory, findable = await client.write("/v1/memories", draft, params={"wait_for": wait_for(wait)})
    call.output.answer(memory, lambda console: console.print(memory["id"]))
    stored = "stored" if memory["version"] == 1 else f"stored as version {memory['version']}"
    call.output.note(stored if findable or not wait else f"{stored}; searches find it in a moment")


def _from_stdin() -> str:
    """Everything that stdin holds. Raises InvalidField where that is not UTF-8, whatever the terminal's encoding."""
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidField(
            field="stdin", reason=f"is not UTF-8 at byte {error.start}", remedy="Convert it, e.g. with iconv"
        ) from error
