"""Search clusters of one node for the tests of this folder, started when a test first asks for them."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from deploy.servers.search_node import SearchNode, SearchNodeOptions, free_ports

from mnemata.domain.clock import SystemClock
from mnemata.domain.ids import TenantId
from mnemata.domain.vector import Space
from mnemata.index.cluster.engine import ClusterIndex
from mnemata.index.cluster.options import Access, ClusterKind, ClusterOptions

START_S = 180.0


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[Callable[[str], str]]:
    """Where a cluster of the kind is: one that runs already (MNEMATA_TEST_ELASTICSEARCH names it), or a node of its own."""
    with ExitStack() as stack:
        urls: dict[str, str] = {}

        def url(kind: str) -> str:
            if kind not in urls:
                urls[kind] = os.environ.get(f"MNEMATA_TEST_{kind.upper()}") or started(kind, stack)
            return urls[kind]

        yield url


def started(kind: str, stack: ExitStack) -> str:
    folder = Path(tempfile.mkdtemp(prefix=f"mnemata-{kind}-"))
    folder.chmod(0o755)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    http, transport = free_ports(2)
    node = SearchNode(SearchNodeOptions(engine=kind, folder=folder, http_port=http, transport_port=transport))
    try:
        node.start()
    except (OSError, RuntimeError) as error:
        pytest.skip(f"{kind} cannot be started here: {error}")
    stack.callback(node.stop)
    node.wait(START_S)
    return node.url


@pytest.fixture
async def cluster_index(cluster_url) -> AsyncIterator[Callable[..., ClusterIndex]]:
    """Makes engines that are not open; one name gives the same index again.

    Afterwards they are closed and their indices deleted.
    """
    used: set[tuple[str, str]] = set()
    made: list[ClusterIndex] = []

    def make(
        kind: str,
        name: str,
        *,
        epoch: str = "e",
        space: Space,
        own: tuple[TenantId, ...] = (),
        clock=None,
        **options,
    ) -> ClusterIndex:
        url = cluster_url(kind)
        used.add((url, name))
        chosen = ClusterOptions(
            name=name,
            shards=1,
            replicas=0,
            own_tenants=own,
            access=Access(urls=(url,), search_timeout_s=60.0, write_timeout_s=120.0),
            **options,
        )
        engine = ClusterIndex(
            ClusterKind(kind), epoch=epoch, space=space, options=chosen, clock=clock or SystemClock()
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        await engine.close()
    await asyncio.to_thread(delete_indices, used)


def delete_indices(used: Iterable[tuple[str, str]]) -> None:
    for url, name in used:
        found = httpx.get(f"{url}/{name}-*?filter_path=*.aliases", timeout=60).json()
        if found:
            httpx.delete(f"{url}/{','.join(found)}", timeout=60).raise_for_status()
