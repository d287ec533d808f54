"""No body above the limit is taken in: neither one that says so, nor one that comes in chunks without saying."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnemata.api.rest.door import Door
from mnemata.api.rest.errors import problem_response
from mnemata.domain.errors import TooLarge


class BodyLimit:
    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app = app
        self._limit = door.options.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = _declared_length(scope)
        if declared > self._limit:
            await problem_response(self._error(declared))(scope, receive, send)
            return
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self._limit:
                    # Raised where the route reads its body, so that it is answered like any other error.
                    raise self._error()
            return message

        await self._app(scope, receive_counted, send)

    def _error(self, actual: int | None = None) -> TooLarge:
        known = {} if actual is None else {"actual": actual}
        return TooLarge(field="body", limit=self._limit, unit="bytes", **known)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:18])
    return 0
