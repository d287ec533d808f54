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
        self.space = space
        self.wanting = False
        """Whether the model failed since the last backfill: some memories wait for their vectors."""

    async def of(self, memories: Sequence[Memory], *, embed: Sequence[Memory]) -> dict[VectorKey, Vector]:
        """The vectors of `memories` that can be had now; those of `embed` are made where they are missing.

        A model that fails leaves them out and sets `wanting`: the memories are indexed by their words, and the
        backfill brings the vectors later.
        """
        keys = list(dict.fromkeys(vector_key(memory) for memory in memories))
        async with self._database.platform() as transaction:
            found = dict(await transaction.embeddings.get(self.space, keys))
        missing = {vector_key(memory): memory for memory in embed if vector_key(memory) not in found}
        if missing and self._batcher is not None:
            found.update(await self._embed(self._batcher, missing))
        return found

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
        async with self._database.platform() as transaction:
            await transaction.embeddings.put(self.space, made)
        return made
