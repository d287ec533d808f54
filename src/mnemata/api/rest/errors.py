"""Errors as RFC 9457 problems: each Kind has one status, here and nowhere else."""

from __future__ import annotations

import http
import math
from collections.abc import Mapping
from typing import Any, ClassVar, assert_never

import orjson
from starlette.responses import Response

from mnemata.domain.errors import InvalidField, Kind, MnemataError

PROBLEM_JSON = "application/problem+json"
_PRIVATE = frozenset({"path", "data_dir", "pid"})
"""Facts about the machine: they are for its log, not for a caller."""
_RESERVED = frozenset({"type", "title", "status", "detail", "code", "retry_after_s"})

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""RFC 9110's phrases where older versions of Python have older ones."""


class RestError(MnemataError):
    """An error of HTTP itself, with a status that no Kind has."""

    kind = Kind.INVALID
    status: ClassVar[int] = 400


class MalformedRequest(RestError):
    """What came is not an HTTP request."""

    code = "malformed_request"

    def sentence(self) -> str:
        return "This is not an HTTP/1.1 request: its first line, a header or a chunk is wrong. Look at what sends it."


class MalformedBody(RestError):
    """The body is not the JSON that it should be. Facts: reason."""

    code = "malformed_body"

    def sentence(self) -> str:
        return f"The body is not valid JSON: {self.facts['reason']}. Send one JSON document in UTF-8."


class MissingBody(RestError):
    """There is no body."""

    code = "missing_body"

    def sentence(self) -> str:
        return "The body is empty. Send a JSON object."


class UnsupportedMediaType(RestError):
    """The Content-Type is not one that this call reads. Facts: given, accepted."""

    status = 415
    code = "unsupported_media_type"

    def sentence(self) -> str:
        return f"The Content-Type is {self.facts['given']}. Send {self.facts['accepted']}."


class RouteNotFound(RestError):
    """No call has this path."""

    kind = Kind.NOT_FOUND
    status = 404
    code = "route_not_found"

    def sentence(self) -> str:
        return "There is no such call. GET /docs lists them."


class MethodNotAllowed(RestError):
    """The path takes other methods. Facts: allowed."""

    status = 405
    code = "method_not_allowed"

    def sentence(self) -> str:
        return f"This path does not take that method. It takes: {self.facts['allowed']}."


class ForeignPage(RestError):
    """A web page from elsewhere sent this to a server that asks for no key. Facts: reason."""

    kind = Kind.FORBIDDEN
    status = 403
    code = "foreign_page"

    def sentence(self) -> str:
        return (
            f"Without required API keys only this machine is answered, and {self.facts['reason']}. "
            "Call http://127.0.0.1, or require keys with MNEMATA_AUTH__REQUIRED=true."
        )


def status_of(kind: Kind) -> int:
    """The HTTP status of a kind of error."""
    match kind:
        case Kind.INVALID:
            return 422
        case Kind.UNAUTHENTICATED:
            return 401
        case Kind.FORBIDDEN:
            return 403
        case Kind.NOT_FOUND:
            return 404
        case Kind.CONFLICT:
            return 409
        case Kind.PRECONDITION:
            return 412
        case Kind.TOO_LARGE:
            return 413
        case Kind.RATE_LIMITED:
            return 429
        case Kind.UNAVAILABLE:
            return 503
        case Kind.TIMEOUT:
            return 504
        case Kind.INTERNAL:
            return 500
        case _:
            assert_never(kind)


def error_status(error: MnemataError) -> int:
    return error.status if isinstance(error, RestError) else status_of(error.kind)


def problem(error: MnemataError) -> dict[str, Any]:
    """The problem document of an error: type, title, status, detail, code, and its facts."""
    status = error_status(error)
    facts = {name: _plain(value) for name, value in error.facts.items() if name not in _PRIVATE | _RESERVED}
    return {
        "type": f"/docs#error-{error.code}",
        "title": _TITLES.get(status) or http.HTTPStatus(status).phrase,
        "status": status,
        "detail": _plain(_detail(error)),
        "code": error.code,
        **facts,
    }


def problem_response(error: MnemataError, *, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that failed with this error."""
    body = problem(error)
    return Response(
        orjson.dumps(body),
        status_code=body["status"],
        media_type=PROBLEM_JSON,
        headers={**_headers(error), **(headers or {})},
    )


def first_of(errors: list[InvalidField]) -> InvalidField:
    """One error that names the first wrong field and, where there are more, lists them all in its facts."""
    first = errors[0]
    if len(errors) > 1:
        first.facts["errors"] = [
            {"field": error.field, "reason": error.reason, "remedy": error.remedy} for error in errors[:20]
        ]
    return first


def _detail(error: MnemataError) -> str:
    # A sentence that quotes a path of the server is for its operator, who finds it in the log.
    return (
        error.sentence()
        if _PRIVATE.isdisjoint(error.facts)
        else f"{type(error).__doc__}".split(". ")[0] + "."
    )


def _headers(error: MnemataError) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="mnemata"'
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = str(error.facts["allowed"])
    return headers


def _plain(value: object) -> object:
    """A fact as JSON. Text is cut and made printable: it may quote what the caller sent."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return value[:1_000].encode("utf-8", "replace").decode("utf-8")
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return str(value)
