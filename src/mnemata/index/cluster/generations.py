"""The generations of an index in a cluster: what there is, going on with one of them, and doing away with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mnemata.domain.errors import GenerationNotFound, GenerationRefused
from mnemata.domain.memory import JsonValue
from mnemata.index.cluster.catalogue import Catalogue, meta_of
from mnemata.index.cluster.connection import Connection
from mnemata.index.cluster.generation import Generation, Identity, live_aliases
from mnemata.index.cluster.positions import Positions
from mnemata.index.protocol import GenerationState, GenerationStatus

_MADE_FOR = ("epoch", "space", "dimensions", "metric", "format", "partitions", "analysis", "own")


class Generations:
    def __init__(self, connection: Connection, catalogue: Catalogue, *, alias: str) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._alias = alias

    async def all(self, identity: Identity) -> Sequence[GenerationStatus]:
        """By name. `identity`: what an index must be built for to fit."""
        return await self._every(self._alias, await self._catalogue.every(), identity)

    async def relatives(self, identity: Identity) -> Mapping[str, Sequence[GenerationStatus]]:
        """As SearchIndex.relatives."""
        families = await self._catalogue.relatives()
        return {alias: await self._every(alias, every, identity) for alias, every in sorted(families.items())}

    async def _every(
        self, alias: str, every: Mapping[str, Any], identity: Identity
    ) -> Sequence[GenerationStatus]:
        return [
            await self._status(Generation.read(alias, name, meta_of(described)), described, identity)
            for name, described in sorted(every.items())
            if _is_first(name, described)
        ]

    async def beside(self, name: str, identity: Identity) -> Generation:
        """As SearchIndex.beside: ready to be written."""
        described = await self._found(name)
        meta = meta_of(described)
        if live_aliases(described):
            raise GenerationRefused(name=name, reason="it is the live one", remedy="Name another one")
        if not meta.items() >= identity.meta().items():
            raise GenerationRefused(
                name=name,
                reason="it was built for another epoch, space, metric or format",
                remedy="Drop it, and build a new one",
            )
        generation = Generation.read(self._alias, name, meta)
        # Without its alias it was replaced by a process that ended before it could say so.
        replaced = meta.get("retired_at") or generation.written_by(name) not in described["aliases"]
        return await self._catalogue.take_up(generation) if replaced else generation

    async def note(self, name: str, notes: Mapping[str, JsonValue]) -> None:
        """As SearchIndex.note."""
        described = await self._found(name)
        every = {**meta_of(described).get("notes", {}), **notes}
        kept = {one: value for one, value in every.items() if value is not None}
        await self._catalogue.describe(name, {"notes": kept})

    async def discard(self, name: str) -> None:
        """As SearchIndex.discard."""
        described = await self._found(name)
        if live_aliases(described):
            raise GenerationRefused(
                name=name, reason="it is the live one", remedy="Switch to another one before"
            )
        await self._catalogue.drop(Generation.read(self._alias, name, meta_of(described)))

    async def _found(self, name: str) -> Mapping[str, Any]:
        described = (await self._catalogue.every()).get(name)
        if described is None or not _is_first(name, described):
            raise GenerationNotFound(name=name)
        return described

    async def _status(
        self, generation: Generation, described: Mapping[str, Any], identity: Identity
    ) -> GenerationStatus:
        meta = meta_of(described)
        statistics = await self._connection.send(
            "GET", f"/{','.join(generation.indices)}/_stats/docs,store?filter_path=_all"
        )
        primaries = statistics.body["_all"]["primaries"]
        positions = (await Positions.read(self._connection, generation)).all
        return GenerationStatus(
            name=generation.name,
            state=_state(described),
            fits=meta.items() >= identity.meta().items(),
            documents=await self._documents(generation),
            bytes_on_disk=primaries["store"]["size_in_bytes"],
            positions=positions,
            created_at=_moment(meta.get("created_at")),
            retired_at=_moment(meta.get("retired_at")),
            made_for={name: meta[name] for name in _MADE_FOR if name in meta},
            notes=meta.get("notes", {}),
        )

    async def _documents(self, generation: Generation) -> int:
        memories = {"query": {"exists": {"field": "tenant"}}}
        reply = await self._connection.send("POST", f"/{','.join(generation.indices)}/_count", memories)
        return int(reply.body["count"])


def _state(described: Mapping[str, Any]) -> GenerationState:
    if live_aliases(described):
        return GenerationState.LIVE
    return GenerationState.OLD if meta_of(described).get("retired_at") else GenerationState.BESIDE


def _is_first(name: str, described: Mapping[str, Any]) -> bool:
    """Whether it is the index by which its generation is named, and not one of a tenant of its own."""
    return "-own-" not in name and "partitions" in meta_of(described)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
