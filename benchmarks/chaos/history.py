"""What clients asked and what they were told, with times: written as it happens, read back to be checked.

One JSON object a line, in the manner of Jepsen: a call is written twice, as `invoke` before it is sent and as `ok`, `fail` or
`info` when it is over. `info`: nobody knows whether it took effect, now or later. A call without a second line is `info` too.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO


class Outcome(StrEnum):
    """`OK`: acknowledged. `FAIL`: certainly without effect. `INFO`: unknown."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Kind(StrEnum):
    ADD = "add"
    UPSERT = "upsert"
    PATCH = "patch"
    FORGET = "forget"
    RESTORE = "restore"
    GET = "get"
    LIST = "list"
    SEARCH = "search"
    PEEK = "peek"
    """A read of another tenant's memory."""


WRITES = frozenset({Kind.ADD, Kind.UPSERT, Kind.PATCH, Kind.FORGET, Kind.RESTORE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A memory as an answer showed it."""

    id: str
    tenant: str
    version: int
    content: str
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, with its repetitions under one Idempotency-Key. Times are seconds of one monotonic clock.

    `asked`: what was sent, such as `id`, `word`, `if_match`, `external_id`, `group`, `ttl_s`. `refusals`: status and code of
    every answer that was not a success. `seen`: the memories in the answer.
    """

    number: int
    client: str
    tenant: str
    kind: Kind
    sent: float
    ended: float
    outcome: Outcome
    asked: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    refusals: tuple[dict[str, Any], ...] = ()
    seen: tuple[Seen, ...] = ()
    indexed: bool = False
    replayed: bool = False
    degraded: tuple[str, ...] = ()
    tries: int = 1

    @property
    def done_by(self) -> float:
        """When it had taken effect at the latest; infinity where that is not known."""
        return self.ended if self.outcome is Outcome.OK else math.inf

    @property
    def writes(self) -> bool:
        return self.kind in WRITES


class Recorder:
    """Writes a history line by line, so that it is there whatever becomes of the process. For any number of threads."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()
        self._number = 0

    def invoke(self, *, client: str, tenant: str, kind: Kind, asked: dict[str, Any]) -> int:
        """Note that a call is about to be sent; its number."""
        with self._lock:
            self._number += 1
            line = {"n": self._number, "type": "invoke", "at": time.monotonic(), "client": client}
            self._write(line | {"tenant": tenant, "kind": kind, "asked": asked})
            return self._number

    def ended(self, number: int, outcome: Outcome, **facts: Any) -> None:
        """Note how it ended: `facts` are fields of Call."""
        with self._lock:
            self._write({"n": number, "type": outcome, "at": time.monotonic()} | facts)

    def note(self, **facts: Any) -> None:
        """Note what was done to the platform meanwhile."""
        with self._lock:
            self._write({"type": "nemesis", "at": time.monotonic()} | facts)

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()


def read(path: Path) -> list[Call]:
    """The calls of a history, in the order in which they were sent."""
    with path.open(encoding="utf-8") as lines:
        return list(paired(json.loads(line) for line in lines if line.endswith("\n")))


def paired(lines: Iterable[dict[str, Any]]) -> Iterator[Call]:
    """Each invocation with its end."""
    begun: dict[int, dict[str, Any]] = {}
    over: dict[int, dict[str, Any]] = {}
    for line in lines:
        if line["type"] == "invoke":
            begun[line["n"]] = line
        elif line["type"] != "nemesis":
            over[line["n"]] = line
    for number, first in begun.items():
        yield _call(first, over.get(number, {"type": "info", "at": math.inf}))


def _call(first: dict[str, Any], last: dict[str, Any]) -> Call:
    return Call(
        number=first["n"],
        client=first["client"],
        tenant=first["tenant"],
        kind=Kind(first["kind"]),
        sent=first["at"],
        ended=last["at"],
        outcome=Outcome(last["type"]),
        asked=first["asked"],
        status=last.get("status", 0),
        refusals=tuple(last.get("refusals", ())),
        seen=tuple(Seen(**one) for one in last.get("seen", ())),
        indexed=last.get("indexed", False),
        replayed=last.get("replayed", False),
        degraded=tuple(last.get("degraded", ())),
        tries=last.get("tries", 1),
    )
