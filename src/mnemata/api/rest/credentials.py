"""Who asks: the credential of a request, and the Scope that it is worth."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from mnemata.api.rest.door import door_of
from mnemata.domain.errors import RateLimited, Unauthenticated
from mnemata.domain.scope import Scope
from mnemata.services.rate_limit import RateLimit


def credential_of(request: Request) -> str | None:
    """The API key of `Authorization: Bearer` or `X-API-Key`. Both may be sent if they are the same."""
    bearer = _bearer(request)
    key = request.headers.get("x-api-key")
    if bearer is not None and key is not None and bearer != key:
        raise Unauthenticated(reason="Authorization and X-API-Key hold different keys")
    return bearer if bearer is not None else key


async def scope_of(request: Request) -> Scope:
    """The scope of the request's credential. Raises Unauthenticated, RateLimited."""
    services, credential = door_of(request).services, credential_of(request)
    scope = await services.access.authenticate(credential)
    if services.rates.on:
        # Counted once it is known to be that key: nobody uses up another's requests.
        await _count(request, services.rates, _who(credential, scope))
    return scope


async def _count(request: Request, rates: RateLimit, who: str) -> None:
    allowance = await rates.take(who)
    request.state.allowance = allowance
    if not allowance.allowed:
        raise RateLimited(limit=allowance.limit, retry_after_s=allowance.reset_s)


def _who(credential: str | None, scope: Scope) -> str:
    """The key's id, or the tenant where no key is needed."""
    return scope.tenant if credential is None else credential.split("_")[1]


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
