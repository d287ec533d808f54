"""Vectors for the indexer: from the store where they are, from the model where they are not."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from mnemata.domain.errors import MnemataError
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory
from mnemata.domain.vector import Space
from mnemata.embedding.batcher import Batcher
from mnemata.index.protocol import Vector
from mnemata.observability.logging import get_logger
from mnemata.services.embedding_ahead import Coming, EmbeddingAhead
from mnemata.services.just_written import JustWritten
from mnemata.services.model_health import ModelHealth
from mnemata.services.projection import VectorKey, vector_key
from mnemata.store.database import Database

log = get_logger("workers")


class VectorSource:
    """The same text of a tenant is embedded once per space, and kept."""

    def __init__(
        self,
        database: Database,
        batcher: Batcher | None,
        *,
        space: Space,
        health: ModelHealth,
        written: JustWritten,
        ahead: EmbeddingAhead,
    ) -> None:
        self._written = written
        self._ahead = ahead
        self._database = database
        self._batcher = batcher
        self._health = health
        self._unkept: dict[VectorKey, Vector] = {}
        self._leaving: dict[VectorKey, Vector] = {}
        self.space = space
        self.wanting = False
        """Whether the model failed since the last backfill: some memories wait for their vectors."""
        self.embedding_s = 0.0
        """Seconds that the model was waited for so far."""

    async def of(self, memories: Iterable[Memory], *, embed: Sequence[Memory]) -> dict[MemoryId, Vector]:
        """The vectors of `memories` that can be had now; those of `embed` are made where they are missing.

        What was made is in the store after the next `keep`. A model that fails leaves them out and sets `wanting`: the
        memories are indexed by their words, and the backfill brings the vectors later.
        """
        found: dict[MemoryId, Vector] = {}
        # A neighbour comes several times, and a key is a hash: once for each memory.
        keys: dict[MemoryId, VectorKey] = {}
        for memory in {memory.id: memory for memory in memories}.values():
            written = self._written.vector(memory, self.space)
            if written is None:
                keys[memory.id] = vector_key(memory)
            else:
                found[memory.id] = written
        stored = await self._stored(keys, embed=[memory for memory in embed if memory.id in keys])
        found.update((memory_id, stored[key]) for memory_id, key in keys.items() if key in stored)
        return found

    async def keep(self) -> None:
        """Bring into the store what the model has made since the last call. Never raises.

        After the index has it, not before: writers wait for the index, and the vectors can be made again. Where the store
        does not take them, the backfill does so.
        """
        made, self._unkept = self._unkept, {}
        if not made:
            return
        # Until the store has them they are still answered from here: who asks meanwhile must not find them nowhere.
        self._leaving |= made
        try:
            async with self._database.platform() as transaction:
                await transaction.embeddings.put(self.space, made)
        except MnemataError as error:
            self.wanting = True
            log.warning("vectors_not_kept", vectors=len(made), code=error.code)
        finally:
            for key in made:
                self._leaving.pop(key, None)

    async def _stored(
        self, keys: Mapping[MemoryId, VectorKey], *, embed: Sequence[Memory]
    ) -> dict[VectorKey, Vector]:
        """Those vectors that are in the store or on the way there, and those of `embed`, made where they are missing."""
        wanted = dict.fromkeys(keys.values())
        on_the_way = self._leaving | self._unkept
        found = {key: on_the_way[key] for key in wanted if key in on_the_way}
        begun = self._begun([key for key in wanted if key not in found])
        unknown = [key for key in wanted if key not in found and key not in begun]
        if unknown:
            async with self._database.platform(single=True) as transaction:
                found.update(await transaction.embeddings.get(self.space, unknown))
        found.update(await self._made(begun))
        missing = {keys[memory.id]: memory for memory in embed if keys[memory.id] not in found}
        if missing and self._batcher is not None:
            found.update(await self._embed(self._batcher, missing))
        return found

    def _begun(self, keys: Sequence[VectorKey]) -> dict[VectorKey, Coming]:
        """What the model works on, or has made, since before the commit."""
        taken = ((key, self._ahead.take(key)) for key in keys)
        return {key: coming for key, coming in taken if coming is not None}

    async def _made(self, begun: Mapping[VectorKey, Coming]) -> dict[VectorKey, Vector]:
        """The vectors once they are there, to be kept; without those at which the model failed."""
        started = time.perf_counter()
        made: dict[VectorKey, Vector] = {}
        for key, coming in begun.items():
            vector = await coming
            if vector is not None:
                made[key] = vector
        self.embedding_s += time.perf_counter() - started
        if made:
            self._health.worked()
        self._unkept.update(made)
        return made

    async def _embed(self, batcher: Batcher, missing: dict[VectorKey, Memory]) -> dict[VectorKey, Vector]:
        started = time.perf_counter()
        try:
            rows = await batcher.embed_documents([memory.embedded_text for memory in missing.values()])
        except MnemataError as error:
            self.wanting = True
            self._health.failed(error)
            log.warning("embedding_failed", texts=len(missing), code=error.code)
            return {}
        finally:
            self.embedding_s += time.perf_counter() - started
        self._health.worked()
        made = dict(zip(missing, rows, strict=True))
        self._unkept.update(made)
        return made
