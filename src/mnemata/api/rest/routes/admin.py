"""What operators ask of the platform, and how it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from mnemata.api.rest.body import read_json
from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import door_of
from mnemata.api.rest.operation import Answered, Operation
from mnemata.api.rest.rendering import json_response
from mnemata.api.rest.schemas import access as schemas
from mnemata.api.rest.schemas.base import parse_as
from mnemata.api.rest.schemas.parameters import NoParameters
from mnemata.domain.rules import check_text
from mnemata.domain.scope import Role

TAG = "platform"


async def read_status(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    services = door_of(request).services
    report = dict(await services.status.report(scope))
    if scope.role is Role.OPERATOR:
        report["running"] = {**services.operations.running, **await services.jobs.running(scope)}
    return json_response(report)


async def rebuild_index(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    return json_response(dict(await door_of(request).services.operations.rebuild(scope)))


async def sweep(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    return json_response(dict(await door_of(request).services.operations.sweep(scope)))


async def warm_cache(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    return json_response(dict(await door_of(request).services.operations.warm(scope)))


async def make_backup(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    wanted = parse_as(schemas.BackupRequest, await read_json(request) if await request.body() else {})
    if wanted.path is not None:
        check_text("path", wanted.path)
    path = None if wanted.path is None else Path(wanted.path)
    return json_response(dict(await door_of(request).services.operations.backup(scope, path)))


async def read_cache(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    return json_response(dict(await door_of(request).services.cache.report(scope)))


async def clear_cache(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    return json_response(dict(await door_of(request).services.cache.clear(scope)))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/status",
        handler=read_status,
        tag=TAG,
        summary="Read the platform's status",
        description="Your tenant's memories and the state of each part; operators also see sizes, positions and lag.",
        answers={200: Answered(description="The report.", model=schemas.Report)},
        problems=(422,),
    ),
    Operation(
        method="POST",
        path="/v1/admin:rebuild",
        handler=rebuild_index,
        tag=TAG,
        summary="Rebuild the index",
        description="Beside the live one, which serves until the switch. Answers when it is done. Operators only.",
        answers={200: Answered(description="What was done.", model=schemas.Report)},
        problems=(409, 422),
    ),
    Operation(
        method="GET",
        path="/v1/admin/cache",
        handler=read_cache,
        tag=TAG,
        summary="Read how the cache does",
        description="Hits, bytes and time saved by class since this process started, and the server's figures. Operators only.",
        answers={200: Answered(description="The figures.", model=schemas.Report)},
        problems=(422,),
    ),
    Operation(
        method="POST",
        path="/v1/admin/cache:clear",
        handler=clear_cache,
        tag=TAG,
        summary="Empty the cache",
        description="Nothing is lost: the next searches are computed. Operators only.",
        answers={200: Answered(description="How many keys were deleted.", model=schemas.Report)},
        problems=(422,),
    ),
    Operation(
        method="POST",
        path="/v1/admin/cache:warm",
        handler=warm_cache,
        tag=TAG,
        summary="Warm the cache",
        description="Has the most asked queries of the tenants that ask the most answered now. Answers when it is done. Operators only.",
        answers={
            200: Answered(
                description="How many searches were made, for how many tenants.", model=schemas.Report
            )
        },
        problems=(422,),
    ),
    Operation(
        method="POST",
        path="/v1/admin:sweep",
        handler=sweep,
        tag=TAG,
        summary="Expire and purge what is due",
        description="Now, instead of at the next interval. Answers when it is done. Operators only.",
        answers={
            200: Answered(description="How many memories expired and were purged.", model=schemas.Report)
        },
        problems=(422,),
    ),
    Operation(
        method="POST",
        path="/v1/admin:backup",
        handler=make_backup,
        tag=TAG,
        summary="Make a backup",
        description="Online, consistent and checksummed. Answers when it is done. Operators only.",
        body=schemas.BackupRequest,
        body_required=False,
        answers={200: Answered(description="What was written.", model=schemas.Report)},
        problems=(409,),
    ),
)
