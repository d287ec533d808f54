"""Histories by hand, in few words."""

from __future__ import annotations

import itertools
import math
from typing import Any

from benchmarks.chaos.checks import check
from benchmarks.chaos.checks.timeline import AtRest, Version
from benchmarks.chaos.history import Call, Kind, Outcome, Seen
from benchmarks.chaos.words import content_of

TENANT = "ana"
_NUMBERS = itertools.count(1)


def content(word: str) -> str:
    return content_of(word, "c")


def seen(
    memory: str, version: int, word: str, *, tenant: str = TENANT, external_id: str | None = None
) -> Seen:
    return Seen(id=memory, tenant=tenant, version=version, content=content(word), external_id=external_id)


def call(
    kind: Kind,
    sent: float,
    ended: float = math.inf,
    *shown: Seen,
    outcome: Outcome = Outcome.OK,
    status: int = 200,
    code: str = "",
    indexed: bool = True,
    tenant: str = TENANT,
    **asked: Any,
) -> Call:
    """One call; `status` and `code` of a refusal, where it was refused."""
    refused = ({"status": status, "code": code, "retry_after": "1"},) if status >= 400 or not status else ()
    return Call(
        number=next(_NUMBERS),
        client="c",
        tenant=tenant,
        kind=kind,
        sent=sent,
        ended=ended,
        outcome=outcome,
        asked=asked,
        status=status,
        refusals=refused,
        seen=shown,
        indexed=indexed,
    )


def add(sent: float, ended: float, memory: str, word: str, **more: Any) -> Call:
    return call(Kind.ADD, sent, ended, seen(memory, 1, word), words=[word], **more)


def patch(sent: float, ended: float, memory: str, version: int, word: str, **more: Any) -> Call:
    return call(Kind.PATCH, sent, ended, seen(memory, version, word), id=memory, words=[word], **more)


def forget(sent: float, ended: float, memory: str, if_match: int, **more: Any) -> Call:
    return call(Kind.FORGET, sent, ended, id=memory, if_match=if_match, **more)


def get(sent: float, ended: float, memory: str, version: int, word: str) -> Call:
    return call(Kind.GET, sent, ended, seen(memory, version, word), id=memory, word=word)


def not_found(sent: float, ended: float, memory: str, kind: Kind = Kind.GET, **asked: Any) -> Call:
    more = {"outcome": Outcome.FAIL, "status": 404, "code": "memory_not_found"}
    return call(kind, sent, ended, id=memory, **more, **asked)


def search(sent: float, ended: float, word: str, *hits: Seen) -> Call:
    return call(Kind.SEARCH, sent, ended, *hits, word=word)


def versions(*words: str) -> tuple[Version, ...]:
    """A history: a word for each version; one that begins with '-' is the forgotten version of that word, '+' the restored."""
    operations = {"-": "forgotten", "+": "restored", "!": "expired"}
    return tuple(
        Version(
            number=number,
            operation=operations.get(word[0], "created" if number == 1 else "updated"),
            content=content(word.lstrip("-+!")),
            tenant=TENANT,
            deleted=word[0] in "-!",
        )
        for number, word in enumerate(words, start=1)
    )


def at_rest(**memories: tuple[Version, ...]) -> AtRest:
    """A tenant whose listing and index say what its histories do."""
    live = {memory: past[-1] for memory, past in memories.items() if past and not past[-1].deleted}
    return AtRest(
        tenant=TENANT,
        histories=memories,
        listed=tuple(
            Seen(id=memory, tenant=TENANT, version=version.number, content=version.content)
            for memory, version in live.items()
        ),
        matched=tuple(live),
        total=len(live),
        found={version.content.split(" ")[0]: (memory,) for memory, version in live.items()},
    )


def broken(calls: list[Call], rest: AtRest) -> set[str]:
    """The promises that are broken."""
    return {violation.promise for violation in check(calls, [rest])}
