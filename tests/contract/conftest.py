"""Indices in search clusters of one node, for the tests of this folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable

import httpx
import pytest

from mnemata.domain.clock import SystemClock
from mnemata.domain.ids import TenantId
from mnemata.domain.vector import Space
from mnemata.index.cluster.engine import ClusterIndex
from mnemata.index.cluster.options import Access, ClusterKind, ClusterOptions


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
            # A cluster of several nodes is given more to divide.
            shards=int(os.environ.get("MNEMATA_TEST_SHARDS", "1")),
            replicas=int(os.environ.get("MNEMATA_TEST_REPLICAS", "0")),
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
