"""Every answer to a counted request says how many more its key may ask, and from when on again."""

from __future__ import annotations

import math

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnemata.api.rest.door import Door
from mnemata.services.rate_limit import Allowance


class RateHeaders:
    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app = app
        self._on = door.services.rates.on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._on or scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            allowance = scope.get("state", {}).get("allowance")
            if message["type"] == "http.response.start" and isinstance(allowance, Allowance):
                message.setdefault("headers", []).extend(_headers(allowance))
            await send(message)

        await self._app(scope, receive, send_marked)


def _headers(allowance: Allowance) -> list[tuple[bytes, bytes]]:
    figures = (
        (b"ratelimit-limit", allowance.limit),
        (b"ratelimit-remaining", allowance.remaining),
        (b"ratelimit-reset", math.ceil(allowance.reset_s)),
    )
    return [(name, str(value).encode()) for name, value in figures]
