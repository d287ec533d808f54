"""An operation of the API: its route and its place in the OpenAPI document, in one declaration."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from mnemata.api.rest.body import JSON

Handler = Callable[..., Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header of a request or an answer."""

    name: str
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A successful answer: its schema (None: no body), and its headers."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = "application/json"
    headers: Sequence[Header] = ()


ETAG = Header(name="ETag", description="The memory's version in quotes.")
LOCATION = Header(name="Location", description="The path of the stored memory.")
INDEXED = Header(
    name="Mnemata-Indexed",
    description="`true`: searches find it already. `false`: it is durable, and searches will.",
    schema={"type": "string", "enum": ["true", "false"]},
)
REPLAYED = Header(
    name="Idempotency-Replayed",
    description="`true`: this is the answer to an earlier request with the same Idempotency-Key.",
    schema={"type": "string", "enum": ["true"]},
)
IF_MATCH = Header(
    name="If-Match",
    description='Do it only if this is the current version, such as `"3"`. `*`: any version.',
    schema={"type": "string", "pattern": r'^(\*|"[0-9]{1,18}")$', "examples": ['"3"']},
)
IF_NONE_MATCH = Header(
    name="If-None-Match", description="Answer 304 without a body if this is still the current version."
)
IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    description="Repeat a request under the same key, and it is done once and answered alike.",
    schema={"type": "string", "pattern": r"^[!-~]{1,255}$"},
)

_ALWAYS = (401, 403, 429, 500, 503, 504)
_DESCRIPTIONS = {
    400: "The body is not JSON.",
    401: "The API key is missing or not known.",
    403: "The role of the API key does not allow this.",
    404: "It is not there, or belongs to another tenant.",
    409: "It conflicts with something that is there.",
    412: "If-Match does not name the current version.",
    413: "Something is larger than its limit.",
    415: "The Content-Type is not read here.",
    422: "A field is wrong; the problem names it and the remedy.",
    429: "This key has asked too often; Retry-After says when to ask again.",
    500: "Something went wrong on our side.",
    503: "A part that this needs is not available; Retry-After says when to try again.",
    504: "It took too long.",
}


class _Segment(Convertor[str]):
    """A path segment without a colon: `{memory_id}` must not swallow the verb of `{memory_id}:restore`."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("segment", _Segment())
_PARAMETER = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`problems`: the statuses beyond those that every operation may have."""

    method: str
    path: str
    handler: Handler
    tag: str
    summary: str
    description: str
    answers: dict[int, Answered]
    body: type[BaseModel] | None = None
    body_required: bool = True
    accepted: Sequence[str] = JSON
    headers: Sequence[Header] = ()
    problems: Sequence[int] = ()
    open: bool = False

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def statuses(self) -> list[int]:
        """The statuses of every error that it may answer."""
        common = (500, 503) if self.open else _ALWAYS
        read = (400, 413, 415, 422) if self.body is not None else ()
        return sorted({*common, *read, *self.problems})

    def add_to(self, app: FastAPI) -> None:
        app.add_api_route(
            _PARAMETER.sub(r"{\1:segment}", self.path),
            self.handler,
            methods=[self.method],
            name=self.name,
            operation_id=self.name,
            summary=self.summary,
            description=self.description,
            tags=[self.tag],
            response_model=None,
            response_class=Response,
            status_code=min(self.answers),
            responses={
                **{status: _problem(status) for status in self.statuses},
                **{status: _answer(answered) for status, answered in self.answers.items()},
            },
            openapi_extra=self._extra(),
        )

    def _extra(self) -> dict[str, Any]:
        extra: dict[str, Any] = {"parameters": [_parameter(header) for header in self.headers]}
        if self.body is not None:
            schema = {"$ref": f"#/components/schemas/{self.body.__name__}"}
            extra["requestBody"] = {
                "required": self.body_required,
                "content": {media_type: {"schema": schema} for media_type in self.accepted},
            }
        extra["security"] = [] if self.open else [{"bearer": []}, {"apiKey": []}, {}]
        return extra


def _answer(answered: Answered) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answered.description}
    if answered.model is not None:
        schema: dict[str, Any] = {"$ref": f"#/components/schemas/{answered.model.__name__}"}
        described["content"] = {answered.media_type: {"schema": schema}}
    elif answered.media_type != "application/json":
        described["content"] = {answered.media_type: {"schema": {"type": "string"}}}
    if answered.headers:
        described["headers"] = {
            header.name: {"description": header.description, "schema": header.schema}
            for header in answered.headers
        }
    return described


def _problem(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in {429, 503}:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    if status == 401:
        described["headers"] = {"WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}}}
    return described


def _parameter(header: Header) -> dict[str, Any]:
    return {
        "name": header.name,
        "in": "header",
        "required": False,
        "description": header.description,
        "schema": header.schema,
    }
