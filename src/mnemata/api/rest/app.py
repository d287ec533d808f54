"""The REST door: one FastAPI app over the services."""

from __future__ import annotations

import functools

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from mnemata.api.rest import handlers
from mnemata.api.rest.catalogue import OPERATIONS
from mnemata.api.rest.document import openapi_document
from mnemata.api.rest.door import Door
from mnemata.api.rest.middleware.body_limit import BodyLimit
from mnemata.api.rest.middleware.deadline import Deadline
from mnemata.api.rest.middleware.drain import Drain
from mnemata.api.rest.middleware.own_pages import OwnPages
from mnemata.api.rest.middleware.rate_headers import RateHeaders
from mnemata.api.rest.middleware.telemetry import Telemetry
from mnemata.api.rest.options import HttpOptions
from mnemata.api.rest.reference.page import reference_page
from mnemata.api.rest.rendering import dumps
from mnemata.observability.metrics import Metrics
from mnemata.services.catalogue import Services


def create_app(services: Services, *, options: HttpOptions, metrics: Metrics) -> FastAPI:
    """The app, ready to be served or called in process. It opens nothing and closes nothing.

    `app.state.door` is what its routes share; `app.state.door.lifecycle.phase` says what becomes of new requests.
    """
    door = Door(services=services, options=options, metrics=metrics, clock=services.clock)
    app = bare_app()
    app.state.door = door
    # The last one added is the outermost: it sees every answer, those of the others too.
    for layer in (BodyLimit, Deadline, OwnPages, RateHeaders, Drain, Telemetry):
        app.add_middleware(layer, door=door)
    return app


def bare_app() -> FastAPI:
    """The routes and the document, without services: enough to describe the API."""
    app = FastAPI(title="Mnemata", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for operation in OPERATIONS:
        operation.add_to(app)
    handlers.install(app)
    _add_document_routes(app)
    return app


def _add_document_routes(app: FastAPI) -> None:
    # Made when it is first read: most processes never show it, and all of them start.
    document = functools.cache(lambda: openapi_document(app))
    raw = functools.cache(lambda: dumps(document()))
    page = functools.cache(lambda: reference_page(document()))
    app.openapi = document

    async def read_document(_: Request) -> Response:
        return Response(raw(), media_type="application/json")

    async def read_reference(_: Request) -> Response:
        shown = page()
        return Response(shown.html, media_type="text/html", headers={"Content-Security-Policy": shown.policy})

    app.add_route("/openapi.json", read_document, methods=["GET"], include_in_schema=False)
    app.add_route("/docs", read_reference, methods=["GET"], include_in_schema=False)
