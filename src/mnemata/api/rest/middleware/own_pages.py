"""Where no key is required, a browser on this machine must not act for a web page from elsewhere.

A page can point its own name at 127.0.0.1 and then counts as of one origin with this server (DNS rebinding); or it can
send a request without a body across sites. Both are recognised by headers that a page cannot choose.
"""

from __future__ import annotations

import ipaddress

from starlette.types import ASGIApp, Receive, Scope, Send

from mnemata.api.rest.door import Door
from mnemata.api.rest.errors import ForeignPage, problem_response

_READING = frozenset({"GET", "HEAD"})


class OwnPages:
    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app = app
        self._access = door.services.access
        self._host = door.options.host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._access.required:
            reason = self._foreign(scope)
            if reason is not None:
                await problem_response(ForeignPage(reason=reason))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _foreign(self, scope: Scope) -> str | None:
        """Why the request comes from a foreign page; None where nothing says so."""
        for name, value in scope["headers"]:
            if name == b"host" and not self._own_name(value.decode("latin-1")):
                return "the Host header names another server"
            if name == b"sec-fetch-site" and value == b"cross-site" and scope["method"] not in _READING:
                return "a web page of another site sent it"
        return None

    def _own_name(self, host: str) -> bool:
        """Whether nobody outside could own the name: an address, a name without a dot, *.localhost, or the set host."""
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        name = name.lower().rstrip(".")
        if "." not in name or name.endswith(".localhost") or name == self._host:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
