"""The REST surface as the commands speak it: one request, its JSON, or the problem as an error of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from mnemata.cli.exits import ServerAway, ServerProblem, kind_of_status
from mnemata.domain.errors import DeadlineExceeded, Kind

Params = Mapping[str, str | int | bool | None]
_IN_OUR_WORDS = (
    ("list memories with GET /v1/memories", "list memories with `mnemata list`"),
    ("Use POST /v1/memories:batch", "Leave out --background"),
)
"""Remedies that name a call, as people at a terminal follow them."""
_STANDARD = frozenset({"type", "title", "status", "detail", "instance", "code"})


class Client:
    """Speaks to one Mnemata. `where` names it in messages."""

    def __init__(self, http: httpx.AsyncClient, *, where: str, has_key: bool) -> None:
        self._http = http
        self._has_key = has_key
        self.where = where

    async def get(self, path: str, *, params: Params | None = None) -> Any:
        return await self.request("GET", path, params=params)

    async def post(
        self,
        path: str,
        body: Any,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        patient: bool = False,
    ) -> Any:
        return await self.request("POST", path, body=body, params=params, headers=headers, patient=patient)

    async def write(
        self, path: str, body: Any, *, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Any, bool]:
        """The answer to a POST, and whether searches find already what it stored. Errors as `request`."""
        answer = await self._send("POST", path, params=_present(params), body=body, headers=headers)
        return self._json_of(answer), answer.headers.get("mnemata-indexed") != "false"

    async def delete(
        self, path: str, *, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        return await self.request("DELETE", path, params=params, headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        patient: bool = False,
    ) -> Any:
        """The answer's JSON, None where it has no body. `patient`: wait for it however long it takes.

        Raises ServerProblem for an answer that is an error, ServerAway and DeadlineExceeded where none came.
        """
        timeout = httpx.Timeout(self._http.timeout.connect, read=None) if patient else self._http.timeout
        answer = await self._send(
            method, path, params=_present(params), body=body, headers=headers, timeout=timeout
        )
        return self._json_of(answer) if answer.content else None

    async def _send(self, method: str, path: str, **parts: Any) -> httpx.Response:
        body = parts.pop("body")
        content = (
            None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        )
        headers = {
            **(parts.pop("headers") or {}),
            **({"content-type": "application/json"} if content else {}),
        }
        try:
            answer = await self._http.request(method, path, content=content, headers=headers, **parts)
        except httpx.TimeoutException as error:
            limit = self._http.timeout.read
            raise DeadlineExceeded(what=f"An answer of {self.where}", limit_s=limit) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise ServerAway(what=self.where, reason=reason.rstrip(".")) from error
        if answer.is_success:
            return answer
        raise self._problem(answer)

    def _json_of(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise ServerAway(what=self.where, reason="what answers there is not Mnemata") from error

    def _problem(self, answer: httpx.Response) -> ServerProblem:
        try:
            sent = answer.json()
        except ValueError:
            sent = {}
        sent = sent if isinstance(sent, dict) else {}
        facts = {name: value for name, value in sent.items() if name not in _STANDARD}
        retry_after = answer.headers.get("retry-after", "")
        if retry_after.isdigit():
            facts["retry_after_s"] = int(retry_after)
        detail = str(
            sent.get("detail") or f"{self.where} answered {answer.status_code} {answer.reason_phrase}"
        )
        detail = _in_our_words(detail, retry_after)
        if kind_of_status(answer.status_code) is Kind.UNAUTHENTICATED and not self._has_key:
            detail += " On the command line: --api-key, or MNEMATA_CLIENT__API_KEY."
        code = str(sent.get("code", f"http_{answer.status_code}"))
        return ServerProblem(status=answer.status_code, code=code, detail=detail, **facts)


def _in_our_words(detail: str, retry_after: str) -> str:
    for theirs, ours in _IN_OUR_WORDS:
        detail = detail.replace(theirs, ours)
    return (
        detail.replace("Wait as long as Retry-After says", f"Wait {retry_after} s") if retry_after else detail
    )


def _present(params: Params | None) -> dict[str, str]:
    """The parameters that have a value, as JSON writes them: true, not True."""
    given = {name: value for name, value in (params or {}).items() if value is not None}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()
    }
