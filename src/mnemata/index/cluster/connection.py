"""One request to a search cluster: what both drivers do alike, and the border at which their errors become ours."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import orjson

from mnemata.domain.errors import IndexMoved, IndexRefused, IndexUnavailable, MnemataError

JSON = "application/json"
LINES = "application/x-ndjson"

_WHAT = "the search cluster"
_RETRY_AFTER_S = 2.0
_AWAY_S = 1.0


class Unreachable(Exception):
    """No node answered. `reason` is the kind of failure: what drivers say of it may hold addresses."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    body: Any


class Driver(Protocol):
    """The official client of a cluster, as far as it is needed: sends bytes, gives what came back."""

    async def request(
        self, method: str, target: str, *, body: bytes | None, content_type: str, timeout_s: float
    ) -> Reply:
        """The reply, whatever its status. Another node is tried where one cannot be reached. Raises Unreachable."""
        ...

    async def close(self) -> None: ...


class Connection:
    """Sends requests within a time and raises IndexUnavailable or IndexRefused in place of everything that can go wrong."""

    def __init__(self, driver: Driver, *, search_timeout_s: float, write_timeout_s: float) -> None:
        self._driver = driver
        self.search_timeout_s = search_timeout_s
        self._write_timeout_s = write_timeout_s
        self._away_until = 0.0

    async def send(
        self, method: str, target: str, body: Mapping[str, Any] | None = None, *, accept: Collection[int] = ()
    ) -> Reply:
        """The reply to a request with a JSON body; a status above 399 is given back where it is in `accept`."""
        data = None if body is None else orjson.dumps(body)
        return await self._request(
            method, target, data, content_type=JSON, accept=accept, timeout_s=self._write_timeout_s
        )

    async def send_lines(
        self, target: str, lines: Sequence[bytes], *, accept: Collection[int] = (), searching: bool = False
    ) -> Reply:
        """The reply to a request of many JSON lines: `_bulk` or `_msearch`."""
        timeout_s = self.search_timeout_s if searching else self._write_timeout_s
        return await self._request(
            "POST",
            target,
            b"\n".join((*lines, b"")),
            content_type=LINES,
            accept=accept,
            timeout_s=timeout_s,
            searching=searching,
        )

    async def close(self) -> None:
        await self._driver.close()

    async def _request(
        self,
        method: str,
        target: str,
        body: bytes | None,
        *,
        content_type: str,
        accept: Collection[int],
        timeout_s: float,
        searching: bool = False,
    ) -> Reply:
        if searching and time.monotonic() < self._away_until:
            # A search does not wait for what did not answer another one a moment ago.
            raise unavailable("it did not answer a moment ago")
        try:
            reply = await self._driver.request(
                method, target, body=body, content_type=content_type, timeout_s=timeout_s
            )
        except Unreachable as error:
            self._away_until = time.monotonic() + _AWAY_S
            raise unavailable(error.reason) from error
        if reply.status >= HTTPStatus.BAD_REQUEST and reply.status not in accept:
            error = of_status(reply.status, reply.body)
            # Whatever is wrong with a search: its answer can come from elsewhere.
            raise search_failed({"status": reply.status, **_mapping(reply.body)}) if searching else error
        return reply


def of_status(status: int, body: Any) -> MnemataError:
    """Our error for a reply that is none of those the caller knows what to do with."""
    if status == HTTPStatus.UNAUTHORIZED:
        return unavailable("it does not accept the credential")
    if status == HTTPStatus.FORBIDDEN:
        return unavailable(f"it does not allow this ({reason_of(body)})")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return unavailable("it is busy")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.NOT_FOUND:
        return unavailable(f"it answers with {status} ({reason_of(body)})")
    return IndexRefused(status=status, reason=reason_of(body))


def search_failed(answer: Mapping[str, Any]) -> IndexUnavailable:
    """Our error for one search of several: whatever the reason, the answer can come from elsewhere."""
    return unavailable(f"a search failed with {answer.get('status')} ({reason_of(answer)})")


def _mapping(body: Any) -> Mapping[str, Any]:
    return body if isinstance(body, dict) else {}


def moved() -> IndexMoved:
    return IndexMoved(what=_WHAT, reason="another index is the live one now", retry_after_s=_RETRY_AFTER_S)


def unavailable(reason: str) -> IndexUnavailable:
    return IndexUnavailable(what=_WHAT, reason=reason, retry_after_s=_RETRY_AFTER_S)


def reason_of(body: Any) -> str:
    """The type of a reported failure: its sentence may quote what was sent."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        causes = error.get("root_cause") or [error]
        return str(causes[0].get("type", error.get("type", "unknown")))
    return "unknown"
