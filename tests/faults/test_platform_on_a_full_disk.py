"""A whole platform, over REST, on a disk that has no room left."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from mnemata import settings as settings_module
from mnemata.api.rest.app import create_app
from mnemata.api.rest.options import HttpOptions
from mnemata.platform import Platform

MIB = 1024 * 1024
SOON_S = 120


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=320m,mode=755", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted: that needs root and the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
async def client(small_disk: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = settings_module.load(
        environment={},
        data_dir=small_disk / "data",
        embedding={"model": "hashing"},
        index={"wait_timeout_s": 60, "fold_interval_s": 0.2},
    )
    platform = await Platform.open(settings)
    app = create_app(platform.services, options=HttpOptions(request_timeout_s=240), metrics=platform.metrics)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://mnemata", timeout=240) as opened:
        yield opened
    await platform.close()


async def write(client: httpx.AsyncClient, content: str) -> httpx.Response:
    return await client.post("/v1/memories", json={"content": content})


async def until(client: httpx.AsyncClient, content: str, status: int) -> httpx.Response:
    """The first answer of that status to a write."""
    async with asyncio.timeout(SOON_S):
        while (answer := await write(client, content)).status_code != status:
            await asyncio.sleep(0.1)
    return answer


async def found(client: httpx.AsyncClient, word: str) -> list[str]:
    answer = (await client.post("/v1/search", json={"query": word, "mode": "lexical"})).json()
    assert answer["degraded"] == []
    return [hit["memory"]["content"] for hit in answer["hits"]]


async def test_writes_are_refused_reads_go_on_and_all_comes_back_by_itself(
    client: httpx.AsyncClient, small_disk: Path
) -> None:
    before = (await until(client, "the walrus before the flood", 201)).json()
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small_disk).free - 24 * MIB)

    refused = await until(client, "nowhere to go", 503)
    read = await client.get(f"/v1/memories/{before['id']}")
    ready = await client.get("/readyz")
    seen = await found(client, "walrus")
    filler.unlink()
    await until(client, "the walrus after the flood", 201)

    assert (refused.json()["code"], refused.headers["retry-after"]) == ("storage_full", "30")
    assert "Free some space" in refused.json()["detail"]
    assert (read.status_code, read.json()["content"]) == (200, before["content"])
    assert (ready.status_code, ready.json()["reasons"]["store"]) == (200, "ok")
    assert before["content"] in seen
    assert sorted(await found(client, "flood")) == [
        "the walrus after the flood",
        "the walrus before the flood",
    ]
