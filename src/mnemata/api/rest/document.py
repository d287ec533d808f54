"""The OpenAPI document: what FastAPI knows of the routes, and our own schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mnemata import __version__
from mnemata.api.rest.catalogue import OPERATIONS, TAGS
from mnemata.api.rest.schemas.memory import MemoryDraft
from mnemata.api.rest.schemas.problem import Problem

_DESCRIPTION = """\
Store memories, find them again by words and by meaning, lose none.

Every error is a problem document (RFC 9457) with a stable `code`. A credential is an API key, sent as
`Authorization: Bearer mk_...` or `X-API-Key`; on loopback, where keys are not required, none is needed.
"""
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "mk_<id>_<secret>"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1, the same for every installation of one version."""
    document = get_openapi(
        title="Mnemata",
        version=__version__,
        summary="A memory platform.",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[dict(tag) for tag in TAGS],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["responses"] = dict(sorted(operation["responses"].items()))
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **_schemas()}.items()))
    return document


def _schemas() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(model, "validation") for model in _models()], ref_template="#/components/schemas/{model}"
    )
    return definitions["$defs"]


def _models() -> Iterator[type[BaseModel]]:
    seen: dict[str, type[BaseModel]] = {"Problem": Problem, "MemoryDraft": MemoryDraft}
    for operation in OPERATIONS:
        wanted = [operation.body, *(answered.model for answered in operation.answers.values())]
        seen |= {model.__name__: model for model in wanted if model is not None}
    return iter(seen.values())
