"""How the cache does: hits and savings of this process, memory and evictions of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from mnemata.cache.client import CacheClient, CacheDown
from mnemata.cache.keys import Keys
from mnemata.domain.memory import JsonValue
from mnemata.observability.metrics import Metrics

KINDS = ("answer", "memory", "vector")
_INFO = ("used_memory", "maxmemory", "evicted_keys", "expired_keys", "connected_clients", "uptime_in_seconds")
_MEASURE_EVERY_S = 5.0


class CacheStatistics:
    def __init__(self, client: CacheClient, keys: Keys, *, metrics: Metrics) -> None:
        self._client = client
        self._keys = keys
        self._metrics = metrics

    async def report(self) -> dict[str, JsonValue]:
        """Of this process since its start, by class: hits, misses, ratio, bytes, saved milliseconds; and of the server.

        `server` says `{"answers": false}` where it does not.
        """
        classes: dict[str, JsonValue] = {kind: self._of(kind) for kind in KINDS}
        return {"classes": classes, "server": await self._server()}

    async def run(self) -> None:
        """Until cancelled: have the metrics show the server's memory and evictions."""
        while True:
            await self.measure()
            await asyncio.sleep(_MEASURE_EVERY_S)

    async def measure(self) -> None:
        """One round of `run`."""
        match await self._server():
            case {"used_memory": int(used), "evicted_keys": int(evicted)}:
                self._metrics.cache_server_bytes.set(used)
                self._metrics.cache_server_evictions.set(evicted)
            case _:
                return

    async def clear(self) -> int:
        """Delete every key of this namespace; how many there were. Raises CacheDown."""
        deleted = 0
        async for node, key in self._client.scan(self._keys.prefix + "*"):
            deleted += await self._client.on_node(node, "UNLINK", key)
        return deleted

    def _of(self, kind: str) -> dict[str, JsonValue]:
        results = {
            labels["result"]: value
            for labels, value in _samples(self._metrics.cache_requests.collect())
            if labels["kind"] == kind
        }
        hits, asked = int(results.get("hit", 0)), int(sum(results.values()))
        sizes = {
            labels["way"]: int(value)
            for labels, value in _samples(self._metrics.cache_bytes.collect())
            if labels["kind"] == kind
        }
        saved = [
            value
            for labels, value in _samples(self._metrics.cache_saved_seconds.collect())
            if labels["kind"] == kind
        ]
        return {
            "hits": hits,
            "asked": asked,
            "hit_ratio": round(hits / asked, 4) if asked else 0.0,
            "bytes_read": sizes.get("read", 0),
            "bytes_written": sizes.get("written", 0),
            "saved_ms": round(sum(saved) * 1_000, 3),
        }

    async def _server(self) -> dict[str, JsonValue]:
        try:
            nodes = [_fields(await self._client.on_node(node, "INFO")) for node in await self._client.nodes()]
        except CacheDown as error:
            return {"answers": False, "reason": error.reason}
        figures: dict[str, JsonValue] = {"answers": True, "nodes": len(nodes)}
        for name in _INFO:
            values = [int(node[name]) for node in nodes if name in node]
            figures[name] = min(values, default=0) if name == "uptime_in_seconds" else sum(values)
        figures["maxmemory_policy"] = nodes[0].get("maxmemory_policy", "") if nodes else ""
        figures["version"] = (
            (nodes[0].get("valkey_version") or nodes[0].get("redis_version", "")) if nodes else ""
        )
        return figures


def _samples(families: Iterable[object]) -> list[tuple[dict[str, str], float]]:
    return [
        (sample.labels, sample.value)
        for family in families
        for sample in getattr(family, "samples", ())
        if sample.name.endswith("_total")
    ]


def _fields(info: object) -> dict[str, str]:
    """INFO's lines; the driver may have taken them apart already."""
    if isinstance(info, dict):
        return {str(name): str(value) for name, value in info.items()}
    text = info.decode("utf-8", "replace") if isinstance(info, bytes) else str(info)
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name: value.strip() for name, value in pairs}
