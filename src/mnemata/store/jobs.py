"""What there is of jobs: asked for in the caller's transaction, and told of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import NamedTuple, TypeAlias

import orjson

from mnemata.domain.ids import JobId, TenantId
from mnemata.domain.job import Job, JobKind, JobState
from mnemata.domain.memory import JsonValue
from mnemata.store.connection import Connection, Parameters, Row
from mnemata.store.repository import Repository
from mnemata.store.statements import statements

_SQL = statements("jobs")

Facts: TypeAlias = Mapping[str, JsonValue]
Enqueue: TypeAlias = Callable[[Connection, JobKind, Facts], Awaitable[int]]
"""Puts a job into the queue, in the transaction of a connection; its number there."""


class Asked(NamedTuple):
    """A new job: its number in the queue, which workers use, and its id, which callers are told.

    Numbers are one after the other: they would tell one tenant how much others ask for.
    """

    number: int
    id: JobId


class JobBook(Repository):
    """What there is of jobs, in one transaction."""

    async def ask(
        self, enqueue: Enqueue, kind: JobKind, arguments: Facts, *, tenant: TenantId, now: datetime
    ) -> Asked:
        """A new job, which is begun once this transaction has committed; never, where it does not."""
        number = await enqueue(await self._session.begun(), kind, arguments)
        (row,) = await self._session.rows(_SQL["note"], {"job": number, "tenant": tenant, "now": now})
        return Asked(number, JobId(row[0]))

    async def list(self, *, limit: int, tenant: TenantId | None = None) -> list[Job]:
        """The newest jobs first; of a tenant only its imports."""
        return [_job(row) for row in await self._session.rows(_SQL["list"], _wanted(None, limit, tenant))]

    async def get(self, job: JobId, *, tenant: TenantId | None = None) -> Job | None:
        """A job; where a tenant is named, only if it is an import of it."""
        row = await self._session.row(_SQL["list"], _wanted(job, 1, tenant))
        return None if row is None else _job(row)

    async def cancel(self, job: JobId) -> bool:
        """Whether the job was waiting or running: it ends, the sooner the better."""
        row = await self._session.row(_SQL["cancel"], {"job": job})
        return row is not None and row[0] is not None

    async def begin_again(self, job: JobId, *, now: datetime) -> None:
        """Let a job that failed wait for a worker again."""
        await self._session.rows(_SQL["begin_again"], {"job": job, "now": now})

    async def progress(self, job: int, *, done: int, total: int, now: datetime) -> None:
        await self._session.rows(_SQL["progress"], {"job": job, "done": done, "total": total, "now": now})

    async def outcome(self, job: int, *, outcome: Facts | None, code: str | None, now: datetime) -> None:
        text = None if outcome is None else orjson.dumps(dict(outcome)).decode()
        await self._session.rows(_SQL["outcome"], {"job": job, "outcome": text, "code": code, "now": now})

    async def forget(self, *, before: datetime) -> None:
        await self._session.rows(_SQL["forget"], {"before": before})


def _wanted(job: JobId | None, limit: int, tenant: TenantId | None) -> Parameters:
    return {"job": job, "limit": limit, "tenant": tenant, "kind": JobKind.IMPORT.value}


_STATES = {
    "todo": JobState.WAITING,
    "doing": JobState.RUNNING,
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
    "aborted": JobState.CANCELLED,
}


def _job(row: Row) -> Job:
    state = _STATES[row[2]]
    return Job(
        id=JobId(row[0]),
        kind=JobKind(row[1]),
        state=JobState.CANCELLING if state is JobState.RUNNING and row[3] else state,
        arguments=row[4].get("arguments", {}),
        attempts=row[5],
        tenant=TenantId(row[6]),
        done=row[7],
        total=row[8],
        outcome=row[9],
        code=row[10],
        created_at=row[11],
        updated_at=row[12],
    )
