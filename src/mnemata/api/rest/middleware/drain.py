"""A process that is to end gets rid of its connections, then takes no new work; whoever asks how it is gets an answer."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnemata.api.rest.door import Door, Phase
from mnemata.api.rest.errors import problem_response
from mnemata.domain.errors import ShuttingDown

_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})


class Drain:
    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app = app
        self._lifecycle = door.lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        phase = self._lifecycle.phase
        if phase is Phase.SERVING or scope["type"] != "http":
            await self._app(scope, receive, send)
        elif phase is Phase.LEAVING or scope["path"] in _ANSWERED:
            await self._app(scope, receive, _last_on_its_connection(send))
        else:
            error = ShuttingDown(what="Mnemata", reason="it is shutting down", retry_after_s=5)
            await problem_response(error, headers={"Connection": "close"})(scope, receive, send)


def _last_on_its_connection(send: Send) -> Send:
    """A client that keeps its connection would never be given to another process."""

    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", []).append((b"connection", b"close"))
        await send(message)

    return send_marked
