"""What is not a request is answered with a problem that names the remedy, whatever the call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from mnemata.api.rest.app import create_app
from mnemata.api.rest.options import HttpOptions
from mnemata.platform import Platform

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "missing_body"),
        (b"  \n", 400, "missing_body"),
        (b'{"content":"x"', 400, "malformed_body"),
        (b'{"content":"\xff\xfe"}', 400, "malformed_body"),
        (b'{"content":"\xed\xa0\x80"}', 400, "malformed_body"),
        (b'{"content":"\\ud800"}', 422, "invalid_field"),
        (b'{"content":"a\\u0000b"}', 422, "invalid_field"),
        (b'{"content":"x","importance":NaN}', 422, "invalid_field"),
        (b'{"content":"x","metadata":{"a":-Infinity}}', 422, "invalid_field"),
        (b'{"content":"x","metadata":{"a":1e999}}', 422, "invalid_field"),
        (b'{"content":"x","metadata":' + b'{"a":' * 17 + b"1" + b"}" * 17 + b"}", 413, "too_large"),
        (b'{"content":"x","metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 413, "too_large"),
        (b'{"content":"' + b"x" * 1_048_577 + b'"}', 413, "too_large"),
        (b'{"content":"x","metadata":{"a":"' + b"x" * 70_000 + b'"}}', 413, "too_large"),
        (b"[]", 422, "invalid_field"),
        (b'"text"', 422, "invalid_field"),
        (b"null", 422, "invalid_field"),
    ],
)
async def test_a_body_that_will_not_do_is_refused(
    client: httpx.AsyncClient, raw: bytes, status: int, code: str
) -> None:
    response = await client.post("/v1/memories", content=raw, headers=JSON)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert (await client.get("/v1/memories")).json()["items"] == []


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=latin-1",
    ],
)
@pytest.mark.parametrize("path", ["/v1/memories", "/v1/memories:batch", "/v1/search", "/v1/keys"])
async def test_a_wrong_content_type_is_415(
    client: httpx.AsyncClient, path: str, media_type: str | None
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}

    response = await client.post(path, content=b'{"content":"x"}', headers=headers)

    assert (response.status_code, response.json()["accepted"]) == (415, "application/json")


async def test_a_content_type_may_name_utf_8(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/v1/memories",
        content='{"content":"ä"}'.encode(),
        headers={"Content-Type": "Application/JSON; charset=UTF-8"},
    )

    assert response.json()["content"] == "ä"


def limited(platform: Platform, **limits: Any) -> httpx.AsyncClient:
    """A client of an app in process that has these limits."""
    app = create_app(platform.services, options=HttpOptions(**limits), metrics=platform.metrics)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://mnemata")


@pytest.fixture
async def small_client(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with limited(platform, max_body_bytes=10_000, request_timeout_s=240) as opened:
        yield opened


@pytest.fixture
async def hasty_client(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with limited(platform, request_timeout_s=0.5) as opened:
        yield opened


async def test_a_body_above_the_limit_is_413(small_client: httpx.AsyncClient) -> None:
    response = await small_client.post("/v1/memories", json={"content": "x" * 10_000})

    assert (response.status_code, response.json()["limit"], response.json()["field"]) == (413, 10_000, "body")


async def test_a_body_in_chunks_is_stopped_at_the_limit(small_client: httpx.AsyncClient) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 1_000
            yield b"x" * 1_000

    response = await small_client.post("/v1/memories", content=chunks(), headers=JSON)

    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert sent <= 12_000


async def test_a_content_length_that_lies_does_not_help(small_client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1_000

    response = await small_client.post(
        "/v1/memories", content=chunks(), headers={**JSON, "Content-Length": "5"}
    )

    assert response.status_code == 413


async def test_a_body_that_never_ends_is_stopped_in_time(hasty_client: httpx.AsyncClient) -> None:
    import asyncio

    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.1)
            yield b" "

    response = await hasty_client.post("/v1/memories", content=drip(), headers=JSON)

    assert (response.status_code, response.json()["code"], response.json()["limit_s"]) == (
        504,
        "deadline_exceeded",
        0.5,
    )


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/memory", "/v1/memories/", "/docs/", "/../etc/passwd", "/v1/%00"]
)
async def test_a_path_that_is_none_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, response.json()["code"]) == (404, "route_not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/memories", "GET, POST"),
        ("GET", "/v1/memories:batch", "POST"),
        ("PUT", "/v1/memories/0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d", "DELETE, GET, PATCH"),
        ("PATCH", "/v1/memories/0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d:restore", "POST"),
        ("POST", "/healthz", "GET"),
        ("DELETE", "/v1/search", "GET, POST"),
    ],
)
async def test_a_wrong_method_says_which_ones_there_are(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)

    assert (response.status_code, response.headers["allow"], response.json()["code"]) == (
        405,
        allowed,
        "method_not_allowed",
    )


@pytest.mark.parametrize("path", ["/v1/status", "/v1/keys", "/v1/tenants"])
async def test_an_unknown_parameter_is_named_everywhere(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, params={"verbose": "1"})

    assert (response.status_code, response.json()["field"]) == (422, "verbose")


async def test_an_error_of_ours_says_nothing_but_the_requests_id(
    app: FastAPI, inside: httpx.AsyncClient
) -> None:
    async def broken() -> Any:
        secret = "the memory's text"
        raise RuntimeError(secret)

    app.add_api_route("/broken", broken)
    response = await inside.get("/broken", headers={"X-Request-ID": "abc-1"})

    assert response.status_code == 500
    assert response.json() == {
        "type": "/docs#error-internal",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Something went wrong on our side; the log has the details.",
        "code": "internal",
        "request_id": "abc-1",
    }


@pytest.mark.parametrize("given", ["abc-1", "7f3e.2_x"])
async def test_a_request_id_is_given_back(client: httpx.AsyncClient, given: str) -> None:
    assert (await client.get("/healthz", headers={"X-Request-ID": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 200, 'a"; drop'])
async def test_a_request_id_that_is_none_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answered = (await client.get("/healthz", headers={"X-Request-ID": given})).headers["x-request-id"]

    assert answered != given
    assert answered.isalnum()


async def test_a_caller_who_goes_away_in_the_middle_of_a_body_stores_nothing(
    app: FastAPI, inside: httpx.AsyncClient
) -> None:
    messages = [
        {"type": "http.request", "body": b'{"content":"half a', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/memories",
        "raw_path": b"/v1/memories",
        "query_string": b"",
        "headers": [
            (b"host", b"mnemata"),
            (b"content-type", b"application/json"),
            (b"content-length", b"40"),
        ],
    }
    await app(scope, receive, send)

    assert sent[0]["status"] == 400
    assert (await inside.get("/v1/memories")).json()["items"] == []


async def test_what_a_request_logs_can_be_found_by_its_id(app: FastAPI, inside: httpx.AsyncClient) -> None:
    from structlog.contextvars import get_contextvars

    async def look() -> Any:
        return get_contextvars()

    app.add_api_route("/look", look)

    assert (await inside.get("/look", headers={"X-Request-ID": "abc-2"})).json() == {"request_id": "abc-2"}
