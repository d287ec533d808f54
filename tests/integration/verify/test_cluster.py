"""A search cluster whose documents were touched by other hands, found and mended by workers."""

import asyncio
import itertools

import httpx
import pytest

from mnemata import settings as settings_module
from mnemata.platform import Platform

pytestmark = pytest.mark.slow
_NUMBERS = itertools.count()


@pytest.fixture(params=["elasticsearch", "opensearch"])
def fleet(request, tmp_path, database_url, cluster_url, patience):
    url, index = cluster_url(request.param), f"verify_{next(_NUMBERS)}"
    return settings_module.load(
        environment={},
        data_dir=tmp_path / "data",
        database={"url": database_url, **patience["database"]},
        cache={"url": "off"},
        search={"kind": request.param, "url": url, "index": index, "shards": 1},
        worker={"lease_s": 3, "port": 0},
        embedding={"model": "hashing"},
        index=patience["index"],
    )


@pytest.fixture
async def platform(fleet):
    opened = await Platform.open(fleet)
    await asyncio.wait_for(opened.index_ready.wait(), 60)
    yield opened
    await opened.close()


async def test_documents_that_other_hands_touched_are_named_and_mended_by_a_job(
    platform, fleet, store, verified, named, scope
):
    memories = await store(platform, *(f"walrus number {n}" for n in range(6)))
    assert (await verified(platform))["faults"] == 0
    cluster, name = fleet.search.url, platform.index.name
    lost, bare, strange = memories[0], memories[1], memories[2]

    def path(memory, tenant=None):
        return f"{cluster}/{name}/_doc/{tenant or memory.tenant}%2F{memory.id}?routing={tenant or memory.tenant}&refresh=true"

    async with httpx.AsyncClient(timeout=60) as hands:
        (await hands.delete(path(lost))).raise_for_status()
        (await hands.put(path(bare), json={"tenant": bare.tenant, "id": str(bare.id)})).raise_for_status()
        extra = {"tenant": "strangers", "id": str(strange.id), "version": 1}
        (await hands.put(path(strange, "strangers"), json=extra)).raise_for_status()

    report = await verified(platform, store=False)
    expected = [
        ("index.missing", str(lost.id), None),
        ("index.stale", str(bare.id), "version"),
        ("index.extra", str(strange.id), None),
    ]
    assert sorted(named(report)) == sorted((*one, False) for one in expected)
    mended = await verified(platform, store=False, repair=True)
    assert sorted(named(mended)) == sorted((*one, True) for one in expected)
    assert (await verified(platform))["faults"] == 0

    before = platform.index.name
    built = await platform.services.operations.rebuild(scope, arguments={"switch": False})
    assert (built["documents"], built["overlap"], built["switched"]) == (6, 1.0, False)
    await platform.services.operations.switch(scope, {"generation": built["generation"]})
    await store(platform, "written to the new one")
    await platform.services.operations.switch(scope, {"generation": before})
    states = {
        one["name"]: one["state"] for one in (await platform.services.index.status(scope))["generations"]
    }
    assert states == {before: "live", built["generation"]: "old"}
    assert (await verified(platform))["faults"] == 0
    kinds = {job.kind.value for job in await platform.services.jobs.list(scope, limit=20)}
    assert kinds == {"verify", "rebuild", "switch"}
