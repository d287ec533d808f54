"""No new work while the process shuts down; whoever asks how it is still gets an answer."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from mnemata.api.rest.door import Door
from mnemata.api.rest.errors import problem_response
from mnemata.domain.errors import ShuttingDown

_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})


class Drain:
    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app = app
        self._lifecycle = door.lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._lifecycle.draining and scope["type"] == "http" and scope["path"] not in _ANSWERED:
            error = ShuttingDown(what="Mnemata", reason="it is shutting down", retry_after_s=5)
            await problem_response(error, headers={"Connection": "close"})(scope, receive, send)
            return
        await self._app(scope, receive, send)
