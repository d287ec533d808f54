"""`mnemata forget`: one memory by id, or those that a filter matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli import people
from mnemata.cli.call import Call
from mnemata.cli.exits import ServerProblem
from mnemata.cli.options import (
    Agent,
    FilterText,
    KindName,
    Session,
    Tags,
    User,
    Wait,
    filter_of,
    in_path,
    wait_for,
)
from mnemata.domain.errors import InvalidField, Kind

if TYPE_CHECKING:
    from mnemata.cli.client import Client


async def forget(
    call: Call,
    memory_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The memory to forget.")] = None,
    *,
    user: User = None,
    agent: Agent = None,
    session: Session = None,
    kind: KindName = None,
    tag: Tags = None,
    condition: FilterText = None,
    everything: Annotated[bool, typer.Option("--all", help="Every memory of the tenant.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: a filter only counts without this.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Bring a forgotten memory back, by its id.")] = False,
    if_version: Annotated[
        int | None, typer.Option("--if-version", metavar="N", help="Only if it is at this version.")
    ] = None,
    wait: Wait = True,
) -> None:
    """Forget a memory, or those that a filter matches.

    A filter only counts what it matches unless --yes is given.
    """
    narrowed = filter_of(condition, user=user, agent=agent, session=session, kind=kind, tags=tag)
    _check_choice(memory_id, narrowed, everything=everything, undo=undo, if_version=if_version)
    if memory_id is None:
        chosen = {"all": True} if everything else {"filter": narrowed}
        await _forget_matching(call, chosen, really=yes, wait=wait)
    elif undo:
        await _bring_back(call, memory_id, if_version=if_version, wait=wait)
    else:
        await _forget_one(call, memory_id, if_version=if_version, wait=wait)


def _check_choice(
    memory_id: str | None, narrowed: dict[str, Any], *, everything: bool, undo: bool, if_version: int | None
) -> None:
    if [memory_id is not None, bool(narrowed), everything].count(True) != 1:
        raise InvalidField(
            field="forget",
            reason="needs an id, a filter or --all, and only one of them",
            remedy="Give an id, or e.g. --user ana",
        )
    if undo and memory_id is None:
        raise InvalidField(field="--undo", reason="needs the id of a forgotten memory", remedy="Give the id")
    if if_version is not None and memory_id is None:
        raise InvalidField(field="--if-version", reason="needs the id of one memory", remedy="Give the id")


async def _forget_one(call: Call, memory_id: str, *, if_version: int | None, wait: bool) -> None:
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        await client.delete(
            _path(memory_id), params={"wait_for": wait_for(wait)}, headers=_only_at(if_version)
        )
    call.output.answer({"forgotten": 1, "id": memory_id}, lambda console: console.print(memory_id))
    call.output.note(f"forgotten; `mnemata forget --undo {memory_id}` brings it back")


async def _bring_back(call: Call, memory_id: str, *, if_version: int | None, wait: bool) -> None:
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        seen, request = await _to_undo(client, memory_id)
        memory = await client.post(
            f"{_path(memory_id)}:restore",
            request,
            params={"wait_for": wait_for(wait)},
            # What was seen to be forgotten: one that somebody else brings back meanwhile is not taken back a version.
            headers=_only_at(seen if if_version is None else if_version),
        )
    call.output.answer(memory, lambda console: console.print(memory["id"]))
    call.output.note(f"restored as version {memory['version']}")


async def _to_undo(client: Client, memory_id: str) -> tuple[int, dict[str, Any]]:
    """The version that a forgotten or expired memory is at, and the request that brings it back.

    Raises InvalidField for any other: a restore without a version takes such a one back to what it was before.
    """
    newest = (await client.get(f"{_path(memory_id)}/history"))["items"][0]["memory"]
    if newest["deleted_at"] is not None:
        return newest["version"], {}
    if await _is_there(client, memory_id):
        raise InvalidField(
            field="--undo",
            reason="the memory is not forgotten: nothing to undo",
            remedy=f"See `mnemata show {memory_id} --history`",
        )
    # It has expired and is not swept yet: what it was when it did is its newest version.
    return newest["version"], {"version": newest["version"]}


async def _is_there(client: Client, memory_id: str) -> bool:
    try:
        await client.get(_path(memory_id))
    except ServerProblem as problem:
        if problem.kind is not Kind.NOT_FOUND:
            raise
        return False
    return True


def _path(memory_id: str) -> str:
    return f"/v1/memories/{in_path(memory_id)}"


def _only_at(version: int | None) -> dict[str, str]:
    return {} if version is None else {"if-match": f'"{version}"'}


async def _forget_matching(call: Call, chosen: dict[str, Any], *, really: bool, wait: bool) -> None:
    from mnemata.cli.connection import connected

    request = chosen | {"dry_run": not really}
    async with connected(call) as client:
        outcome = await client.post("/v1/memories:forget", request, params={"wait_for": wait_for(wait)})
    done = people.amount(outcome["forgotten"] if really else outcome["matched"], "memory")
    sentence = f"{done} forgotten" if really else f"{done} would be forgotten; --yes does it"
    call.output.answer(outcome, lambda console: console.print(sentence))
