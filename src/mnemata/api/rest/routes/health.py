"""Whether the process lives, whether it will answer, and its metrics."""

from __future__ import annotations

from fastapi import Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import Phase, door_of
from mnemata.api.rest.operation import Answered, Operation
from mnemata.api.rest.rendering import json_response
from mnemata.api.rest.schemas import access as schemas
from mnemata.domain.scope import Role

TAG = "health"
_FRESH = {"Cache-Control": "no-store"}


async def live(_: Request) -> Response:
    return json_response({"status": "ok"}, headers=_FRESH)


async def ready(request: Request) -> Response:
    door = door_of(request)
    if door.lifecycle.phase is not Phase.SERVING:
        answers, reasons = False, {"process": "shutting down"}
    else:
        answers, reasons = await door.services.status.ready()
    return json_response(
        {"ready": answers, "reasons": reasons}, status=200 if answers else 503, headers=_FRESH
    )


async def read_metrics(request: Request, scope: Asker) -> Response:
    # Its figures are of all tenants together, so that only who runs the platform may read them.
    scope.require(Role.OPERATOR)
    return Response(
        generate_latest(door_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST, headers=_FRESH
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/healthz",
        handler=live,
        tag=TAG,
        summary="Whether the process lives",
        description="Always `ok` while it does.",
        answers={200: Answered(description="It lives.", model=schemas.Health)},
        open=True,
    ),
    Operation(
        method="GET",
        path="/readyz",
        handler=ready,
        tag=TAG,
        summary="Whether searches will answer",
        description="503 while they will not, and while the process shuts down.",
        answers={
            200: Answered(description="They will.", model=schemas.Readiness),
            503: Answered(description="They will not, and why.", model=schemas.Readiness),
        },
        open=True,
    ),
    Operation(
        method="GET",
        path="/metrics",
        handler=read_metrics,
        tag=TAG,
        summary="Read the metrics",
        description="In the Prometheus text format. Where keys are required: operators only.",
        answers={200: Answered(description="The metrics.", media_type="text/plain")},
    ),
)
