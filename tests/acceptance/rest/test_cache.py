"""The cache through the door: its figures for operators, its emptying, and requests counted by key."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from mnemata.api.rest.app import create_app
from mnemata.api.rest.options import HttpOptions
from mnemata.platform import Platform


@pytest.fixture
async def up(platform):
    async with asyncio.timeout(60):
        while platform.metrics.cache_up._value.get() != 1:
            await asyncio.sleep(0.01)
    return platform


async def test_search_asked_again_is_quicker_and_the_same(up, inside):
    await inside.post("/v1/memories", json={"content": "green tea", "metadata": {"n": 1, "x": 1.5}})
    first = (await inside.post("/v1/search", json={"query": "tea"})).json()
    async with asyncio.timeout(60):
        while (
            "cache"
            not in (again := (await inside.post("/v1/search", json={"query": "tea"})).json())["took_ms"]
        ):
            await up.cache.answers.settled()

    assert first["search_id"] != again["search_id"]
    for answer in (first, again):
        del answer["took_ms"], answer["search_id"]
    assert again == first


async def test_operator_reads_the_figures_of_the_cache_and_empties_it(up, inside):
    async with asyncio.timeout(60):
        while "cache" not in (await inside.post("/v1/search", json={"query": "tea"})).json()["took_ms"]:
            await up.cache.answers.settled()

    report = (await inside.get("/v1/admin/cache")).json()
    cleared = (await inside.post("/v1/admin/cache:clear")).json()
    after = (await inside.post("/v1/search", json={"query": "tea"})).json()

    assert report["used"]
    assert report["classes"]["answer"]["hits"] == 1
    assert 0 < report["classes"]["answer"]["hit_ratio"] <= 0.5
    assert report["server"]["answers"]
    assert report["server"]["used_memory"] > 0
    assert cleared["deleted"] >= 1
    assert "cache" not in after["took_ms"]


async def test_operator_has_popular_queries_answered_ahead(up, inside):
    await inside.post("/v1/memories", json={"content": "green tea"})
    await inside.post("/v1/search", json={"query": "tea"})
    async with asyncio.timeout(60):
        while not (warmed := (await inside.post("/v1/admin/cache:warm")).json())["tenants"]:
            await asyncio.sleep(0.05)
    again = (await inside.post("/v1/search", json={"query": "tea"})).json()

    assert warmed["tenants"] == 1
    assert "cache" in again["took_ms"]


async def test_only_an_operator_asks_for_the_cache(enter):
    admin = await enter("acme", "admin")

    assert (await admin.get("/v1/admin/cache")).status_code == 403
    assert (await admin.post("/v1/admin/cache:clear")).status_code == 403


async def test_platform_without_a_cache_says_so(settings):
    platform = await Platform.open(
        settings.model_copy(update={"cache": settings.cache.model_copy(update={"url": _Off()})})
    )
    try:
        async with called(
            create_app(platform.services, options=HttpOptions(), metrics=platform.metrics)
        ) as one:
            assert (await one.get("/v1/admin/cache")).json() == {"used": False}
            assert (await one.post("/v1/admin/cache:clear")).json() == {"deleted": 0}
    finally:
        await platform.close()


class _Off:
    def get_secret_value(self):
        return "off"


def called(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://mnemata")


@pytest.fixture(params=["shared", "by each process"])
async def limited(request, settings):
    """A client of a platform where each key may send five requests a minute."""
    url = None if request.param == "shared" else _Off()
    changed = {
        "http": settings.http.model_copy(update={"rate_limit_per_minute": 5}),
        "cache": settings.cache.model_copy(update={"url": url}),
    }
    platform = await Platform.open(settings.model_copy(update=changed))
    if platform.cache is not None:
        async with asyncio.timeout(60):
            while platform.metrics.cache_up._value.get() != 1:
                await asyncio.sleep(0.01)
    async with called(create_app(platform.services, options=HttpOptions(), metrics=platform.metrics)) as one:
        yield one
    await platform.close()


async def test_key_that_asks_too_often_is_told_when_to_ask_again(limited):
    answers = [await limited.get("/v1/memories") for _ in range(7)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == [
        "4",
        "3",
        "2",
        "1",
        "0",
        "0",
        "0",
    ]
    assert answers[0].headers["ratelimit-limit"] == "5"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["code"] == "rate_limited"
    assert (await limited.get("/healthz")).status_code == 200


async def test_without_a_limit_nothing_is_counted(inside):
    assert "ratelimit-limit" not in (await inside.get("/v1/memories")).headers
