"""`mnemata keys`: API keys of a tenant."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnemata.cli import people
from mnemata.cli.call import Call
from mnemata.cli.options import in_path
from mnemata.domain.errors import InvalidField

if TYPE_CHECKING:
    from rich.console import Console


class RoleName(StrEnum):
    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"
    OPERATOR = "operator"


async def create(
    call: Call,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What the key is for.")],
    *,
    role: Annotated[RoleName, typer.Option("--role", help="What it may do.")] = RoleName.WRITER,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="Another tenant's key; made if new.")
    ] = None,
) -> None:
    """Make an API key. It is shown once."""
    from mnemata.cli.connection import connected

    request = {"label": label, "role": role.value} | ({"tenant": tenant} if tenant else {})
    async with connected(call) as client:
        made = await client.post("/v1/keys", request)
    call.output.answer(made, lambda console: console.print(made["secret"]))
    call.output.note("Keep it now: it is not shown again.")


async def list_keys(call: Call) -> None:
    """List the tenant's API keys, without their secrets."""
    from mnemata.cli.connection import connected

    async with connected(call) as client:
        page = await client.get("/v1/keys")
    call.output.answer(page, lambda console: _print_keys(console, page["items"]))
    if not page["items"]:
        call.output.note("no keys yet; `mnemata keys create LABEL` makes one")


async def revoke(
    call: Call,
    key: Annotated[
        str,
        typer.Argument(metavar="KEY_ID", help="The key's id, as listed, or the key itself, which tells it."),
    ],
) -> None:
    """Make an API key useless, at once."""
    from mnemata.cli.connection import connected

    key_id = _id_of(key)
    async with connected(call) as client:
        await client.delete(f"/v1/keys/{in_path(key_id)}")
    call.output.answer({"revoked": key_id}, lambda console: console.print(f"revoked {key_id}"))


def _id_of(key: str) -> str:
    """The id in what `keys create` printed: the whole of that must reach no URL, log or message. Raises InvalidField."""
    if not key.startswith(_KEY_BEGINS):
        return key
    key_id, separator, _ = key.removeprefix(_KEY_BEGINS).partition("_")
    if not separator or not key_id:
        raise InvalidField(
            field="KEY_ID",
            reason="is a part of a key that does not tell its id",
            remedy="`mnemata keys list` shows the ids",
        )
    return key_id


_KEY_BEGINS = "mk_"
"""What a key itself begins with: `mk_<id>_<secret>`."""

_TITLES = ("ID", "TENANT", "ROLE", "LABEL", "CREATED", "LAST USED", "REVOKED")


def _print_keys(console: Console, keys: list[dict[str, Any]]) -> None:
    if not keys:
        return
    columns = [people.Column(title=title, width=16 if title == "ID" else None) for title in _TITLES]
    times = ("created_at", "last_used_at", "revoked_at")
    rows = [
        (
            key["id"],
            key["tenant"],
            key["role"],
            key["label"],
            *(people.moment(key.get(name)) for name in times),
        )
        for key in keys
    ]
    people.print_table(console, columns, rows)
