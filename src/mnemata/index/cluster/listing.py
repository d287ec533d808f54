"""What an index in a cluster holds, to be compared with the store: sums of marks by ranges of ids, and pages of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from mnemata.domain.ids import MemoryId, TenantId
from mnemata.index.cluster.connection import Connection, search_failed, unavailable
from mnemata.index.cluster.document import MARK_HIGH, MARK_LOW, document_id
from mnemata.index.cluster.generation import Generation
from mnemata.index.marks import Digest, Held, MemoryKey, Span, joined

_COLUMNS = ("id", "tenant", "version", MARK_LOW, MARK_HIGH)
# What is no memory has no tenant: the documents that hold positions.
_MEMORIES = {"exists": {"field": "tenant"}}


class ClusterListing:
    """As Listing. Every question is asked of the cluster anew."""

    def __init__(self, connection: Connection, generation: Callable[[], Generation]) -> None:
        self._connection = connection
        self._generation = generation

    async def digests(self, spans: Sequence[Span]) -> Sequence[Digest]:
        named = {str(place): _within(span) for place, span in enumerate(spans)}
        sums = {half: {"sum": {"field": half}} for half in (MARK_LOW, MARK_HIGH)}
        body = {
            "size": 0,
            "query": {"bool": {"filter": [_MEMORIES]}},
            "aggs": {"spans": {"filters": {"filters": named}, "aggs": sums}},
        }
        buckets = (await self._ask(body))["aggregations"]["spans"]["buckets"]
        return [_digest(buckets[place]) for place in named]

    async def held(self, span: Span, *, limit: int) -> Sequence[Held]:
        # Two documents of one id are of two tenants: the tenant puts them in order.
        body = {"query": _within(span), "sort": ["id", "tenant"], "size": limit}
        return [_held(hit) for hit in await self._found(body)]

    async def now(self, keys: Sequence[MemoryKey]) -> Sequence[Held]:
        """Those of the memories that are there."""
        if not keys:
            return ()
        names = [document_id(tenant, memory_id) for tenant, memory_id in keys]
        return [
            _held(hit) for hit in await self._found({"query": {"ids": {"values": names}}, "size": len(names)})
        ]

    async def _found(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        columns = {"_source": False, "stored_fields": "_none_", "docvalue_fields": list(_COLUMNS)}
        return (await self._ask({**body, **columns}))["hits"]["hits"]

    async def _ask(self, body: dict[str, Any]) -> Any:
        indices = ",".join(self._generation().indices)
        reply = await self._connection.send("POST", f"/{indices}/_search", body)
        answer = reply.body
        if "error" in answer:
            raise search_failed(answer)
        if (
            answer["timed_out"]
            or answer["_shards"]["failed"]
            or answer["_shards"]["successful"] < answer["_shards"]["total"]
        ):
            # A part of the answer would look like memories that are missing.
            raise unavailable("not every shard answers")
        return answer


def _within(span: Span) -> dict[str, Any]:
    bounds: dict[str, str] = {}
    if span.after is not None:
        bounds["gt"] = str(span.after)
    if span.upto is not None:
        bounds["lte"] = str(span.upto)
    return {"range": {"id": bounds}} if bounds else _MEMORIES


def _digest(bucket: dict[str, Any]) -> Digest:
    return Digest(
        count=bucket["doc_count"],
        low=round(bucket[MARK_LOW]["value"]),
        high=round(bucket[MARK_HIGH]["value"]),
    )


def _held(hit: dict[str, Any]) -> Held:
    fields = hit["fields"]
    low, high = fields.get(MARK_LOW, [0])[0], fields.get(MARK_HIGH, [0])[0]
    return Held(
        tenant=TenantId(fields["tenant"][0]),
        memory_id=MemoryId(UUID(fields["id"][0])),
        version=round(fields.get("version", [0])[0]),
        mark=joined(int(low), int(high)),
    )
