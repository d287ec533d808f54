"""API keys and tenants."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from starlette.responses import Response

from mnemata.api.rest.body import read_json
from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import door_of
from mnemata.api.rest.operation import Answered, Operation
from mnemata.api.rest.rendering import json_response
from mnemata.api.rest.schemas import access as schemas
from mnemata.api.rest.schemas.base import parse_as
from mnemata.api.rest.schemas.parameters import NoParameters
from mnemata.domain.access import ApiKey
from mnemata.domain.ids import TenantId
from mnemata.domain.scope import Role

TAG = "access"
_NEVER_KEPT = {"Cache-Control": "no-store"}


async def create_key(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    wanted = parse_as(schemas.KeyRequest, await read_json(request))
    made = await door_of(request).services.access.create_key(
        scope,
        role=Role(wanted.role),
        label=wanted.label,
        tenant=None if wanted.tenant is None else TenantId(wanted.tenant),
    )
    return json_response({"key": _key_json(made.key), "secret": made.secret}, status=201, headers=_NEVER_KEPT)


async def list_keys(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    keys = await door_of(request).services.access.list_keys(scope)
    return json_response({"items": [_key_json(key) for key in keys]}, headers=_NEVER_KEPT)


async def revoke_key(
    request: Request,
    scope: Asker,
    key_id: Annotated[str, Path(max_length=128)],
    _: Annotated[NoParameters, Query()],
) -> Response:
    await door_of(request).services.access.revoke_key(scope, key_id)
    return Response(status_code=204)


async def list_tenants(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    tenants = await door_of(request).services.access.list_tenants(scope)
    items = [{"id": one.id, "created_at": one.created_at, "memories": one.memories} for one in tenants]
    return json_response({"items": items})


def _key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "role": key.role.value,
        "label": key.label,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/keys",
        handler=create_key,
        tag=TAG,
        summary="Create an API key",
        description="Admins make keys of their own tenant up to their own role; operators also of other tenants. "
        "The secret is shown this once.",
        body=schemas.KeyRequest,
        answers={201: Answered(description="The key and its secret.", model=schemas.NewApiKey)},
    ),
    Operation(
        method="GET",
        path="/v1/keys",
        handler=list_keys,
        tag=TAG,
        summary="List API keys",
        description="Admins see their tenant's, operators every tenant's. Secrets are never shown again.",
        answers={200: Answered(description="The keys.", model=schemas.Keys)},
        problems=(422,),
    ),
    Operation(
        method="DELETE",
        path="/v1/keys/{key_id}",
        handler=revoke_key,
        tag=TAG,
        summary="Revoke an API key",
        description="It opens nothing any more.",
        answers={204: Answered(description="Revoked.")},
        problems=(404, 422),
    ),
    Operation(
        method="GET",
        path="/v1/tenants",
        handler=list_tenants,
        tag=TAG,
        summary="List tenants",
        description="With the number of their memories. Operators only.",
        answers={200: Answered(description="The tenants.", model=schemas.Tenants)},
        problems=(422,),
    ),
)
