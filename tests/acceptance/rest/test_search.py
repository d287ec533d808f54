"""Searching over REST."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from mnemata.api.rest.schemas.search import SearchAnswer


@pytest.fixture
async def kitchen(store: Any) -> dict[str, dict[str, Any]]:
    texts = {
        "tea": "Ana drinks green tea in the morning.",
        "coffee": "Bob drinks black coffee after lunch.",
        "kettle": "The kettle is on the second shelf.",
    }
    return {
        name: await store(
            text, tags=["kitchen", name], metadata={"rank": rank}, session_id="s", sequence=rank
        )
        for rank, (name, text) in enumerate(texts.items())
    }


async def search(client: httpx.AsyncClient, **request: Any) -> dict[str, Any]:
    response = await client.post("/v1/search", json=request)
    assert response.status_code == 200, response.text
    SearchAnswer.model_validate(response.json())
    return response.json()


def contents(answer: dict[str, Any]) -> list[str]:
    return [hit["memory"]["content"] for hit in answer["hits"]]


async def test_the_best_hit_comes_first_with_all_that_an_answer_has(
    client: httpx.AsyncClient, kitchen: dict[str, Any]
) -> None:
    answer = await search(client, query="who drinks green tea?")

    assert answer["hits"][0]["memory"] == kitchen["tea"]
    assert answer["degraded"] == []
    assert answer["search_id"]
    assert {"total", "parse", "embed", "hydrate"} <= set(answer["took_ms"])
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)


async def test_both_ways_to_search_find_the_same(client: httpx.AsyncClient, kitchen: dict[str, Any]) -> None:
    request = {"limit": 2, "mode": "lexical", "explain": True}
    by_body = await search(client, query="drinks", filter={"tags": {"any": ["tea", "coffee"]}}, **request)
    by_url = (
        await client.get(
            "/v1/search",
            params={"q": "drinks", "filter": json.dumps({"tags": {"any": ["tea", "coffee"]}}), **request},
        )
    ).json()

    for answer in (by_body, by_url):
        del answer["search_id"], answer["took_ms"]
    assert by_body == by_url
    assert len(by_body["hits"]) == 2


async def test_a_filter_narrows(client: httpx.AsyncClient, kitchen: dict[str, Any]) -> None:
    answer = await search(client, query="drinks", filter={"metadata.rank": {"gte": 1}}, mode="lexical")

    # The kettle's neighbour in the session speaks of drinks, so that it is found too, but later.
    assert contents(answer) == [kitchen["coffee"]["content"], kitchen["kettle"]["content"]]


async def test_operators_in_the_query_are_understood_and_shown(
    client: httpx.AsyncClient, kitchen: dict[str, Any]
) -> None:
    answer = await search(client, query="drinks tag:tea colour:red")

    assert contents(answer) == [kitchen["tea"]["content"]]
    assert answer["query"]["filters"] == {"tags": "tea"} or "tags" in json.dumps(answer["query"]["filters"])
    assert answer["query"]["unknown"] == ["colour:red"]


async def test_explanations_come_when_asked_for(client: httpx.AsyncClient, kitchen: dict[str, Any]) -> None:
    plain = await search(client, query="green tea")
    explained = await search(client, query="green tea", explain=True)

    assert plain["hits"][0]["explanation"] is None
    assert explained["hits"][0]["explanation"]["ranks"]


async def test_context_attaches_the_neighbouring_turns(
    client: httpx.AsyncClient, kitchen: dict[str, Any]
) -> None:
    answer = await search(client, query="black coffee", mode="lexical", context=1)

    assert [memory["id"] for memory in answer["hits"][0]["context"]] == [
        kitchen["tea"]["id"],
        kitchen["kettle"]["id"],
    ]


async def test_pages_of_a_search_do_not_repeat(client: httpx.AsyncClient, kitchen: dict[str, Any]) -> None:
    first = await search(client, query="drinks kettle", limit=2)
    second = await search(client, query="drinks kettle", limit=2, cursor=first["next_cursor"])

    assert len({*contents(first), *contents(second)}) == 3
    assert second["next_cursor"] is None


async def test_a_cursor_from_another_query_is_refused(
    client: httpx.AsyncClient, kitchen: dict[str, Any]
) -> None:
    cursor = (await search(client, query="drinks kettle", limit=1))["next_cursor"]

    response = await client.post("/v1/search", json={"query": "something else", "cursor": cursor})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_cursor")


async def test_a_cursor_of_a_listing_is_refused(client: httpx.AsyncClient, kitchen: dict[str, Any]) -> None:
    cursor = (await client.get("/v1/memories", params={"limit": 1})).json()["next_cursor"]

    response = await client.post("/v1/search", json={"query": "tea", "cursor": cursor})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_cursor")


async def test_the_past_can_be_searched(client: httpx.AsyncClient, kitchen: dict[str, Any]) -> None:
    moment = kitchen["kettle"]["created_at"]
    await client.patch(f"/v1/memories/{kitchen['tea']['id']}", json={"content": "Ana drinks cocoa now."})

    answer = await search(client, query="green tea", mode="lexical", as_of=moment)

    assert contents(answer) == [kitchen["tea"]["content"]]


async def test_the_same_question_of_two_users_brings_their_own_first(
    client: httpx.AsyncClient, store: Any
) -> None:
    await store("The club meets on Monday.", user_id="ana", tags=["sport"])
    await store("The club meets on Friday.", user_id="bo", tags=["books"])
    await store("The club has a hall.", tags=["books"])
    plain = await search(client, query="when does the club meet?")

    for user in ("ana", "bo"):
        asked = {"limit": 3, "explain": True, "personalize_for": user}
        by_body = await search(client, query="when does the club meet?", **asked)
        url = await client.get("/v1/search", params={"q": "when does the club meet?", **asked})
        assert by_body["hits"][0]["memory"]["user_id"] == user
        assert contents(url.json()) == contents(by_body)
        assert sorted(contents(by_body)) == sorted(contents(plain))
        assert by_body["total"] == plain["total"]
        best = by_body["hits"][0]
        assert set(best["explanation"]["personal"]) == {"own"}
        added = sum(best["explanation"]["personal"].values())
        assert best["score"] == pytest.approx(best["explanation"]["fused"] + added)


async def test_a_cursor_of_one_user_s_search_is_refused_for_another(
    client: httpx.AsyncClient, kitchen: dict[str, Any]
) -> None:
    cursor = (await search(client, query="drinks", limit=1, personalize_for="ana"))["next_cursor"]

    response = await client.post("/v1/search", json={"query": "drinks", "limit": 1, "cursor": cursor})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_cursor")


async def test_a_user_id_that_no_memory_can_have_is_refused_by_its_field(
    client: httpx.AsyncClient, kitchen: dict[str, Any]
) -> None:
    refused = await client.get("/v1/search", params={"q": "tea", "personalize_for": "a" * 257})

    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert refused.json()["field"] == "personalize_for"


async def test_similar_memories_do_not_include_the_memory_itself(
    client: httpx.AsyncClient, kitchen: dict[str, Any]
) -> None:
    response = await client.get(
        f"/v1/memories/{kitchen['tea']['id']}/similar", params={"limit": 1, "filter": '{"tags":"coffee"}'}
    )

    SearchAnswer.model_validate(response.json())
    assert contents(response.json()) == [kitchen["coffee"]["content"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": None}, "query"),
        ({"query": 5}, "query"),
        ({"query": ""}, "query"),
        ({"query": " \t "}, "query"),
        ({"query": "\x00"}, "query"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": 201}, "limit"),
        ({"query": "x", "limit": 1.5}, "limit"),
        ({"query": "x", "mode": "psychic"}, "mode"),
        ({"query": "x", "context": 11}, "context"),
        ({"query": "x", "diversity": 2}, "diversity"),
        ({"query": "x", "explain": "yes"}, "explain"),
        ({"query": "x", "as_of": "2026-05-01"}, "as_of"),
        ({"query": "x", "filter": []}, "filter"),
        ({"query": "x", "filter": {"colour": "red"}}, "filter.colour"),
        ({"query": "x", "filter": {"importance": {"about": 1}}}, "filter.importance.about"),
        ({"query": "x", "facets": ["tags"]}, "facets"),
        ({"query": "x", "highlight": True}, "highlight"),
        ({"query": "x", "personalize_for": ""}, "personalize_for"),
        ({"query": "x", "personalize_for": " \t"}, "personalize_for"),
        ({"query": "x", "personalize_for": "a\x00b"}, "personalize_for"),
        ({"query": "x", "personalize_for": 7}, "personalize_for"),
        ({"query": "x", "personalize_for": ["ana"]}, "personalize_for"),
    ],
)
async def test_a_wrong_field_of_a_search_is_named(client: httpx.AsyncClient, body: Any, field: str) -> None:
    response = await client.post("/v1/search", json=body)

    assert (response.status_code, response.json()["field"]) == (422, field)
    assert response.json()["remedy"]


@pytest.mark.parametrize(
    "query",
    [
        "!!! ... ???",
        "the of and a",
        "\U0001f600 \U0001f375",
        "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u202eright to left\u202c",
        "e\u0301 \u0301\u0301\u0301",
        '"',
        '"unclosed phrase',
        "-",
        "tag:",
        "* * *",
        "AND OR NOT ( )",
        "content:x^5~2 [a TO b] {",
        "' ; DROP TABLE memories; --",
        "\u4eca\u65e5\u306f",
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "lexical", "vector"])
async def test_odd_queries_are_answered_or_refused_with_a_reason(
    client: httpx.AsyncClient, kitchen: dict[str, Any], query: str, mode: str
) -> None:
    response = await client.post("/v1/search", json={"query": query, "mode": mode})

    assert response.status_code in {200, 422}, response.text
    if response.status_code == 422:
        assert response.json()["field"] == "query"
    else:
        SearchAnswer.model_validate(response.json())


async def test_a_query_of_10_000_terms_is_answered_or_refused_in_time(
    client: httpx.AsyncClient, kitchen: dict[str, Any]
) -> None:
    short = await client.post("/v1/search", json={"query": " ".join(f"w{number}" for number in range(5_000))})
    long = await client.post(
        "/v1/search", json={"query": " ".join(f"word{number}" for number in range(10_000))}
    )

    assert short.status_code == 200
    assert (long.status_code, long.json()["code"], long.json()["field"]) == (413, "too_large", "query")


@pytest.mark.parametrize(
    "text",
    [
        "Tea with \U0001f60a\U0001f468\u200d\U0001f469\u200d\U0001f467 and \U0001f1ef\U0001f1f5",
        "\u0645\u0631\u062d\u0628\u0627 \u064a\u0627 \u0622\u0646\u0627",
        "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        "\u202ebidi\u202c and \u2066isolate\u2069",
        "e\u0301 is not \u00e9",
        "line\nbreak\ttab\r\n",
    ],
)
async def test_any_script_comes_back_as_it_was(client: httpx.AsyncClient, store: Any, text: str) -> None:
    stored = await store(text)

    answer = await search(client, query=text.split(maxsplit=1)[0] + " tea", mode="hybrid")

    assert contents(answer) == [text]
    assert (await client.get(f"/v1/memories/{stored['id']}")).json()["content"] == text
