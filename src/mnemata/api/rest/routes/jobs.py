"""Long work that workers do: how it is, stopping it, and beginning it again."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request
from starlette.responses import Response

from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import door_of
from mnemata.api.rest.operation import Answered, Operation
from mnemata.api.rest.rendering import json_response
from mnemata.api.rest.schemas import jobs as schemas
from mnemata.api.rest.schemas.parameters import JobsParameters, NoParameters
from mnemata.domain.ids import JobId
from mnemata.domain.job import Job

Identifier = Annotated[UUID, Path(description="The job's id.")]
TAG = "platform"


async def list_jobs(request: Request, scope: Asker, wanted: Annotated[JobsParameters, Query()]) -> Response:
    found = await door_of(request).services.jobs.list(scope, limit=wanted.limit)
    return json_response({"items": [_job_json(job) for job in found]})


async def read_job(
    request: Request, scope: Asker, job_id: Identifier, _: Annotated[NoParameters, Query()]
) -> Response:
    return json_response(_job_json(await door_of(request).services.jobs.get(scope, JobId(job_id))))


async def cancel_job(
    request: Request, scope: Asker, job_id: Identifier, _: Annotated[NoParameters, Query()]
) -> Response:
    return json_response(
        _job_json(await door_of(request).services.jobs.cancel(scope, JobId(job_id))), status=202
    )


async def retry_job(
    request: Request, scope: Asker, job_id: Identifier, _: Annotated[NoParameters, Query()]
) -> Response:
    return json_response(
        _job_json(await door_of(request).services.jobs.retry(scope, JobId(job_id))), status=202
    )


def _job_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind.value,
        "state": job.state.value,
        "arguments": dict(job.arguments),
        "tenant": job.tenant,
        "attempts": job.attempts,
        "done": job.done,
        "total": job.total,
        "remaining_s": job.remaining_s,
        "outcome": None if job.outcome is None else dict(job.outcome),
        "code": job.code,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/jobs",
        handler=list_jobs,
        tag=TAG,
        summary="List jobs",
        description="What workers of a fleet do, the newest first: your tenant's imports; operators see everybody's, rebuilds, backups and the like.",
        answers={200: Answered(description="The jobs.", model=schemas.Jobs)},
        problems=(422,),
    ),
    Operation(
        method="GET",
        path="/v1/jobs/{job_id}",
        handler=read_job,
        tag=TAG,
        summary="Read a job",
        description="How far it is, and what came of it. Operators see every job, others their tenant's imports.",
        answers={200: Answered(description="The job.", model=schemas.Job)},
        problems=(404, 422),
    ),
    Operation(
        method="DELETE",
        path="/v1/jobs/{job_id}",
        handler=cancel_job,
        tag=TAG,
        summary="Cancel a job",
        description=(
            "One that waits is taken from the queue; one that runs is told to stop; one that is over stays as it is. "
            "What a cancelled import has stored stays."
        ),
        answers={202: Answered(description="The job.", model=schemas.Job)},
        problems=(404, 422),
    ),
    Operation(
        method="POST",
        path="/v1/jobs/{job_id}:retry",
        handler=retry_job,
        tag=TAG,
        summary="Begin a failed job again",
        description=(
            "One that failed waits for a worker again, an import with what it has not stored yet; any other stays as it is."
        ),
        answers={202: Answered(description="The job.", model=schemas.Job)},
        problems=(404, 422),
    ),
)
