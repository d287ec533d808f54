"""Health, status, metrics, the document, and what operators ask for."""

from __future__ import annotations

import asyncio
import re
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from mnemata.api.rest.app import create_app
from mnemata.api.rest.contract import contract
from mnemata.api.rest.door import Phase
from mnemata.api.rest.options import HttpOptions
from mnemata.domain.errors import Unavailable
from mnemata.platform import Platform
from mnemata.settings import Settings


async def test_a_platform_that_answers_is_live_and_ready(client: httpx.AsyncClient) -> None:
    live, ready = await client.get("/healthz"), await client.get("/readyz")

    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["reasons"]["store"] == "ok"


async def test_a_platform_without_its_store_is_live_and_not_ready(
    platform: Any, inside: httpx.AsyncClient
) -> None:
    await platform.store.database.close()

    live, ready = await inside.get("/healthz"), await inside.get("/readyz")
    write = await inside.post("/v1/memories", json={"content": "x"})

    assert live.status_code == 200
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert (write.status_code, write.headers.get("retry-after") is not None) == (503, True)


async def test_while_every_connection_is_busy_requests_are_told_to_come_again(settings: Settings) -> None:
    pool = {"pool_min": 2, "pool_max": 2, "acquire_timeout_s": 1}
    small = settings.model_copy(update={"database": settings.database.model_copy(update=pool)})
    opened = await Platform.open(small)
    app = create_app(opened.services, options=HttpOptions(request_timeout_s=240), metrics=opened.metrics)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://mnemata", timeout=240)
    draft = {"content": "x", "external_id": "e"}
    async with AsyncExitStack() as closing, client, AsyncExitStack() as busy:
        closing.push_async_callback(opened.close)
        for _ in range(2):
            await busy.enter_async_context(await _borrowed(opened))
        refused = await client.post("/v1/memories", json=draft), await client.get("/v1/memories")
        await busy.aclose()

        async with asyncio.timeout(240):
            # What waited in the background may come first.
            while (stored := await client.post("/v1/memories", json=draft)).status_code == 503:
                await asyncio.sleep(int(stored.headers["retry-after"]))

    for response in refused:
        assert (response.status_code, response.json()["code"]) == (503, "pool_exhausted")
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) >= 1
    assert stored.status_code == 201


async def _borrowed(opened: Platform) -> AbstractAsyncContextManager[Any]:
    """A transaction that has a connection, whatever else wants one at the moment."""
    async with asyncio.timeout(60):
        while True:
            transaction = AsyncExitStack()
            with suppress(Unavailable):
                await transaction.enter_async_context(opened.store.database.platform())
                return transaction


async def test_while_draining_nothing_new_is_begun(app: FastAPI, inside: httpx.AsyncClient) -> None:
    app.state.door.lifecycle.phase = Phase.DRAINING

    ready, search = await inside.get("/readyz"), await inside.get("/v1/search", params={"q": "x"})

    assert (ready.status_code, ready.json()["reasons"]) == (503, {"process": "shutting down"})
    assert (search.status_code, search.json()["code"]) == (503, "shutting_down")
    assert search.headers["connection"] == "close"
    assert search.headers["retry-after"]


async def test_a_process_that_is_leaving_says_so_and_serves_on_without_keeping_connections(
    app: FastAPI, inside: httpx.AsyncClient
) -> None:
    app.state.door.lifecycle.phase = Phase.LEAVING

    ready = await inside.get("/readyz")
    stored = await inside.post("/v1/memories", json={"content": "x"})

    assert (ready.status_code, ready.json()["reasons"]) == (503, {"process": "shutting down"})
    assert (stored.status_code, stored.headers["connection"]) == (201, "close")


async def test_the_status_counts_the_tenants_memories_and_names_the_space(
    client: httpx.AsyncClient, store: Any
) -> None:
    await store("x")

    status = (await client.get("/v1/status")).json()

    assert status["memories"] == 1
    assert status["embedding"]["space"]
    assert status["index"]["documents"] >= 1


async def test_metrics_count_requests_by_template_and_never_by_id(inside: httpx.AsyncClient) -> None:
    stored = (await inside.post("/v1/memories", json={"content": "x"})).json()
    await inside.get(f"/v1/memories/{stored['id']}")
    await inside.get("/nowhere/4711")

    text = (await inside.get("/metrics")).text

    assert (
        'mnemata_http_requests_total{method="GET",route="/v1/memories/{memory_id}",status="200"} 1.0' in text
    )
    assert 'route="unmatched",status="404"' in text
    assert stored["id"] not in text
    assert "4711" not in text
    assert re.search(r"mnemata_http_requests_in_flight 1\.0", text)


async def test_metrics_tell_of_stages_queue_lag_pool_and_cache(inside: httpx.AsyncClient) -> None:
    await inside.post("/v1/memories", json={"content": "The spare key is under the flowerpot."})
    await inside.post("/v1/search", json={"query": "spare key"})

    def value(text: str, sample: str) -> float:
        (line,) = [line for line in text.splitlines() if line.startswith(f"{sample} ")]
        return float(line.rpartition(" ")[2])

    text = (await inside.get("/metrics")).text

    for stage in ("parse", "embed", "search", "lexical", "vector", "fuse", "hydrate", "total"):
        assert value(text, f'mnemata_search_stage_seconds_count{{stage="{stage}"}}') == 1.0, stage
    assert value(text, 'mnemata_http_request_seconds_count{method="POST",route="/v1/search"}') == 1.0
    assert value(text, "mnemata_embedding_queue_texts") == 0.0
    assert value(text, "mnemata_index_lag_changes") == 0.0
    assert value(text, "mnemata_index_changes_total") >= 1.0
    assert value(text, "mnemata_pool_waiting") == 0.0
    connections = re.findall(r'^mnemata_pool_connections\{state="\w+"\} (\S+)$', text, re.MULTILINE)
    assert sum(map(float, connections)) >= 1.0
    looked_up = re.findall(r'^mnemata_cache_requests_total\{kind="answer",.*\} (\S+)$', text, re.MULTILINE)
    assert sum(map(float, looked_up)) == 1.0


async def test_an_odd_method_makes_no_new_label(inside: httpx.AsyncClient) -> None:
    await inside.request("BREW", "/v1/memories")

    assert 'method="other"' in (await inside.get("/metrics")).text


async def test_the_served_document_is_the_committed_contract(client: httpx.AsyncClient) -> None:
    import orjson

    assert (await client.get("/openapi.json")).json() == orjson.loads(contract())


async def test_the_reference_is_one_page_that_may_load_nothing(client: httpx.AsyncClient) -> None:
    response = await client.get("/docs")

    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "Store a memory" in response.text


async def test_every_answer_has_safe_headers(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/docs", "/nowhere", "/v1/memories"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-request-id"]


async def test_an_operator_rebuilds_the_index(inside: httpx.AsyncClient) -> None:
    await inside.post("/v1/memories", json={"content": "The spare key is under the flowerpot."})

    rebuilt = await inside.post("/v1/admin:rebuild")

    assert (rebuilt.status_code, rebuilt.json()["documents"]) == (200, 1)
    assert (await inside.get("/v1/search", params={"q": "spare key"})).json()["hits"]


async def test_an_operator_has_swept_what_is_due(inside: httpx.AsyncClient) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    stored = await inside.post("/v1/memories", json={"content": "x", "expires_at": soon})
    while datetime.now(UTC).isoformat() <= soon:
        await asyncio.sleep(0.05)

    swept = await inside.post("/v1/admin:sweep")
    history = await inside.get(f"/v1/memories/{stored.json()['id']}/history")

    assert (swept.status_code, set(swept.json())) == (200, {"expired", "purged"})
    # It may have been the sweeper itself that came first.
    assert [entry["operation"] for entry in history.json()["items"]] == ["expired", "created"]


@pytest.mark.parametrize("body", [{"path": ""}, {"path": "a\x00b"}, {"path": 5}, {"where": "x"}])
async def test_a_wrong_backup_request_is_named(client: httpx.AsyncClient, body: Any) -> None:
    response = await client.post("/v1/admin:backup", json=body)

    assert (response.status_code, response.json()["field"]) == (422, next(iter(body)))


async def test_an_operator_makes_a_backup(inside: httpx.AsyncClient, backup_path: Path) -> None:
    await inside.post("/v1/memories", json={"content": "x"})

    made = await inside.post("/v1/admin:backup", json={"path": str(backup_path)})

    assert made.status_code == 200, made.text
    assert (made.json()["path"], made.json()["memories"]) == (str(backup_path), 1)


async def test_job_that_is_not_there_is_neither_shown_cancelled_nor_begun_again(
    client: httpx.AsyncClient,
) -> None:
    path = f"/v1/jobs/{UUID(int=7)}"
    answers = [await client.get(path), await client.delete(path), await client.post(f"{path}:retry")]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "job_not_found")] * 3
