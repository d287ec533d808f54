"""Options that several commands share, and their JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from mnemata.domain.attributes import parse_instant
from mnemata.domain.errors import InvalidField

User = Annotated[str | None, typer.Option("--user", metavar="ID", help="Only of this user.")]
Agent = Annotated[str | None, typer.Option("--agent", metavar="ID", help="Only of this agent.")]
Session = Annotated[str | None, typer.Option("--session", metavar="ID", help="Only of this session.")]
KindName = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only of this kind.")]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Only with this tag; again for more tags, all needed."),
]
FilterText = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help='A filter, e.g. \'{"metadata.score": {"gte": 3}}\'.'),
]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="TIME", help="As things stood then (RFC 3339).")]
MemoryIdText = Annotated[str, typer.Argument(metavar="ID", help="The memory's id.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Return when searches find it, or as soon as it is stored.")
]


def moment(text: str | None) -> str | None:
    """A date or a date-time in RFC 3339 with its zone (UTC where it names none); other text as it is, to be refused."""
    instant = parse_instant(text) if text else None
    return instant.isoformat() if instant else text


def wait_for(wait: bool) -> str:
    return "index" if wait else "none"


def in_path(text: str) -> str:
    """The text as one segment of a URL's path."""
    return quote(text, safe="")


def filter_of(
    text: str | None,
    *,
    user: str | None = None,
    agent: str | None = None,
    session: str | None = None,
    kind: str | None = None,
    tags: list[str] | None = None,
) -> dict[str, Any]:
    """One filter that holds where the given one and every shortcut do; empty where nothing was given.

    Raises InvalidField for text that is not a JSON object.
    """
    names = {"user_id": user, "agent_id": agent, "session_id": session, "kind": kind}
    shortcuts: dict[str, Any] = {name: value for name, value in names.items() if value is not None}
    if tags:
        shortcuts["tags"] = {"all": tags}
    given = json_object("--filter", text)
    if given and shortcuts:
        return {"and": [given, shortcuts]}
    return given or shortcuts


def json_object(option: str, text: str | None) -> dict[str, Any]:
    """The object that an option's text holds; empty where the option was not given. Raises InvalidField."""
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidField(
            field=option, reason=f"is not JSON ({error})", remedy="Quote it for the shell"
        ) from error
    if not isinstance(value, dict):
        raise InvalidField(
            field=option, reason="is not a JSON object", remedy='Give e.g. \'{"key": "value"}\''
        )
    return value
