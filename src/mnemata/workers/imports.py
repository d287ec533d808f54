"""Stores what was handed over to a job, chunk by chunk: each once, however often the job is begun again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from mnemata.domain.errors import Kind, MnemataError
from mnemata.domain.memory import JsonValue
from mnemata.domain.scope import Role, Scope
from mnemata.observability.logging import get_logger
from mnemata.services.operations import Facts, Progress
from mnemata.services.outcome import Once, Remembered
from mnemata.services.remember import Remember
from mnemata.store.database import Database
from mnemata.store.imports import ImportChunk, ImportState

log = get_logger("workers")

_TOLD_REFUSALS = 100
_PASSING = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT})
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_COUNTS = ("stored", "updated", "unchanged", "refused")

Pause: TypeAlias = Callable[[float], Awaitable[None]]
_Got = TypeVar("_Got")


class Importer:
    """`pause` waits so many seconds before what failed in passing is tried again."""

    def __init__(self, database: Database, remember: Remember, *, pause: Pause = asyncio.sleep) -> None:
        self._database = database
        self._remember = remember
        self._pause = pause

    async def run(self, job: int, progress: Progress) -> Facts:
        """Store what is left of a job: `stored`, `updated`, `unchanged`, `refused`, and `refusals`, the first hundred.

        A chunk returns when searches find it: an import never runs far ahead of the index.
        """
        while True:
            state, chunk = await self._persistent(job, partial(self._next, job))
            progress(state.done, state.total)
            if chunk is None:
                return summed(state)
            outcome = outcome_of(chunk, await self._persistent(job, partial(self._stored, job, chunk)))
            await self._persistent(job, partial(self._note, job, chunk, outcome))

    async def _persistent(self, job: int, step: Callable[[], Awaitable[_Got]]) -> _Got:
        """What a step gives, tried again for as long as what is in its way may pass: what was handed over is durable."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await step()
            except MnemataError as error:
                if error.kind not in _PASSING:
                    raise
                log.warning("import_waits", job=job, code=error.code, pause_s=pause_s)
            await self._pause(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _next(self, job: int) -> tuple[ImportState, ImportChunk | None]:
        async with self._database.platform() as transaction:
            return await transaction.imports.state(job), await transaction.imports.next(job)

    async def _stored(self, job: int, chunk: ImportChunk) -> Sequence[Remembered | MnemataError]:
        """What became of each memory of the chunk."""
        scope = Scope(tenant=chunk.tenant, role=Role.WRITER)
        # A worker that is lost between storing and noting it leaves the chunk to another one, who is told what was stored.
        # With spaces in it, which no key of a request has.
        name = f"import {job} {chunk.number}"
        once = Once(key=name, fingerprint=hashlib.sha256(name.encode()).digest())
        return await self._remember.many(scope, [draft for _, draft in chunk.drafts], once=once)

    async def _note(self, job: int, chunk: ImportChunk, outcome: Facts) -> None:
        async with self._database.platform() as transaction:
            await transaction.imports.stored(job, chunk.number, outcome)


def outcome_of(chunk: ImportChunk, results: Sequence[Remembered | MnemataError]) -> Facts:
    """The counts of a chunk, and who was refused, by its place in what was sent."""
    counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
    refusals: list[JsonValue] = []
    for (place, _), result in zip(chunk.drafts, results, strict=True):
        counts[_count_of(result)] += 1
        if isinstance(result, MnemataError) and len(refusals) < _TOLD_REFUSALS:
            refusals.append({"index": place, "code": result.code, "detail": str(result)})
    return {**counts, "refusals": refusals}


def summed(state: ImportState) -> Facts:
    """The outcomes of all chunks as one."""
    counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
    refusals: list[JsonValue] = []
    for outcome in state.outcomes:
        for name in _COUNTS:
            counts[name] += outcome[name]
        refusals += outcome["refusals"]
    return {**counts, "refusals": refusals[:_TOLD_REFUSALS]}


def _count_of(result: Remembered | MnemataError) -> str:
    match result:
        case MnemataError():
            return "refused"
        case Remembered(created=True):
            return "stored"
        case Remembered(changed=True):
            return "updated"
        case Remembered():
            return "unchanged"
