"""A repeated write under one Idempotency-Key is done once and answered alike."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

KEY = {"Idempotency-Key": "a1b2c3"}


async def count(client: httpx.AsyncClient) -> int:
    return (await client.get("/v1/memories", params={"with_total": True})).json()["total"]


async def test_a_repeated_store_is_done_once(client: httpx.AsyncClient) -> None:
    first = await client.post("/v1/memories", json={"content": "x"}, headers=KEY)
    second = await client.post("/v1/memories", json={"content": "x"}, headers=KEY)

    assert second.json() == first.json()
    assert (first.status_code, second.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]
    assert await count(client) == 1


async def test_requests_at_once_under_one_key_store_once(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.post("/v1/memories", json={"content": "x"}, headers=KEY) for _ in range(6))
    )

    assert {answer.json()["id"] for answer in answers if answer.status_code == 201} == {
        (await client.get("/v1/memories")).json()["items"][0]["id"]
    }
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert await count(client) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/memories", {"content": "y"}),
        ("/v1/memories?wait_for=none", {"content": "x"}),
        ("/v1/memories:batch", {"items": [{"content": "x"}]}),
    ],
)
async def test_the_key_of_another_request_is_a_conflict(
    client: httpx.AsyncClient, path: str, body: Any
) -> None:
    await client.post("/v1/memories", json={"content": "x"}, headers=KEY)

    response = await client.post(path, json=body, headers=KEY)

    assert (response.status_code, response.json()["code"]) == (409, "idempotency_conflict")


async def test_a_refused_request_does_not_use_up_its_key(client: httpx.AsyncClient) -> None:
    refused = await client.post("/v1/memories", json={"content": ""}, headers=KEY)
    accepted = await client.post("/v1/memories", json={"content": "x"}, headers=KEY)

    assert (refused.status_code, accepted.status_code) == (422, 201)


async def test_a_repeated_batch_is_done_once(client: httpx.AsyncClient) -> None:
    batch = {"items": [{"content": "x"}, {"content": ""}, {"content": "y"}]}
    first = await client.post("/v1/memories:batch", json=batch, headers=KEY)
    second = await client.post("/v1/memories:batch", json=batch, headers=KEY)

    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert await count(client) == 2


async def test_a_repeated_patch_makes_one_version(client: httpx.AsyncClient, store: Any) -> None:
    path = f"/v1/memories/{(await store('x'))['id']}"
    first = await client.patch(path, json={"content": "y"}, headers=KEY)
    second = await client.patch(path, json={"content": "y"}, headers=KEY)

    assert (first.json()["version"], second.json()["version"]) == (2, 2)
    assert second.headers["idempotency-replayed"] == "true"


async def test_a_repeated_restore_makes_one_version(client: httpx.AsyncClient, store: Any) -> None:
    path = f"/v1/memories/{(await store('x'))['id']}"
    await client.delete(path)
    first = await client.post(f"{path}:restore", headers=KEY)
    second = await client.post(f"{path}:restore", headers=KEY)

    assert (first.json()["version"], second.json()["version"]) == (3, 3)
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "tab\there"])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, key: str) -> None:
    response = await client.post("/v1/memories", json={"content": "x"}, headers={"Idempotency-Key": key})

    assert (response.status_code, response.json()["field"]) == (422, "Idempotency-Key")


async def test_keys_are_of_a_tenant(enter: Any) -> None:
    ana, bob = await enter("acme", "writer"), await enter("globex", "writer")

    first = await ana.post("/v1/memories", json={"content": "x"}, headers=KEY)
    second = await bob.post("/v1/memories", json={"content": "something else"}, headers=KEY)

    assert (first.status_code, second.status_code) == (201, 201)
    assert "idempotency-replayed" not in second.headers


async def test_a_repeated_batch_refuses_what_the_first_one_refused(client: httpx.AsyncClient) -> None:
    lost = {"content": "old news", "superseded_by": "01890000-0000-7000-8000-000000000000"}
    batch = {"items": [{"content": "x"}, lost, {"content": "y"}]}
    first = await client.post("/v1/memories:batch", json=batch, headers=KEY)
    second = await client.post("/v1/memories:batch", json=batch, headers=KEY)

    assert [item["status"] for item in first.json()["items"]] == [201, 422, 201]
    assert second.json() == first.json()
    assert await count(client) == 2


async def test_a_repeated_batch_tells_of_what_has_expired_since(client: httpx.AsyncClient) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    batch = {"items": [{"content": "x"}, {"content": "gone soon", "expires_at": soon}]}
    first = await client.post("/v1/memories:batch", json=batch, headers=KEY)
    while datetime.now(UTC).isoformat() <= soon:
        await asyncio.sleep(0.1)
    second = await client.post("/v1/memories:batch", json=batch, headers=KEY)

    assert [item["status"] for item in first.json()["items"]] == [201, 201]
    assert second.json() == first.json()
