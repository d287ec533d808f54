"""What FastAPI and Starlette raise, as problems."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mnemata.api.rest.errors import MalformedBody, MethodNotAllowed, RouteNotFound, problem_response
from mnemata.api.rest.schemas.base import invalid
from mnemata.domain.errors import MnemataError

_PLACES = frozenset({"body", "query", "path", "header", "cookie"})


def install(app: FastAPI) -> None:
    """Make every error of this app a problem document."""
    app.add_exception_handler(MnemataError, _ours)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)


async def _ours(_: Request, error: Exception) -> Response:
    return problem_response(cast("MnemataError", error))


async def _parameters(_: Request, error: Exception) -> Response:
    found = [_without_place(item) for item in cast("RequestValidationError", error).errors()]
    return problem_response(invalid(found))


async def _http(request: Request, error: Exception) -> Response:
    raised = cast("HTTPException", error)
    match raised.status_code:
        case 404:
            return problem_response(RouteNotFound())
        case 405:
            return problem_response(MethodNotAllowed(allowed=_allowed(request)))
        case 400:
            return problem_response(MalformedBody(reason="it cannot be read"))
        case _:
            return problem_response(MnemataError())


async def _gone(_: Request, __: Exception) -> Response:
    # Nobody reads this answer, but the request is counted by it.
    return problem_response(MalformedBody(reason="it ends before its length is reached"))


def _without_place(error: Any) -> Any:
    location = tuple(error["loc"])
    return {**error, "loc": location[1:] if location and location[0] in _PLACES else location}


def _allowed(request: Request) -> str:
    """The methods of every route with this path: two routes may share one."""
    methods: set[str] = set()
    for route in request.app.routes:
        regex, own = getattr(route, "path_regex", None), getattr(route, "methods", None)
        if regex is not None and own and regex.match(request.url.path):
            methods |= own
    return ", ".join(sorted(methods))
