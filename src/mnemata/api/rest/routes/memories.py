"""Store, read, change and forget one memory, and look at its past."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Request
from starlette.responses import Response

from mnemata.api.rest import conditions, drafts
from mnemata.api.rest.body import MERGE_PATCH, read_json
from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import door_of
from mnemata.api.rest.idempotency import once_of
from mnemata.api.rest.operation import (
    ETAG,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    INDEXED,
    LOCATION,
    REPLAYED,
    Answered,
    Operation,
)
from mnemata.api.rest.rendering import json_response, memory_json, version_json
from mnemata.api.rest.schemas import memory as schemas
from mnemata.api.rest.schemas.base import parse_as
from mnemata.api.rest.schemas.parameters import NoParameters, ReadParameters, WriteParameters
from mnemata.api.rest.schemas.search import RestoreRequest
from mnemata.domain.ids import MemoryId
from mnemata.services.outcome import Remembered

Identifier = Annotated[UUID, Path(description="The memory's id.", examples=[schemas.EXAMPLE_ID])]
TAG = "memories"


async def store_memory(
    request: Request, scope: Asker, parameters: Annotated[WriteParameters, Query()]
) -> Response:
    door = door_of(request)
    draft = drafts.read_draft(await read_json(request), now=door.clock.now())
    once = await once_of(request)
    remembered = await door.services.remember.one(scope, draft, wait_for=parameters.patience, once=once)
    return written(remembered)


async def read_memory(
    request: Request, scope: Asker, memory_id: Identifier, parameters: Annotated[ReadParameters, Query()]
) -> Response:
    memory = await door_of(request).services.read.get(scope, MemoryId(memory_id), as_of=parameters.as_of)
    headers = {"ETag": conditions.etag(memory), "Cache-Control": "private, no-cache"}
    if conditions.unchanged(request, memory):
        return Response(status_code=304, headers=headers)
    return json_response(memory_json(memory), headers=headers)


async def change_memory(
    request: Request, scope: Asker, memory_id: Identifier, parameters: Annotated[WriteParameters, Query()]
) -> Response:
    door = door_of(request)
    changes = drafts.read_changes(await read_json(request, accepted=MERGE_PATCH), now=door.clock.now())
    changed = await door.services.revise.patch(
        scope,
        MemoryId(memory_id),
        changes,
        if_match=conditions.if_match(request),
        wait_for=parameters.patience,
        once=await once_of(request),
    )
    return written(changed)


async def forget_memory(
    request: Request, scope: Asker, memory_id: Identifier, parameters: Annotated[WriteParameters, Query()]
) -> Response:
    indexed = await door_of(request).services.forget.one(
        scope, MemoryId(memory_id), if_match=conditions.if_match(request), wait_for=parameters.patience
    )
    return Response(status_code=204, headers={INDEXED.name: _flag(indexed)})


async def read_history(
    request: Request, scope: Asker, memory_id: Identifier, _: Annotated[NoParameters, Query()]
) -> Response:
    versions = await door_of(request).services.read.history(scope, MemoryId(memory_id))
    return json_response({"items": [version_json(version) for version in versions]})


async def restore_memory(
    request: Request, scope: Asker, memory_id: Identifier, parameters: Annotated[WriteParameters, Query()]
) -> Response:
    wanted = parse_as(RestoreRequest, await read_json(request) if await request.body() else {})
    restored = await door_of(request).services.revise.restore(
        scope,
        MemoryId(memory_id),
        version=wanted.version,
        if_match=conditions.if_match(request),
        wait_for=parameters.patience,
        once=await once_of(request),
    )
    return written(restored)


def written(remembered: Remembered) -> Response:
    """The answer to a write of one memory: 201 where it is new, 200 where it was there before."""
    memory = remembered.memory
    headers = {"ETag": conditions.etag(memory), INDEXED.name: _flag(remembered.indexed)}
    if remembered.created:
        headers["Location"] = f"/v1/memories/{memory.id}"
    if remembered.replayed:
        headers[REPLAYED.name] = "true"
    return json_response(memory_json(memory), status=201 if remembered.created else 200, headers=headers)


def _flag(value: bool) -> str:  # noqa: FBT001 (the value itself)
    return "true" if value else "false"


_WRITTEN = (ETAG, INDEXED, REPLAYED)

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/memories",
        handler=store_memory,
        tag=TAG,
        summary="Store a memory",
        description="The memory is durable when this answers and, unless `wait_for=none`, found by the next search. "
        "An `external_id` that is known makes it a new version of that memory.",
        body=schemas.MemoryDraft,
        headers=(IDEMPOTENCY_KEY,),
        answers={
            200: Answered(
                description="Its external_id was known: updated.", model=schemas.Memory, headers=_WRITTEN
            ),
            201: Answered(description="Stored.", model=schemas.Memory, headers=(*_WRITTEN, LOCATION)),
        },
        problems=(409,),
    ),
    Operation(
        method="GET",
        path="/v1/memories/{memory_id}",
        handler=read_memory,
        tag=TAG,
        summary="Read a memory",
        description="Also one that is superseded, as long as it is neither forgotten nor expired.",
        headers=(IF_NONE_MATCH,),
        answers={
            200: Answered(description="The memory.", model=schemas.Memory, headers=(ETAG,)),
            304: Answered(description="It has not changed.", headers=(ETAG,)),
        },
        problems=(404, 422),
    ),
    Operation(
        method="PATCH",
        path="/v1/memories/{memory_id}",
        handler=change_memory,
        tag=TAG,
        summary="Change a memory",
        description="A JSON Merge Patch (RFC 7396). Every change is a new version; one that changes nothing is none.",
        body=schemas.MemoryPatch,
        accepted=MERGE_PATCH,
        headers=(IF_MATCH, IDEMPOTENCY_KEY),
        answers={200: Answered(description="As it is now.", model=schemas.Memory, headers=_WRITTEN)},
        problems=(404, 409, 412),
    ),
    Operation(
        method="DELETE",
        path="/v1/memories/{memory_id}",
        handler=forget_memory,
        tag=TAG,
        summary="Forget a memory",
        description="It leaves every read and search at once. Until it is purged it can be restored.",
        headers=(IF_MATCH,),
        answers={204: Answered(description="Forgotten.", headers=(INDEXED,))},
        problems=(404, 412, 422),
    ),
    Operation(
        method="GET",
        path="/v1/memories/{memory_id}/history",
        handler=read_history,
        tag=TAG,
        summary="Read a memory's history",
        description="Every version, newest first, also of a forgotten memory.",
        answers={200: Answered(description="The versions.", model=schemas.History)},
        problems=(404, 422),
    ),
    Operation(
        method="POST",
        path="/v1/memories/{memory_id}:restore",
        handler=restore_memory,
        tag=TAG,
        summary="Bring a version back",
        description="As a new version. Without a version: what a forgotten or expired memory was last, or "
        "what any other was one version ago. An `expires_at` that is over by now is not brought back: the memory stays "
        "until it is given another.",
        body=RestoreRequest,
        body_required=False,
        headers=(IF_MATCH, IDEMPOTENCY_KEY),
        answers={200: Answered(description="As it is now.", model=schemas.Memory, headers=_WRITTEN)},
        problems=(404, 409, 412),
    ),
)
