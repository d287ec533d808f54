"""Who asks: the credential of a request, and the Scope that it is worth."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from mnemata.api.rest.door import door_of
from mnemata.domain.errors import Unauthenticated
from mnemata.domain.scope import Scope


def credential_of(request: Request) -> str | None:
    """The API key of `Authorization: Bearer` or `X-API-Key`. Both may be sent if they are the same."""
    bearer = _bearer(request)
    key = request.headers.get("x-api-key")
    if bearer is not None and key is not None and bearer != key:
        raise Unauthenticated(reason="Authorization and X-API-Key hold different keys")
    return bearer if bearer is not None else key


async def scope_of(request: Request) -> Scope:
    """The scope of the request's credential. Raises Unauthenticated."""
    return await door_of(request).services.access.authenticate(credential_of(request))


Asker = Annotated[Scope, Depends(scope_of)]
"""A route's argument: the scope of whoever asks."""


def _bearer(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated(reason="The Authorization header is not of the Bearer scheme")
    return key.strip()
