"""Storing, reading, changing, forgetting and restoring over REST."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import httpx
import pytest

from mnemata.api.rest.schemas import memory as schemas

MISSING = "0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d"


async def test_a_stored_memory_is_answered_whole_with_where_it_is_and_its_version(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(
        "/v1/memories",
        json={"content": "Ana likes tea.", "user_id": "ana", "tags": ["drink"], "metadata": {"sure": 0.9}},
    )

    body = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/memories/{body['id']}"
    assert response.headers["etag"] == '"1"'
    assert response.headers["mnemata-indexed"] == "true"
    assert body["content_hash"] == hashlib.sha256(b"Ana likes tea.").hexdigest()
    assert (body["tags"], body["metadata"], body["version"]) == (["drink"], {"sure": 0.9}, 1)
    schemas.Memory.model_validate(body)


async def test_a_stored_memory_is_found_by_the_next_search(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("The spare key is under the flowerpot.")

    found = (await client.post("/v1/search", json={"query": "where is the spare key"})).json()

    assert [hit["memory"] for hit in found["hits"]] == [stored]


async def test_what_was_stored_is_read_back_the_same(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("x", occurred_at="2026-05-01T09:30:00.123456+02:00", importance=1, sequence=0)

    response = await client.get(f"/v1/memories/{stored['id']}")

    assert response.json() == stored
    assert stored["occurred_at"] == "2026-05-01T07:30:00.123456Z"
    assert response.headers["etag"] == '"1"'


async def test_a_known_external_id_is_an_update(client: httpx.AsyncClient, store: Any) -> None:
    first = await store("old", external_id="e-1")

    response = await client.post("/v1/memories", json={"content": "new", "external_id": "e-1"})

    assert response.status_code == 200
    assert "location" not in response.headers
    assert (response.json()["id"], response.json()["version"], response.json()["content"]) == (
        first["id"],
        2,
        "new",
    )


async def test_a_reader_who_has_the_version_gets_304(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("x")

    response = await client.get(f"/v1/memories/{stored['id']}", headers={"If-None-Match": '"1"'})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"1"'


@pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json"])
async def test_a_patch_changes_what_it_names_and_keeps_the_rest(
    client: httpx.AsyncClient, store: Any, media_type: str
) -> None:
    stored = await store("x", source="chat", metadata={"a": 1, "deep": {"b": 2, "c": 3}}, tags=["t"])

    response = await client.patch(
        f"/v1/memories/{stored['id']}",
        content=b'{"metadata":{"a":null,"deep":{"b":5}},"source":null,"importance":0.9}',
        headers={"Content-Type": media_type},
    )

    body = response.json()
    assert (response.status_code, response.headers["etag"]) == (200, '"2"')
    assert (body["metadata"], body["source"], body["importance"], body["tags"]) == (
        {"deep": {"b": 5, "c": 3}},
        None,
        0.9,
        ["t"],
    )


async def test_a_patch_that_changes_nothing_makes_no_version(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("x", source="chat")

    response = await client.patch(f"/v1/memories/{stored['id']}", json={"source": "chat"})

    assert response.json() == stored


@pytest.mark.parametrize(("old", "new"), [("1", "true"), ("0", "false"), ("true", "1"), ("1", "1.0")])
@pytest.mark.parametrize("method", ["PATCH", "UPSERT", "BATCH", "RESTORE"])
async def test_a_value_of_another_type_is_a_change(
    client: httpx.AsyncClient, store: Any, method: str, old: str, new: str
) -> None:
    stored = await store("x", external_id="e", metadata={"done": json.loads(old)})
    path = f"/v1/memories/{stored['id']}"
    if method == "RESTORE":
        await client.patch(path, json={"metadata": {"done": json.loads(new)}})
        old, new = new, old
    draft = f'{{"content":"x","external_id":"e","metadata":{{"done":{new}}}}}'
    changed_path, body = {
        "PATCH": (path, f'{{"metadata":{{"done":{new}}}}}'),
        "UPSERT": ("/v1/memories", draft),
        "BATCH": ("/v1/memories:batch", f'{{"items":[{draft}]}}'),
        "RESTORE": (f"{path}:restore", '{"version":1}'),
    }[method]

    response = await client.request(
        "PATCH" if method == "PATCH" else "POST",
        changed_path,
        content=body,
        headers={"Content-Type": "application/json"},
    )

    read = await client.get(path)
    assert response.status_code == 200
    assert f'"done":{new}}}' in response.text
    assert f'"done":{new}}}' in read.text
    assert read.json()["version"] == (3 if method == "RESTORE" else 2)


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "RESTORE"])
async def test_a_stale_if_match_changes_nothing(client: httpx.AsyncClient, store: Any, method: str) -> None:
    stored = await store("x")
    path = f"/v1/memories/{stored['id']}"
    await client.patch(path, json={"content": "y"})
    stale = {"If-Match": '"1"'}

    response = {
        "PATCH": lambda: client.patch(path, json={"content": "z"}, headers=stale),
        "DELETE": lambda: client.delete(path, headers=stale),
        "RESTORE": lambda: client.post(f"{path}:restore", json={"version": 1}, headers=stale),
    }[method]()

    answered = await response
    assert (answered.status_code, answered.json()["code"], answered.json()["actual"]) == (
        412,
        "version_mismatch",
        2,
    )
    assert (await client.get(path)).json()["content"] == "y"


@pytest.mark.parametrize("header", ['"1"', "*"])
async def test_a_fitting_if_match_lets_the_change_through(
    client: httpx.AsyncClient, store: Any, header: str
) -> None:
    stored = await store("x")

    response = await client.patch(
        f"/v1/memories/{stored['id']}", json={"content": "y"}, headers={"If-Match": header}
    )

    assert response.status_code == 200


async def test_a_forgotten_memory_is_gone_and_can_be_restored(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("The garage code is 4711.")
    path = f"/v1/memories/{stored['id']}"

    forgotten = await client.delete(path)
    gone = await client.get(path)
    again = await client.delete(path)
    unseen = (await client.post("/v1/search", json={"query": "garage code"})).json()
    restored = await client.post(f"{path}:restore")

    assert (forgotten.status_code, forgotten.content) == (204, b"")
    assert (gone.status_code, again.status_code, unseen["hits"]) == (404, 404, [])
    assert (restored.status_code, restored.json()["content"]) == (200, stored["content"])
    found = (await client.post("/v1/search", json={"query": "garage code"})).json()
    assert [hit["memory"]["id"] for hit in found["hits"]] == [stored["id"]]


async def test_history_has_every_version_newest_first(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("one")
    path = f"/v1/memories/{stored['id']}"
    await client.patch(path, json={"content": "two"})
    await client.delete(path)

    history = (await client.get(f"{path}/history")).json()

    assert [(one["operation"], one["memory"]["version"]) for one in history["items"]] == [
        ("forgotten", 3),
        ("updated", 2),
        ("created", 1),
    ]
    schemas.History.model_validate(history)


async def test_an_old_version_can_be_brought_back(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("one")
    path = f"/v1/memories/{stored['id']}"
    await client.patch(path, json={"content": "two"})

    restored = await client.post(f"{path}:restore", json={"version": 1})

    assert (restored.json()["content"], restored.json()["version"]) == ("one", 3)


async def test_a_version_that_never_was_is_not_found(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("one")

    response = await client.post(f"/v1/memories/{stored['id']}:restore", json={"version": 9})

    assert (response.status_code, response.json()["code"]) == (404, "version_not_found")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("GET", "/history", None),
        ("GET", "/similar", None),
        ("PATCH", "", {"content": "y"}),
        ("DELETE", "", None),
        ("POST", ":restore", {}),
    ],
)
async def test_a_memory_that_is_not_there_is_404_on_every_verb(
    client: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    response = await client.request(method, f"/v1/memories/{MISSING}{path}", json=body)

    assert (response.status_code, response.json()["code"]) == (404, "memory_not_found")


async def test_an_id_that_is_none_is_refused_by_name(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/memories/first")

    assert (response.status_code, response.json()["field"]) == (422, "memory_id")


async def test_the_past_can_be_read(client: httpx.AsyncClient, store: Any) -> None:
    stored = await store("one")
    path = f"/v1/memories/{stored['id']}"
    changed = (await client.patch(path, json={"content": "two"})).json()

    before = await client.get(path, params={"as_of": stored["updated_at"]})
    after = await client.get(path, params={"as_of": changed["updated_at"]})

    assert (before.json()["content"], after.json()["content"]) == ("one", "two")


async def test_who_does_not_want_to_wait_is_told_so(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/memories?wait_for=none", json={"content": "x"})

    assert response.status_code == 201
    assert response.headers["mnemata-indexed"] in {"true", "false"}


async def test_a_vector_of_another_space_is_refused(client: httpx.AsyncClient) -> None:
    values = base64.b64encode(bytes(range(1, 17))).decode()

    response = await client.post(
        "/v1/memories", json={"content": "x", "embedding": {"space": "another", "values": values}}
    )

    assert (response.status_code, response.json()["code"]) == (422, "space_mismatch")


async def test_a_vector_of_the_space_in_use_is_taken(client: httpx.AsyncClient) -> None:
    embedding = (await client.get("/v1/status")).json()["embedding"]
    values = [1.0] + [0.0] * (embedding["dimensions"] - 1)

    response = await client.post(
        "/v1/memories", json={"content": "x", "embedding": {"space": embedding["space"], "values": values}}
    )

    assert response.status_code == 201
