"""What operators do with the index: its generations, what it could not take, and whether all is as it should be."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from mnemata.api.rest.body import read_json
from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import door_of
from mnemata.api.rest.operation import Answered, Operation
from mnemata.api.rest.rendering import json_response
from mnemata.api.rest.schemas import access
from mnemata.api.rest.schemas import index as schemas
from mnemata.api.rest.schemas.base import parse_as
from mnemata.api.rest.schemas.parameters import JobsParameters, NoParameters
from mnemata.domain.errors import InvalidField
from mnemata.domain.ids import MemoryId

TAG = "platform"
Wanted = TypeVar("Wanted", bound=BaseModel)
Nothing = Annotated[NoParameters, Query()]


async def read_index(request: Request, scope: Asker, _: Nothing) -> Response:
    return json_response(dict(await door_of(request).services.index.status(scope)))


async def create_generation(request: Request, scope: Asker, _: Nothing) -> Response:
    return json_response(dict(await door_of(request).services.index.create(scope)), status=201)


async def rebuild_generation(request: Request, scope: Asker, _: Nothing) -> Response:
    wanted = await _read(request, schemas.RebuildRequest)
    arguments = wanted.model_dump(exclude_none=True)
    return json_response(dict(await door_of(request).services.operations.rebuild(scope, arguments=arguments)))


async def switch_generation(request: Request, scope: Asker, _: Nothing) -> Response:
    wanted = parse_as(schemas.SwitchRequest, await read_json(request))
    return json_response(dict(await door_of(request).services.operations.switch(scope, wanted.model_dump())))


async def drop_generation(request: Request, scope: Asker, _: Nothing) -> Response:
    wanted = parse_as(schemas.DropRequest, await read_json(request))
    return json_response(dict(await door_of(request).services.index.drop(scope, wanted.generation)))


async def verify(request: Request, scope: Asker, _: Nothing) -> Response:
    wanted = await _read(request, schemas.VerifyRequest)
    arguments = wanted.model_dump(exclude_none=True)
    return json_response(dict(await door_of(request).services.operations.verify(scope, arguments)))


async def list_set_aside(
    request: Request, scope: Asker, wanted: Annotated[JobsParameters, Query()]
) -> Response:
    return json_response(dict(await door_of(request).services.index.set_aside(scope, limit=wanted.limit)))


async def retry_set_aside(request: Request, scope: Asker, _: Nothing) -> Response:
    wanted = await _read(request, schemas.RetryRequest)
    ids = None if wanted.memory_ids is None else [_id(text) for text in wanted.memory_ids]
    return json_response(dict(await door_of(request).services.index.retry(scope, ids)))


async def _read(request: Request, model: type[Wanted]) -> Wanted:
    return parse_as(model, await read_json(request) if await request.body() else {})


def _id(text: str) -> MemoryId:
    try:
        return MemoryId(UUID(text))
    except ValueError:
        raise InvalidField(
            field="memory_ids", reason="holds what is no id", remedy="Send ids as the list gives them"
        ) from None


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/admin/index",
        handler=read_index,
        tag=TAG,
        summary="List the generations of the index",
        description="The live one, what is being built, and what was replaced: sizes, positions, notes. Operators only.",
        answers={200: Answered(description="The generations.", model=access.Report)},
        problems=(422,),
    ),
    Operation(
        method="POST",
        path="/v1/admin/index:create",
        handler=create_generation,
        tag=TAG,
        summary="Make a generation of the index",
        description="Empty, beside the live one; a rebuild fills it. Operators only.",
        answers={201: Answered(description="Its name.", model=access.Report)},
        problems=(409, 422),
    ),
    Operation(
        method="POST",
        path="/v1/admin/index:rebuild",
        handler=rebuild_generation,
        tag=TAG,
        summary="Build a generation of the index",
        description=(
            "Goes on with the one that is on its way, or makes one; verifies it, and makes it the live one. "
            "Answers when it is done. Operators only."
        ),
        body=schemas.RebuildRequest,
        body_required=False,
        answers={200: Answered(description="What was done.", model=access.Report)},
        problems=(404, 409),
    ),
    Operation(
        method="POST",
        path="/v1/admin/index:switch",
        handler=switch_generation,
        tag=TAG,
        summary="Make another generation live",
        description=(
            "One that was verified, or that was live before: it is first brought to where the feed is. "
            "Searches never stop. Operators only."
        ),
        body=schemas.SwitchRequest,
        answers={200: Answered(description="Which is live now, and which was before.", model=access.Report)},
        problems=(404, 409),
    ),
    Operation(
        method="POST",
        path="/v1/admin/index:drop",
        handler=drop_generation,
        tag=TAG,
        summary="Delete a generation of the index",
        description="Never the live one. Operators only.",
        body=schemas.DropRequest,
        answers={200: Answered(description="Which was deleted.", model=access.Report)},
        problems=(404, 409),
    ),
    Operation(
        method="GET",
        path="/v1/admin/set-aside",
        handler=list_set_aside,
        tag=TAG,
        summary="List what the index could not take",
        description="Changes that were set aside, the latest failure first, each with the code of its error. Operators only.",
        answers={200: Answered(description="The changes.", model=access.Report)},
        problems=(422,),
    ),
    Operation(
        method="POST",
        path="/v1/admin/set-aside:retry",
        handler=retry_set_aside,
        tag=TAG,
        summary="Try again what was set aside",
        description="The feed tells of these memories once more; what fails again is set aside again. Operators only.",
        body=schemas.RetryRequest,
        body_required=False,
        answers={200: Answered(description="How many are tried again.", model=access.Report)},
    ),
    Operation(
        method="POST",
        path="/v1/admin:verify",
        handler=verify,
        tag=TAG,
        summary="Compare store, index and cache",
        description=(
            "While they are written to. What differs is named, and mended where that is asked for and possible. "
            "Answers when it is done. Operators only."
        ),
        body=schemas.VerifyRequest,
        body_required=False,
        answers={200: Answered(description="What was compared, and what was found.", model=access.Report)},
        problems=(404, 409),
    ),
)
