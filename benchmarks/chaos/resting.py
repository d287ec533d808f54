"""Looks at everything that is left when the faults are over: store, index and cache, tenant by tenant."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import httpx

from benchmarks.chaos.checks.timeline import AtRest, Compared, Version
from benchmarks.chaos.clients import Tenant, passing, seen_of
from benchmarks.chaos.history import Call, Kind, Outcome, Recorder, Seen
from benchmarks.chaos.words import COMMON, content_of, fresh_word, word_of

_AT_ONCE = 6
_PAGE = 200
_COMPARED = 12
# Ids are as good as random: so many lie in every partition of an index.
_EVERYWHERE = 200
_TIMEOUT_S = 60.0


async def settle(
    url: str, tenant: Tenant, recorder: Recorder, chance: random.Random, *, within_s: float
) -> bool:
    """Return once the index has come up with everything that was written; False where it has not within the time.

    What had a short time to live must have ended. Then a batch that lies in every partition is stored: when all of it is found,
    so is all that was stored before it.
    """
    until = time.monotonic() + within_s
    async with _asking(url, tenant.key) as http:
        while time.monotonic() < until:
            if await _passing(http, tenant):
                await asyncio.sleep(0.5)
                continue
            group = await _stored(http, tenant, chance, recorder)
            while group and time.monotonic() < until:
                if await _all_found(http, group):
                    return True
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.5)
    return False


async def _passing(http: httpx.AsyncClient, tenant: Tenant) -> bool:
    """Whether anything is still there that was to end within the run."""
    body = {"filter": {"tags": {"any": [passing(tenant.name)]}}, "limit": 1}
    return bool((await _ask(http, "/v1/memories:query", body))["items"])


async def _stored(
    http: httpx.AsyncClient, tenant: Tenant, chance: random.Random, recorder: Recorder
) -> str | None:
    """The group of a batch that lies in every partition of the index; None where it was not acknowledged."""
    words = [fresh_word(chance, tenant.name) for _ in range(_EVERYWHERE)]
    group = f"{tenant.name}-last-{len(tenant.groups)}"
    tenant.groups.add(group)
    items = [{"content": content_of(word, "last"), "tags": [group]} for word in words]
    asked = {"words": words, "group": group}
    number = recorder.invoke(client="last", tenant=tenant.name, kind=Kind.ADD, asked=asked)
    try:
        answer = await http.post("/v1/memories:batch", json={"items": items})
    except httpx.HTTPError:
        return None
    if answer.status_code != 200:
        return None
    memories = [item["memory"] for item in answer.json()["items"]]
    indexed = answer.headers["mnemata-indexed"] == "true"
    seen = [seen_of(memory) for memory in memories]
    recorder.ended(number, Outcome.OK, status=200, seen=seen, indexed=indexed)
    for memory in memories:
        tenant.saw(memory)
    return group


async def _all_found(http: httpx.AsyncClient, group: str) -> bool:
    """Whether searches, with all there is, find the whole group."""
    body = {"query": COMMON, "limit": 1, "mode": "lexical", "filter": {"tags": {"any": [group]}}}
    page = await _ask(http, "/v1/search", body)
    return page["degraded"] == [] and page["total"] == _EVERYWHERE


async def look(
    url: str, tenant: Tenant, calls: Iterable[Call], chance: random.Random, *, operator: str, words: int
) -> AtRest:
    """Everything of one tenant; at most so many `words` are looked for one by one."""
    async with _asking(url, operator) as asking:
        # What has ended is shown no more at once; its history tells of it when the sweeper has been there.
        await _ask(asking, "/v1/admin:sweep")
    async with _asking(url, tenant.key) as http:
        listed = [one async for one in _listed(http)]
        named = {seen.id for call in calls if call.tenant == tenant.name for seen in call.seen}
        # What was shown to the wrong tenant is found by the checks of what was shown.
        histories = await _histories(http, sorted(named | {seen.id for seen in listed}))
        matched, total, degraded = await _matched(http, sorted(tenant.groups))
        known = sorted({word_of(version.content) for versions in histories.values() for version in versions})
        chosen = chance.sample(known, min(words, len(known)))
        found = await _together(chosen, lambda word: _found(http, word))
        compared = await _compared(url, operator, http, chosen[:_COMPARED])
    return AtRest(
        tenant=tenant.name,
        histories=histories,
        listed=tuple(listed),
        matched=tuple(matched),
        total=total,
        found=found,
        degraded=tuple(sorted(degraded)),
        compared=compared,
    )


def _asking(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, headers={"Authorization": f"Bearer {key}"})


async def _ask(
    http: httpx.AsyncClient, path: str, body: Mapping[str, Any] | None = None, *, method: str = "POST"
) -> Any:
    """The answer. On a busy machine a limit may be met now and then: asked again for a minute."""
    until = time.monotonic() + _TIMEOUT_S
    while True:
        answer = await http.request(method, path, json=body)
        if answer.status_code not in {503, 504} or time.monotonic() > until:
            break
        await asyncio.sleep(0.5)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return answer.json()


async def _pages(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = await _ask(http, path, body | ({"cursor": cursor} if cursor else {}))
        yield page
        cursor = page["next_cursor"]
        if cursor is None:
            return


async def _listed(http: httpx.AsyncClient) -> AsyncIterator[Seen]:
    async for page in _pages(http, "/v1/memories:query", {"filter": {}, "limit": _PAGE}):
        for memory in page["items"]:
            yield Seen(**seen_of(memory))


async def _histories(http: httpx.AsyncClient, ids: list[str]) -> dict[str, tuple[Version, ...]]:
    """Of those that there are."""
    found = await _together(ids, lambda memory: _history(http, memory))
    return {memory: versions for memory, versions in found.items() if versions}


async def _history(http: httpx.AsyncClient, memory: str) -> tuple[Version, ...]:
    history = await _ask(http, f"/v1/memories/{memory}/history", method="GET")
    if history is None:
        return ()
    entries = sorted(history["items"], key=lambda entry: entry["memory"]["version"])
    return tuple(
        Version(
            number=entry["memory"]["version"],
            operation=entry["operation"],
            content=entry["memory"]["content"],
            tenant=entry["memory"]["tenant"],
            external_id=entry["memory"]["external_id"],
            deleted=entry["memory"]["deleted_at"] is not None,
        )
        for entry in entries
    )


async def _matched(http: httpx.AsyncClient, groups: list[str]) -> tuple[list[str], int, set[str]]:
    """Every hit for the word that all have, group by group: a search shows a thousand hits at most."""
    matched: list[str] = []
    degraded: set[str] = set()
    total = 0
    for group in groups:
        body = {
            "query": COMMON,
            "mode": "lexical",
            "limit": _PAGE,
            "filter": {"tags": {"any": [group]}},
        }
        counted = 0
        async for page in _pages(http, "/v1/search", body):
            matched += [hit["memory"]["id"] for hit in page["hits"]]
            degraded |= set(page["degraded"])
            counted = page["total"]
        total += counted
    return matched, total, degraded


async def _found(http: httpx.AsyncClient, word: str) -> tuple[str, ...]:
    page = await _ask(http, "/v1/search", {"query": word, "mode": "lexical", "limit": 10})
    return tuple(hit["memory"]["id"] for hit in page["hits"])


async def _compared(
    url: str, operator: str, http: httpx.AsyncClient, words: list[str]
) -> tuple[Compared, ...]:
    """Each question asked until it is answered from the cache, and again with an empty one."""
    questions = [{"query": word, "limit": 20} for word in [*words, COMMON]]
    cached = []
    for question in questions:
        await _ask(http, "/v1/search", question)
        cached.append(_hits(await _ask(http, "/v1/search", question)))
    async with _asking(url, operator) as asking:
        await _ask(asking, "/v1/admin/cache:clear")
    computed = [_hits(await _ask(http, "/v1/search", question)) for question in questions]
    return tuple(
        Compared(asked=question["query"], cached=before, computed=after)
        for question, before, after in zip(questions, cached, computed, strict=True)
    )


def _hits(page: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((hit["memory"]["id"], hit["memory"]["version"]) for hit in page["hits"])


async def _together(keys: list[str], ask: Any) -> dict[str, Any]:
    """What is answered for each key, a few asked at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(key: str) -> tuple[str, Any]:
        async with gate:
            return key, await ask(key)

    return dict(await asyncio.gather(*(one(key) for key in keys)))
