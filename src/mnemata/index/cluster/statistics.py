"""The figures of an index in a cluster: of one tenant, or of all."""

from __future__ import annotations

from typing import Any

import orjson

from mnemata.domain.change import Position
from mnemata.domain.ids import TenantId
from mnemata.index.cluster.connection import Connection, search_failed
from mnemata.index.cluster.generation import Generation, Identity
from mnemata.index.protocol import IndexStatistics


async def statistics_of(
    connection: Connection,
    generation: Generation,
    tenant: TenantId | None,
    *,
    identity: Identity,
    positions: tuple[Position, ...],
) -> IndexStatistics:
    """What the indices of a generation hold. Sizes are of whole indices, also where one tenant is asked for."""
    documents, vectors = await _counts(connection, generation, tenant)
    indices = generation.indices if tenant is None else (generation.index_of(tenant),)
    reply = await connection.send("GET", f"/{','.join(indices)}/_stats/docs,store,segments")
    primaries = reply.body["_all"]["primaries"]
    shards = reply.body["_shards"]
    return IndexStatistics(
        documents=documents,
        vectors=vectors,
        deleted=primaries["docs"]["deleted"],
        segments=primaries["segments"]["count"],
        bytes_on_disk=reply.body["_all"]["total"]["store"]["size_in_bytes"],
        position=min(positions),
        durable_position=min(positions),
        epoch=identity.epoch,
        space=identity.space,
        positions=positions,
        details={
            "index": generation.name,
            "analysis": generation.analysis,
            "shards": shards["total"],
            "shards_answering": shards["successful"],
        },
    )


async def _counts(connection: Connection, generation: Generation, tenant: TenantId | None) -> tuple[int, int]:
    """How many memories there are, and how many of them have a vector."""
    # The documents that hold positions have no tenant.
    chosen: dict[str, Any] = (
        {"exists": {"field": "tenant"}} if tenant is None else {"term": {"tenant": tenant}}
    )
    head: dict[str, Any] = {"index": ",".join(generation.indices)}
    if tenant is not None:
        head["routing"] = tenant
    lines: list[bytes] = []
    for needed in ([chosen], [chosen, {"term": {"embedded": True}}]):
        body = {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": needed}}}
        lines += [orjson.dumps(head), orjson.dumps(body)]
    reply = await connection.send_lines("/_msearch", lines, searching=True)
    counted: list[int] = []
    for answer in reply.body["responses"]:
        if "error" in answer:
            raise search_failed(answer)
        counted.append(answer["hits"]["total"]["value"])
    return counted[0], counted[1]
