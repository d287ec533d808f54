"""Jobs of a fleet: asked for here, done by a worker, looked at and cancelled from anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mnemata.domain.clock import Clock
from mnemata.domain.errors import JobFailed, JobNotFound, Unavailable
from mnemata.domain.ids import JobId, TenantId
from mnemata.domain.job import Job, JobKind, JobState
from mnemata.domain.scope import Role, Scope
from mnemata.services.operations import NOTHING, Facts, Progress
from mnemata.store.database import Database
from mnemata.store.jobs import Enqueue

_LOOK_EVERY_S = 0.25
_LOOKED_AT = 200


class Jobs:
    """Without `enqueue` no job can be asked for: work is done where it is asked for, at once."""

    def __init__(self, database: Database, enqueue: Enqueue | None, *, clock: Clock) -> None:
        self._database = database
        self._enqueue = enqueue
        self._clock = clock

    async def ask(self, scope: Scope, kind: JobKind, arguments: Facts) -> JobId:
        """The id of a new job. Operators only."""
        scope.require(Role.OPERATOR)
        if self._enqueue is None:
            raise Unavailable(
                what="The queue of jobs", reason="there are no workers here", retry_after_s=None
            )
        async with self._database.platform() as transaction:
            asked = await transaction.jobs.ask(
                self._enqueue, kind, arguments, tenant=scope.tenant, now=self._clock.now()
            )
        return asked.id

    async def list(self, scope: Scope, *, limit: int) -> Sequence[Job]:
        """The newest jobs first: all for operators, one's own tenant's imports for others."""
        scope.require(Role.READER)
        async with self._database.platform() as transaction:
            return await transaction.jobs.list(limit=limit, tenant=_only(scope))

    async def running(self, scope: Scope) -> Facts:
        """By kind, how much is `done` of a job that a worker does now, and the `total`. Operators only."""
        scope.require(Role.OPERATOR)
        if self._enqueue is None:
            return NOTHING
        async with self._database.platform() as transaction:
            jobs = await transaction.jobs.list(limit=_LOOKED_AT)
        under_way = [job for job in jobs if job.state is JobState.RUNNING]
        return {job.kind.value: {"done": job.done, "total": job.total or None} for job in under_way}

    async def get(self, scope: Scope, job_id: JobId) -> Job:
        """How a job is. Raises JobNotFound, also for one that is not the caller's to see."""
        scope.require(Role.READER)
        return await self._get(job_id, tenant=_only(scope))

    async def cancel(self, scope: Scope, job_id: JobId) -> Job:
        """The job, told to stop; one that is over stays as it is. Raises JobNotFound as `get`."""
        scope.require(Role.WRITER)
        await self._get(job_id, tenant=_only(scope))
        async with self._database.platform() as transaction:
            await transaction.jobs.cancel(job_id)
        return await self._get(job_id)

    async def retry(self, scope: Scope, job_id: JobId) -> Job:
        """The job, waiting again if it had failed; any other stays as it is. Raises JobNotFound as `get`.

        An import goes on with what it has not stored yet.
        """
        scope.require(Role.WRITER)
        await self._get(job_id, tenant=_only(scope))
        async with self._database.platform() as transaction:
            await transaction.jobs.begin_again(job_id, now=self._clock.now())
        return await self._get(job_id)

    async def done(self, scope: Scope, kind: JobKind, arguments: Facts, progress: Progress) -> Facts:
        """Ask for a job and wait until a worker has done it: what it made. Raises JobFailed.

        Who stops waiting does not stop the job.
        """
        job_id = await self.ask(scope, kind, arguments)
        while True:
            job = await self._get(job_id)
            if job.total:
                progress(job.done, job.total)
            if job.state is JobState.SUCCEEDED:
                return job.outcome or {}
            if job.state.over:
                raise JobFailed(job_id=job_id, job=kind.value, reason=job.code or job.state.value)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _get(self, job_id: JobId, *, tenant: TenantId | None = None) -> Job:
        async with self._database.platform() as transaction:
            job = await transaction.jobs.get(job_id, tenant=tenant)
        if job is None:
            raise JobNotFound(job_id=job_id)
        return job


def _only(scope: Scope) -> TenantId | None:
    """Whose imports are all that the caller may see; None for operators, who see every job."""
    return None if scope.role is Role.OPERATOR else scope.tenant
