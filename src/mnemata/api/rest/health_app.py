"""The small app of a process that serves no memories: whether it lives, whether it does its work, and its metrics."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from mnemata.api.rest import handlers
from mnemata.api.rest.door import Door, Phase, door_of
from mnemata.api.rest.options import HttpOptions
from mnemata.api.rest.rendering import json_response
from mnemata.api.rest.routes.health import live, read_metrics
from mnemata.observability.metrics import Metrics
from mnemata.services.catalogue import Services


def create_health_app(
    services: Services,
    *,
    options: HttpOptions,
    metrics: Metrics,
    alive: Callable[[], bool],
) -> FastAPI:
    """The app, ready to be served. `alive`: whether the others take this process for one that works.

    `/metrics` asks for a key where keys are required.
    """
    app = FastAPI(title="Mnemata worker", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.door = Door(services=services, options=options, metrics=metrics, clock=services.clock)
    handlers.install(app)

    async def ready(request: Request) -> Response:
        if door_of(request).lifecycle.phase is not Phase.SERVING:
            return _readiness(answers=False, reasons={"process": "shutting down"})
        answers, reasons = await services.status.ready()
        leases = "ok" if alive() else "not renewed: another process may do this one's work"
        return _readiness(answers=answers and alive(), reasons={**reasons, "leases": leases})

    app.add_api_route("/healthz", live)
    app.add_api_route("/readyz", ready)
    app.add_api_route("/metrics", read_metrics)
    return app


def _readiness(*, answers: bool, reasons: dict[str, str]) -> Response:
    return json_response(
        {"ready": answers, "reasons": reasons},
        status=200 if answers else 503,
        headers={"Cache-Control": "no-store"},
    )
