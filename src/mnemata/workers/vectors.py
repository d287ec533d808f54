"""Vectors for the indexer: from the store where they are, from the model where they are not."""

from __future__ import annotations

from collections.abc import Sequence

from mnemata.domain.errors import MnemataError
from mnemata.domain.memory import Memory
from mnemata.domain.vector import Space
from mnemata.embedding.batcher import Batcher
from mnemata.index.protocol import Vector
from mnemata.observability.logging import get_logger
from mnemata.services.model_health import ModelHealth
from mnemata.services.projection import VectorKey, vector_key
from mnemata.store.database import Database

log = get_logger("workers")


class VectorSource:
    """The same text of a tenant is embedded once per space, and kept."""

    def __init__(
        self, database: Database, batcher: Batcher | None, *, space: Space, health: ModelHealth
    ) -> None:
        self._database = database
        self._batcher = batcher
        self._health = health
        self._unkept: dict[VectorKey, Vector] = {}
        self.space = space
        self.wanting = False
        """Whether the model failed since the last backfill: some memories wait for their vectors."""

    async def of(self, memories: Sequence[Memory], *, embed: Sequence[Memory]) -> dict[VectorKey, Vector]:
        """The vectors of `memories` that can be had now; those of `embed` are made where they are missing.

        What was made is in the store after the next `keep`. A model that fails leaves them out and sets `wanting`: the
        memories are indexed by their words, and the backfill brings the vectors later.
        """
        # A neighbour comes several times, and a key is a hash: once for each memory.
        different = {memory.id: memory for memory in memories}
        keys = {memory_id: vector_key(memory) for memory_id, memory in different.items()}
        async with self._database.platform() as transaction:
            found = dict(await transaction.embeddings.get(self.space, list(dict.fromkeys(keys.values()))))
        found.update((key, self._unkept[key]) for key in keys.values() if key in self._unkept)
        missing = {keys[memory.id]: memory for memory in embed if keys[memory.id] not in found}
        if missing and self._batcher is not None:
            found.update(await self._embed(self._batcher, missing))
        return found

    async def keep(self) -> None:
        """Bring into the store what the model has made since the last call. Never raises.

        After the index has it, not before: writers wait for the index, and the vectors can be made again. Where the store
        does not take them, the backfill does so.
        """
        made, self._unkept = self._unkept, {}
        if not made:
            return
        try:
            async with self._database.platform() as transaction:
                await transaction.embeddings.put(self.space, made)
        except MnemataError as error:
            self.wanting = True
            log.warning("vectors_not_kept", vectors=len(made), code=error.code)

    async def _embed(self, batcher: Batcher, missing: dict[VectorKey, Memory]) -> dict[VectorKey, Vector]:
        try:
            rows = await batcher.embed_documents([memory.embedded_text for memory in missing.values()])
        except MnemataError as error:
            self.wanting = True
            self._health.failed(error)
            log.warning("embedding_failed", texts=len(missing), code=error.code)
            return {}
        self._health.worked()
        made = dict(zip(missing, rows, strict=True))
        self._unkept.update(made)
        return made
