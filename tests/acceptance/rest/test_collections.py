"""Batches, listings and forgetting by filter over REST."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from mnemata.api.rest.schemas import memory as schemas


async def test_one_bad_item_does_not_lose_the_others(client: httpx.AsyncClient) -> None:
    items = [
        {"content": "first"},
        {"content": " "},
        {"content": "third"},
        5,
        {"content": "fifth", "colour": "red"},
    ]

    response = await client.post("/v1/memories:batch", json={"items": items})

    body = response.json()
    assert response.status_code == 200
    assert [item["status"] for item in body["items"]] == [201, 422, 201, 422, 422]
    assert [item["index"] for item in body["items"]] == [0, 1, 2, 3, 4]
    assert [item["error"]["field"] for item in body["items"] if "error" in item] == [
        "content",
        "body",
        "colour",
    ]
    assert (body["created"], body["updated"], body["failed"]) == (2, 0, 3)
    listed = (await client.get("/v1/memories")).json()["items"]
    assert {memory["content"] for memory in listed} == {"first", "third"}
    schemas.BatchAnswer.model_validate(body)


async def test_a_lone_surrogate_or_nan_in_one_item_does_not_lose_the_others(
    client: httpx.AsyncClient,
) -> None:
    raw = b'{"items":[{"content":"\\ud800"},{"content":"good"},{"content":"x","importance":NaN},{"content":"\\ud83d\\ude00"}]}'

    response = await client.post(
        "/v1/memories:batch", content=raw, headers={"Content-Type": "application/json"}
    )

    body = response.json()
    assert [item["status"] for item in body["items"]] == [422, 201, 422, 201]
    assert [item["error"]["field"] for item in body["items"] if "error" in item] == ["content", "importance"]
    assert body["items"][3]["memory"]["content"] == "\U0001f600"


@pytest.mark.parametrize("beside", ["", '{"content":"y","importance":NaN},'])
async def test_an_integer_beyond_64_bits_in_one_item_does_not_lose_the_others(
    client: httpx.AsyncClient, beside: str
) -> None:
    large, most = "100000000000000000001", 2**63 - 1
    items = f'{{"content":"x","metadata":{{"n":{large}}}}},{{"content":"good","metadata":{{"n":{most}}}}}'

    response = await client.post(
        "/v1/memories:batch",
        content=f'{{"items":[{beside}{items}]}}',
        headers={"Content-Type": "application/json"},
    )

    refused, good = response.json()["items"][-2:]
    assert (response.status_code, refused["status"], good["status"]) == (200, 422, 201)
    assert refused["error"]["field"] == "metadata.n"
    assert good["memory"]["metadata"] == {"n": most}
    listed = await client.get("/v1/memories", params={"filter": json.dumps({"metadata.n": most})})
    assert [memory["metadata"] for memory in listed.json()["items"]] == [{"n": most}]


async def test_a_patch_to_an_integer_beyond_64_bits_changes_nothing(
    client: httpx.AsyncClient, store: Any
) -> None:
    stored = await store("x", metadata={"n": 1})
    path = f"/v1/memories/{stored['id']}"

    response = await client.patch(path, json={"metadata": {"n": 2**64}})

    assert (response.status_code, response.json()["field"]) == (422, "metadata.n")
    assert (await client.get(path)).json() == stored


async def test_the_later_of_two_items_with_one_external_id_is_refused(client: httpx.AsyncClient) -> None:
    items = [{"content": "a", "external_id": "e"}, {"content": "b"}, {"content": "c", "external_id": "e"}]

    body = (await client.post("/v1/memories:batch", json={"items": items})).json()

    assert [item["status"] for item in body["items"]] == [201, 201, 422]
    assert body["items"][2]["error"]["field"] == "external_id"
    assert "item 0" in body["items"][2]["error"]["reason"]


async def test_known_external_ids_in_a_batch_are_updates(client: httpx.AsyncClient, store: Any) -> None:
    known = await store("old", external_id="e")

    body = (
        await client.post(
            "/v1/memories:batch",
            json={"items": [{"content": "new", "external_id": "e"}, {"content": "other"}]},
        )
    ).json()

    assert [(item["status"], item["changed"]) for item in body["items"]] == [(200, True), (201, True)]
    assert body["items"][0]["memory"]["id"] == known["id"]
    assert (body["created"], body["updated"], body["unchanged"]) == (1, 1, 0)


async def test_an_item_that_says_nothing_new_counts_as_unchanged(
    client: httpx.AsyncClient, store: Any
) -> None:
    await store("old", external_id="e")

    answer = await client.post("/v1/memories:batch", json={"items": [{"content": "old", "external_id": "e"}]})

    body = answer.json()
    assert [(item["status"], item["changed"]) for item in body["items"]] == [(200, False)]
    assert (body["created"], body["updated"], body["unchanged"], body["failed"]) == (0, 0, 1, 0)


async def test_a_thousand_items_are_stored_and_found(client: httpx.AsyncClient) -> None:
    items = [
        {"content": f"note number {number} about gardening", "sequence": number} for number in range(1_000)
    ]

    response = await client.post("/v1/memories:batch", json={"items": items})

    assert response.json()["created"] == 1_000
    assert response.headers["mnemata-indexed"] == "true"
    found = (await client.post("/v1/search", json={"query": "note number 777", "mode": "lexical"})).json()
    assert found["hits"][0]["memory"]["sequence"] == 777


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"items": []}, 422, "items"),
        ({"items": {}}, 422, "items"),
        ({}, 422, "items"),
        ([], 422, "body"),
        ({"items": [{"content": "x"}], "atomic": True}, 422, "atomic"),
        ({"items": [{"content": "x"}] * 1_001}, 413, "items"),
    ],
)
async def test_a_batch_that_is_wrong_as_a_whole_stores_nothing(
    client: httpx.AsyncClient, body: Any, status: int, field: str
) -> None:
    response = await client.post("/v1/memories:batch", json=body)

    assert (response.status_code, response.json()["field"]) == (status, field)
    assert (await client.get("/v1/memories")).json()["items"] == []


async def test_pages_follow_one_another_to_the_end(client: httpx.AsyncClient, store: Any) -> None:
    stored = [(await store(f"m{number}", importance=number / 10))["id"] for number in range(7)]

    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"sort": "importance", "order": "asc", "limit": 3} | (
            {"cursor": cursor} if cursor else {}
        )
        page = (await client.get("/v1/memories", params=parameters)).json()
        schemas.Page.model_validate(page)
        seen += [memory["id"] for memory in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == stored


async def test_both_ways_to_list_answer_alike(client: httpx.AsyncClient, store: Any) -> None:
    await store("a", user_id="ana", tags=["x"])
    await store("b", user_id="bob", tags=["x"])
    condition = {"user_id": "ana"}

    by_url = await client.get("/v1/memories", params={"filter": json.dumps(condition), "with_total": True})
    by_body = await client.post("/v1/memories:query", json={"filter": condition, "with_total": True})

    assert by_url.json() == by_body.json()
    assert ([memory["content"] for memory in by_url.json()["items"]], by_url.json()["total"]) == (["a"], 1)


async def test_short_forms_narrow_together(client: httpx.AsyncClient, store: Any) -> None:
    await store("a", user_id="ana", tags=["x", "y"], kind="episodic", session_id="s", agent_id="g")
    await store("b", user_id="ana", tags=["y"], kind="episodic", session_id="s", agent_id="g")

    page = (
        await client.get(
            "/v1/memories",
            params={"user_id": "ana", "tag": "x", "kind": "episodic", "session_id": "s", "agent_id": "g"},
        )
    ).json()

    assert [memory["content"] for memory in page["items"]] == ["a"]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"sort": "colour"}, "sort"),
        ({"order": "up"}, "order"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"filter": "{"}, "filter"),
        ({"filter": "[1]"}, "filter"),
        ({"filter": '{"nope":1}'}, "filter.nope"),
        ({"filter": '{"tags":{"near":1}}'}, "filter.tags.near"),
        ({"filter": '{"user_id":"\\ud800"}'}, "filter.user_id"),
        ({"user_id": "a\x00b"}, "user_id"),
        ({"page": "2"}, "page"),
    ],
)
async def test_a_wrong_parameter_is_named(
    client: httpx.AsyncClient, parameters: dict[str, str], field: str
) -> None:
    response = await client.get("/v1/memories", params=parameters)

    assert (response.status_code, response.json()["field"]) == (422, field)


async def test_a_plus_that_became_a_space_in_a_url_is_told_how_to_be_written(
    client: httpx.AsyncClient,
) -> None:
    spoiled = await client.get("/v1/memories?as_of=2026-05-01T09:30:00+02:00")
    right = await client.get("/v1/memories?as_of=2026-05-01T09:30:00%2B02:00")

    assert (spoiled.status_code, right.status_code) == (422, 200)
    assert "%2B" in spoiled.json()["remedy"]


@pytest.mark.parametrize("cursor", ["x", "!!!", "eyJ4IjoxfQ", "a" * 5_000, "\ud83d\ude00", "%00"])
async def test_a_damaged_cursor_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    response = await client.post(
        "/v1/memories:query", json={"cursor": cursor.encode("utf-8", "replace").decode()}
    )

    assert (response.status_code, response.json()["code"]) == (422, "invalid_cursor")


async def test_a_cursor_of_another_listing_is_refused(client: httpx.AsyncClient, store: Any) -> None:
    await store("a")
    await store("b")
    cursor = (await client.get("/v1/memories", params={"limit": 1})).json()["next_cursor"]

    other = await client.get("/v1/memories", params={"limit": 1, "cursor": cursor, "user_id": "ana"})
    reordered = await client.get("/v1/memories", params={"limit": 1, "cursor": cursor, "order": "asc"})

    assert [other.json()["code"], reordered.json()["code"]] == ["invalid_cursor", "invalid_cursor"]


async def test_forgetting_by_filter_only_counts_at_first(client: httpx.AsyncClient, store: Any) -> None:
    await store("a", user_id="ana")
    await store("b", user_id="ana")
    await store("c", user_id="bob")
    condition = {"filter": {"user_id": "ana"}}

    counted = (await client.post("/v1/memories:forget", json=condition)).json()
    before = len((await client.get("/v1/memories")).json()["items"])
    done = (await client.post("/v1/memories:forget", json={**condition, "dry_run": False})).json()
    left = [memory["content"] for memory in (await client.get("/v1/memories")).json()["items"]]

    assert counted == {"matched": 2, "forgotten": 0, "dry_run": True}
    assert before == 3
    assert done == {"matched": 2, "forgotten": 2, "dry_run": False}
    assert left == ["c"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}},
        {"filter": {"and": []}},
        {"filter": None, "dry_run": False},
        {"filter": {"tags": {"all": []}}, "dry_run": False},
        {"filter": {"user_id": {"nin": []}}, "dry_run": False},
        {"filter": {"not": {"or": []}}, "dry_run": False},
        {"filter": {"or": [{"user_id": "ana"}, {}]}, "dry_run": False},
    ],
)
async def test_everything_is_not_forgotten_by_an_empty_filter(
    client: httpx.AsyncClient, store: Any, body: Any
) -> None:
    await store("a")

    response = await client.post("/v1/memories:forget", json=body)

    assert (response.status_code, response.json()["field"]) == (422, "filter")
    assert len((await client.get("/v1/memories")).json()["items"]) == 1


async def test_everything_is_forgotten_when_it_is_said(client: httpx.AsyncClient, store: Any) -> None:
    await store("a")

    done = await client.post("/v1/memories:forget", json={"all": True, "dry_run": False})

    assert done.json() == {"matched": 1, "forgotten": 1, "dry_run": False}


async def test_everything_and_a_filter_contradict_each_other(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/memories:forget", json={"all": True, "filter": {"user_id": "ana"}})

    assert (response.status_code, response.json()["field"]) == (422, "all")
