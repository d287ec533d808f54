"""Credentials, roles, and the wall between tenants, tried from outside."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mnemata.api.rest.schemas import access as schemas

SECRET = "The merger with Initech closes in March."


async def tenant_of(client: httpx.AsyncClient) -> str:
    return (await client.get("/v1/status")).json()["tenant"]


def key_of(client: httpx.AsyncClient) -> str:
    return client.headers["authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer mk_0123456789abcdef_" + "x" * 43},
        {"X-API-Key": ""},
        {"X-API-Key": "mk_0123456789abcdef_" + "x" * 43},
    ],
)
async def test_without_a_known_key_nothing_is_answered(
    anonymous: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await anonymous.get("/v1/memories", headers=headers)

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
async def test_what_is_open_needs_no_key(anonymous: httpx.AsyncClient, path: str) -> None:
    assert (await anonymous.get(path)).status_code == 200


async def test_a_key_may_come_in_either_header(enter: Any) -> None:
    client = await enter("acme", "reader")
    key = key_of(client)

    del client.headers["authorization"]
    by_header = await client.get("/v1/memories", headers={"X-API-Key": key})
    both = await client.get("/v1/memories", headers={"X-API-Key": key, "Authorization": f"Bearer {key}"})
    differing = await client.get(
        "/v1/memories", headers={"X-API-Key": key, "Authorization": "Bearer mk_other"}
    )

    assert [by_header.status_code, both.status_code, differing.status_code] == [200, 200, 401]


async def test_a_changed_secret_of_a_known_key_is_refused(enter: Any) -> None:
    client = await enter("acme", "reader")
    key = key_of(client)
    forged = key[:-1] + ("A" if key[-1] != "A" else "B")

    assert (
        await client.get("/v1/memories", headers={"Authorization": f"Bearer {forged}"})
    ).status_code == 401


@pytest.mark.parametrize(
    ("role", "call", "needed"),
    [
        ("reader", ("POST", "/v1/memories", {"content": "x"}), "writer"),
        ("reader", ("POST", "/v1/memories:batch", {"items": [{"content": "x"}]}), "writer"),
        ("reader", ("POST", "/v1/memories:forget", {"filter": {"user_id": "x"}}), "writer"),
        (
            "reader",
            ("PATCH", "/v1/memories/0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d", {"content": "x"}),
            "writer",
        ),
        ("reader", ("DELETE", "/v1/memories/0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d", None), "writer"),
        ("reader", ("POST", "/v1/memories/0197a3f2-5c1e-7b8a-9d42-6f0e8c1a2b3d:restore", None), "writer"),
        ("writer", ("GET", "/v1/keys", None), "admin"),
        ("writer", ("POST", "/v1/keys", {"role": "reader", "label": "x"}), "admin"),
        ("writer", ("DELETE", "/v1/keys/0123456789abcdef", None), "admin"),
        ("admin", ("POST", "/v1/keys", {"role": "operator", "label": "x"}), "operator"),
        ("admin", ("POST", "/v1/keys", {"role": "reader", "label": "x", "tenant": "globex"}), "operator"),
        ("admin", ("GET", "/v1/tenants", None), "operator"),
        ("admin", ("GET", "/metrics", None), "operator"),
        ("admin", ("POST", "/v1/admin:rebuild", None), "operator"),
        ("admin", ("POST", "/v1/admin:backup", None), "operator"),
        ("admin", ("POST", "/v1/admin:sweep", None), "operator"),
        ("admin", ("POST", "/v1/admin:verify", None), "operator"),
        ("admin", ("GET", "/v1/admin/index", None), "operator"),
        ("admin", ("POST", "/v1/admin/index:create", None), "operator"),
        ("admin", ("POST", "/v1/admin/index:rebuild", None), "operator"),
        ("admin", ("POST", "/v1/admin/index:switch", {"generation": "g000001"}), "operator"),
        ("admin", ("POST", "/v1/admin/index:drop", {"generation": "g000001"}), "operator"),
        ("admin", ("GET", "/v1/admin/set-aside", None), "operator"),
        ("admin", ("POST", "/v1/admin/set-aside:retry", None), "operator"),
        ("admin", ("POST", "/v1/admin/cache:warm", None), "operator"),
    ],
)
async def test_a_role_that_is_too_low_is_told_which_one_it_takes(
    enter: Any, role: str, call: tuple[str, str, Any], needed: str
) -> None:
    client = await enter("acme", role)
    method, path, body = call

    response = await client.request(method, path, json=body)

    assert (response.status_code, response.json()["code"], response.json()["needed"]) == (
        403,
        "forbidden",
        needed,
    )


async def test_an_admin_makes_lists_and_revokes_keys_of_the_own_tenant(enter: Any) -> None:
    admin, stranger = await enter("acme", "admin"), await enter("globex", "admin")

    made = await admin.post("/v1/keys", json={"role": "writer", "label": "chat backend"})
    body = made.json()
    schemas.NewApiKey.model_validate(body)
    fresh = {"Authorization": f"Bearer {body['secret']}"}
    works = await admin.get("/v1/memories", headers=fresh)
    listed = await admin.get("/v1/keys")
    seen_by_stranger = await stranger.get("/v1/keys")
    revoked_by_stranger = await stranger.delete(f"/v1/keys/{body['key']['id']}")
    revoked = await admin.delete(f"/v1/keys/{body['key']['id']}")
    refused = await admin.get("/v1/memories", headers=fresh)

    assert (made.status_code, made.headers["cache-control"], works.status_code) == (201, "no-store", 200)
    assert body["key"]["id"] in {key["id"] for key in listed.json()["items"]}
    assert body["secret"] not in listed.text
    assert body["key"]["id"] not in seen_by_stranger.text
    assert {key["tenant"] for key in seen_by_stranger.json()["items"]} == {await tenant_of(stranger)}
    assert (revoked_by_stranger.status_code, revoked.status_code, refused.status_code) == (404, 204, 401)


async def test_an_operator_makes_tenants_by_their_first_key_and_sees_them(enter: Any) -> None:
    operator = await enter("default", "operator")
    new = f"{await tenant_of(operator)}-new"

    before = await operator.get("/v1/tenants")
    made = await operator.post("/v1/keys", json={"role": "admin", "label": "first", "tenant": new})
    tenants = await operator.get("/v1/tenants")

    assert made.json()["key"]["tenant"] == new
    assert new not in {tenant["id"] for tenant in before.json()["items"]}
    assert new in {tenant["id"] for tenant in tenants.json()["items"]}
    schemas.Tenants.model_validate(tenants.json())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "king", "label": "x"}, "role"),
        ({"label": "x"}, "role"),
        ({"role": "reader"}, "label"),
        ({"role": "reader", "label": ""}, "label"),
        ({"role": "reader", "label": "a\x00b"}, "label"),
        ({"role": "reader", "label": "x" * 200}, "label"),
        ({"role": "reader", "label": "x", "tenant": "no such name!"}, "tenant"),
        ({"role": "reader", "label": "x", "tenant": ""}, "tenant"),
    ],
)
async def test_a_wrong_field_of_a_key_is_named(client: httpx.AsyncClient, body: Any, field: str) -> None:
    response = await client.post("/v1/keys", json=body)

    assert (response.status_code, response.json()["field"]) == (422, field)


async def test_another_tenants_memory_is_404_on_every_verb_and_stays_as_it_was(enter: Any) -> None:
    owner, stranger = await enter("acme", "writer"), await enter("globex", "operator")
    stored = (await owner.post("/v1/memories", json={"content": SECRET, "external_id": "e"})).json()
    path = f"/v1/memories/{stored['id']}"

    answers = [
        await stranger.get(path),
        await stranger.get(path, headers={"If-None-Match": '"1"'}),
        await stranger.get(f"{path}/history"),
        await stranger.get(f"{path}/similar"),
        await stranger.patch(path, json={"content": "mine now"}),
        await stranger.patch(path, json={"content": "mine now"}, headers={"If-Match": '"7"'}),
        await stranger.delete(path),
        await stranger.post(f"{path}:restore", json={"version": 1}),
    ]

    missing = path[:-1] + ("0" if path[-1] != "0" else "1")
    nothing = await stranger.get(missing)
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (404, "memory_not_found")
        assert {**answer.json(), "memory_id": "", "detail": ""} == {
            **nothing.json(),
            "memory_id": "",
            "detail": "",
        }
    assert (await owner.get(path)).json() == stored


async def test_another_tenants_memory_cannot_supersede(enter: Any) -> None:
    owner, stranger = await enter("acme", "writer"), await enter("globex", "writer")
    stored = (await owner.post("/v1/memories", json={"content": SECRET})).json()
    never = stored["id"][:-1] + ("0" if stored["id"][-1] != "0" else "1")

    theirs = await stranger.post("/v1/memories", json={"content": "x", "superseded_by": stored["id"]})
    nobodys = await stranger.post("/v1/memories", json={"content": "x", "superseded_by": never})

    assert theirs.status_code == nobodys.status_code
    assert theirs.json().get("code") == nobodys.json().get("code")


async def test_listings_counts_and_searches_see_the_own_tenant_only(enter: Any) -> None:
    owner, stranger = await enter("acme", "writer"), await enter("globex", "writer")
    await owner.post("/v1/memories", json={"content": SECRET, "user_id": "ana", "tags": ["secret"]})
    await stranger.post("/v1/memories", json={"content": "Lunch is at noon.", "user_id": "ana"})

    listed = await stranger.get("/v1/memories", params={"with_total": True})
    counted = await stranger.post("/v1/memories:forget", json={"filter": {"tags": "secret"}})
    searches = [
        await stranger.post("/v1/search", json={"query": SECRET, "mode": mode})
        for mode in ("hybrid", "lexical", "vector")
    ]
    filtered = await stranger.post("/v1/search", json={"query": "merger", "filter": {"tags": "secret"}})
    status = await stranger.get("/v1/status")

    assert (listed.json()["total"], [memory["content"] for memory in listed.json()["items"]]) == (
        1,
        ["Lunch is at noon."],
    )
    assert counted.json()["matched"] == 0
    for answer in (*searches, filtered):
        assert SECRET not in [hit["memory"]["content"] for hit in answer.json()["hits"]]
        assert answer.json()["total"] <= 1
    assert filtered.json()["hits"] == []
    assert status.json()["memories"] == 1
    assert "memories_of_all_tenants" not in status.text


async def test_scores_do_not_change_with_another_tenants_memories(enter: Any, until_folded: Any) -> None:
    owner, stranger = await enter("acme", "writer"), await enter("globex", "writer")
    for text in ("The merger closes in March.", "Lunch is at noon.", "The merger was called off."):
        await owner.post("/v1/memories", json={"content": text})

    def shape(answer: httpx.Response) -> Any:
        body = answer.json()
        contents = [hit["memory"]["content"] for hit in body["hits"]]
        return contents, body["total"], [hit["score"] for hit in body["hits"]]

    await until_folded()
    requests = [{"query": "merger in march", "mode": mode} for mode in ("hybrid", "lexical", "vector")]
    before = [shape(await owner.post("/v1/search", json=request)) for request in requests]
    items = [{"content": f"The merger, again and again: merger {number} in March."} for number in range(200)]
    await stranger.post("/v1/memories:batch", json={"items": items})
    after = [shape(await owner.post("/v1/search", json=request)) for request in requests]

    assert [answer[:2] for answer in after] == [answer[:2] for answer in before]
    for now, then in zip(after, before, strict=True):
        assert now[2] == pytest.approx(then[2], abs=0.001)


async def test_one_external_id_may_be_used_by_two_tenants(enter: Any) -> None:
    owner, stranger = await enter("acme", "writer"), await enter("globex", "writer")
    first = await owner.post("/v1/memories", json={"content": SECRET, "external_id": "e"})
    second = await stranger.post("/v1/memories", json={"content": "x", "external_id": "e"})

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_a_cursor_of_another_tenant_is_refused(enter: Any) -> None:
    owner, stranger = await enter("acme", "writer"), await enter("globex", "writer")
    for text in ("one", "two", "three"):
        await owner.post("/v1/memories", json={"content": text})
    listing = (await owner.get("/v1/memories", params={"limit": 1})).json()["next_cursor"]
    search = (await owner.post("/v1/search", json={"query": "one two three", "limit": 1})).json()[
        "next_cursor"
    ]

    listed = await stranger.get("/v1/memories", params={"limit": 1, "cursor": listing})
    searched = await stranger.post(
        "/v1/search", json={"query": "one two three", "limit": 1, "cursor": search}
    )

    assert [listed.json()["code"], searched.json()["code"]] == ["invalid_cursor", "invalid_cursor"]


@pytest.mark.parametrize("host", ["rebound.example.com", "rebound.example.com:8080", "127.0.0.1.example.com"])
async def test_without_keys_a_page_under_a_foreign_name_is_refused(
    inside: httpx.AsyncClient, host: str
) -> None:
    response = await inside.get("/v1/memories", headers={"Host": host})

    assert (response.status_code, response.json()["code"]) == (403, "foreign_page")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "[::1]:8080", "LOCALHOST", "app.localhost:8080", "192.168.1.5", "box"]
)
async def test_without_keys_this_machines_names_are_answered(inside: httpx.AsyncClient, host: str) -> None:
    assert (await inside.get("/healthz", headers={"Host": host})).status_code == 200


async def test_without_keys_a_page_of_another_site_may_not_write(inside: httpx.AsyncClient) -> None:
    cross, own = {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-origin"}

    refused = await inside.post("/v1/admin:rebuild", headers=cross)
    linked = await inside.get("/docs", headers=cross)
    accepted = await inside.post("/v1/memories", json={"content": "x"}, headers=own)

    assert (refused.json()["code"], linked.status_code, accepted.status_code) == ("foreign_page", 200, 201)


async def test_with_keys_the_name_does_not_matter(client: httpx.AsyncClient) -> None:
    response = await client.get(
        "/v1/memories", headers={"Host": "memories.example.com", "Sec-Fetch-Site": "cross-site"}
    )

    assert response.status_code == 200
