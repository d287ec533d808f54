"""The outermost layer: a request id, counts and times by route, safe headers, and a last resort for what went wrong."""

from __future__ import annotations

import re
import secrets
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, unbind_contextvars

from mnemata.api.rest.door import Door
from mnemata.api.rest.errors import problem_response
from mnemata.domain.errors import MnemataError
from mnemata.observability.logging import get_logger

_log = get_logger("api.rest")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Telemetry:
    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app = app
        self._metrics = door.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request_id = _request_id(scope)
        # Whatever is logged for this request, in whichever room, can be found by its id.
        bind_contextvars(request_id=request_id.decode())
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _mark(message, request_id)
            await send(message)

        self._metrics.requests_in_flight.inc()
        try:
            await self._app(scope, receive, send_marked)
        except Exception:
            # A door answers whatever happens; the cause is for the log, under the id that the caller sees.
            _log.exception("request_failed", route=_route(scope))
            if status:
                raise
            await problem_response(MnemataError(request_id=request_id.decode()))(scope, receive, send_marked)
        finally:
            unbind_contextvars("request_id")
            self._metrics.requests_in_flight.dec()
            self._observe(scope, status, perf_counter() - started)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = _route(scope)
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(method, route).observe(seconds)


def _route(scope: Scope) -> str:
    """The route's template, never the path: a metric has a bounded number of labels."""
    return getattr(scope.get("route"), "path_format", "unmatched")


def _request_id(scope: Scope) -> bytes:
    """The caller's X-Request-ID where it is a plain word, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value
    return secrets.token_hex(8).encode()


def _mark(message: Message, request_id: bytes) -> None:
    headers = message.setdefault("headers", [])
    headers += [(b"x-request-id", request_id), *_SAFE_HEADERS]
    if not any(name == b"content-security-policy" for name, _ in headers):
        headers.append(_POLICY)
