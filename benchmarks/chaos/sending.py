"""Sends a request, again where that is safe, and says what is certain about it: done, not done, or unknown."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.chaos.history import Outcome

TIMEOUT_S = 12.0
"""Beyond what the platform allows a request, so that it is the one that says so."""

TRIES = 4
_WAIT_S = 0.3
_LONGEST_WAIT_S = 1.0

# The page of errors says of these that nothing was stored.
NOT_DONE = frozenset(
    {
        "rate_limited",
        "pool_exhausted",
        "shutting_down",
        "storage_full",
        "store_unavailable",
        "embedder_unavailable",
    }
)


@dataclass(slots=True, kw_only=True)
class Answer:
    """`body`: of the success. `refusals`: every answer that was none; status 0 where there was no answer."""

    outcome: Outcome = Outcome.INFO
    status: int = 0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


async def send(client: httpx.AsyncClient, request: Request, *, repeat: bool = False) -> Answer:
    """The answer to the request. `repeat`: send it up to four times, until something is certain."""
    answer = Answer()
    unknown = False
    for _ in range(TRIES if repeat else 1):
        answer.tries += 1
        outcome = await _once(client, request, answer)
        if outcome is Outcome.OK:
            answer.outcome = outcome
            return answer
        unknown = unknown or outcome is Outcome.INFO
        if answer.status and answer.status < 500 and answer.status != 429:
            break
        await asyncio.sleep(_pause(answer))
    answer.outcome = Outcome.INFO if unknown else Outcome.FAIL
    return answer


async def _once(client: httpx.AsyncClient, request: Request, answer: Answer) -> Outcome:
    try:
        response = await client.request(
            request.method, request.path, json=request.body, headers=request.headers
        )
        body = response.json() if response.content else None
    except (httpx.HTTPError, ValueError) as error:
        # A connection that was never made carried nothing.
        never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
        answer.status = 0
        answer.refusals.append({"status": 0, "code": type(error).__name__})
        return Outcome.FAIL if never_sent else Outcome.INFO
    answer.status = response.status_code
    if response.is_success:
        answer.body, answer.headers = body, dict(response.headers)
        return Outcome.OK
    return _refused(response, body, answer)


def _refused(response: httpx.Response, body: Any, answer: Answer) -> Outcome:
    code = body.get("code", "") if isinstance(body, dict) else ""
    # The balancer puts no request's number on what it answers for itself.
    balancer = "x-request-id" not in response.headers
    refusal = {"status": response.status_code, "code": code}
    if "retry-after" in response.headers:
        refusal["retry_after"] = response.headers["retry-after"]
    if balancer:
        refusal["balancer"] = True
    answer.refusals.append(refusal)
    certain = not balancer and (response.status_code < 500 or code in NOT_DONE)
    return Outcome.FAIL if certain else Outcome.INFO


def _pause(answer: Answer) -> float:
    asked = answer.refusals[-1].get("retry_after")
    return min(float(asked), _LONGEST_WAIT_S) if asked else _WAIT_S
