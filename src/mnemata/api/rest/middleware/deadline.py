"""Every request ends in time, with an answer."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mnemata.api.rest.door import Door
from mnemata.api.rest.errors import problem_response
from mnemata.domain.errors import DeadlineExceeded

UNLIMITED = frozenset(
    {
        "/v1/admin:rebuild",
        "/v1/admin:backup",
        "/v1/admin:verify",
        "/v1/admin:sweep",
        "/v1/admin/cache:warm",
        "/v1/admin/index:rebuild",
        "/v1/admin/index:switch",
    }
)
"""An operator's long work: it takes as long as there is data. A balancer has to let it: deploy/fleet/haproxy.cfg does."""


class Deadline:
    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app = app
        self._limit_s = door.options.request_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNLIMITED:
            await self._app(scope, receive, send)
            return
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        limit = asyncio.timeout(self._limit_s)
        try:
            async with limit:
                await self._app(scope, receive, send_noted)
        except TimeoutError:
            if started or not limit.expired():
                raise
            error = DeadlineExceeded(what="The request", limit_s=self._limit_s)
            await problem_response(error)(scope, receive, send)
