"""A search node with room for next to nothing: it refuses writes, and all of them are there in the end."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from deploy.servers.ports import free_ports
from deploy.servers.search_node import SearchNode, SearchNodeOptions
from tests.contract.test_search_index import SPACE, Maker, at

from mnemata.domain.change import START
from mnemata.domain.clock import SystemClock
from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.filter import EVERYTHING
from mnemata.index.cluster.engine import ClusterIndex
from mnemata.index.cluster.options import Access, ClusterKind, ClusterOptions
from mnemata.index.protocol import Upsert

pytestmark = pytest.mark.slow


@pytest.fixture(params=["elasticsearch", "opensearch"])
def narrow(request) -> Iterator[SearchNode]:
    """A node that does one write at a time and lets one wait."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-narrow-"))
    folder.chmod(0o755)
    http, transport = free_ports(2)
    options = SearchNodeOptions(
        engine=request.param,
        folder=folder,
        http_port=http,
        transport_port=transport,
        short_lived=True,
        settings={"thread_pool.write.size": "1", "thread_pool.write.queue_size": "1"},
    )
    node = SearchNode(options)
    try:
        node.launch()
    except (OSError, RuntimeError) as error:
        pytest.skip(f"{request.param} cannot be started here: {error}")
    try:
        node.wait()
        yield node
    finally:
        node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def rejections(node: SearchNode) -> int:
    told = httpx.get(f"{node.url}/_nodes/stats/thread_pool", timeout=60).json()
    return sum(one["thread_pool"]["write"]["rejected"] for one in told["nodes"].values())


async def write(index: ClusterIndex, batch: list[Upsert], partition: int) -> None:
    """As a worker does: a batch whose position found no room is written again."""
    async with asyncio.timeout(280):
        while True:
            try:
                position = at(partition + 1)
                return await index.apply(batch, position=position, partition=partition, ticket=1)
            except IndexUnavailable:
                await asyncio.sleep(0.1)


async def test_writes_that_a_full_queue_refuses_are_there_in_the_end(narrow):
    access = Access(urls=(narrow.url,), connections=32, search_timeout_s=60.0, write_timeout_s=120.0)
    options: dict[str, Any] = {"shards": 1, "replicas": 0, "batch_documents": 10, "patience_s": 60.0}
    index = ClusterIndex(
        ClusterKind(narrow.options.engine),
        epoch="e",
        space=SPACE,
        options=ClusterOptions(access=access, **options),
        clock=SystemClock(),
    )
    await index.open()
    make = Maker().upsert
    batches = [[make("a word " * 2_000) for _ in range(20)] for _ in range(8)]
    await asyncio.gather(*(write(index, batch, n) for n, batch in enumerate(batches)))

    assert rejections(narrow) > 0
    tenant = batches[0][0].memory.tenant
    written = {one.memory.id for batch in batches for one in batch}
    assert await index.matching(tenant, EVERYTHING, leg="lexical") == written
    assert (await index.statistics()).positions == tuple(
        at(n + 1) if n < len(batches) else START for n in range(index.partitions)
    )
    await index.close()
