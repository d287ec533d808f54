"""Memories handed over to be stored in the background."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from mnemata.api.rest.body import read_document
from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import door_of
from mnemata.api.rest.drafts import read_import
from mnemata.api.rest.errors import error_status, problem
from mnemata.api.rest.idempotency import once_of
from mnemata.api.rest.operation import IDEMPOTENCY_KEY, REPLAYED, Answered, Header, Operation
from mnemata.api.rest.rendering import json_response
from mnemata.api.rest.schemas import jobs as schemas
from mnemata.api.rest.schemas.memory import Import
from mnemata.api.rest.schemas.parameters import NoParameters
from mnemata.domain.errors import MnemataError
from mnemata.domain.memory import MemoryDraft

TAG = "memories"
LOCATION = Header(name="Location", description="The path of the job.")


async def import_memories(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    door = door_of(request)
    items = await read_import(await read_document(request), now=door.clock.now())
    drafts = [(place, item) for place, item in enumerate(items) if isinstance(item, MemoryDraft)]
    refused = [
        {"index": place, "status": error_status(item), "error": problem(item)}
        for place, item in enumerate(items)
        if isinstance(item, MnemataError)
    ]
    handed_over = await door.services.imports.hand_over(scope, drafts, once=await once_of(request))
    headers = {LOCATION.name: f"/v1/jobs/{handed_over.job}"}
    if handed_over.replayed:
        headers[REPLAYED.name] = "true"
    answer = {"job": handed_over.job, "accepted": len(drafts), "refused": refused}
    return json_response(answer, status=202, headers=headers)


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/memories:import",
        handler=import_memories,
        tag=TAG,
        summary="Store very many memories in the background",
        description="Up to 50,000, durable when this answers, stored by a worker as a job. A bad item never loses the "
        "others. For fleets: with a local index there are no workers, and this is refused.",
        body=Import,
        headers=(IDEMPOTENCY_KEY,),
        answers={
            202: Answered(
                description="What was handed over.", model=schemas.HandedOver, headers=(LOCATION, REPLAYED)
            )
        },
        problems=(409,),
    ),
)
