"""Vectors of memories that are being stored: the model begins before the commit, not behind the feed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.errors import MnemataError
from mnemata.domain.memory import Memory
from mnemata.embedding.batcher import Batcher
from mnemata.services.projection import VectorKey, vector_key

Coming = asyncio.Future["NDArray[np.float32] | None"]
"""Gives a (d,) float32 of unit length; None where the model failed: whoever needs the vector asks the model himself."""


class EmbeddingAhead:
    """For one event loop, where writers and the indexer are one process: the indexer takes what writers began.

    While one batch is committed, read from the feed and put into the index, the model works on the next.
    """

    def __init__(self, batcher: Batcher | None, *, texts: int = 4_096) -> None:
        """`batcher` None: nothing is begun. `texts`: so many are kept for the indexer at most."""
        self._batcher = batcher
        self._texts = texts
        self._coming: OrderedDict[VectorKey, Coming] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def begins(self) -> bool:
        """Whether the model can begin with anything here."""
        return self._batcher is not None

    def begin(self, memories: Sequence[Memory]) -> None:
        """Let the model begin with these, where there is room. Never raises."""
        new = {
            key: memory
            for key, memory in ((vector_key(memory), memory) for memory in memories)
            if key not in self._coming
        }
        if self._batcher is None or not new or not self._room_for(len(new)):
            return
        loop = asyncio.get_running_loop()
        coming: dict[VectorKey, Coming] = {key: loop.create_future() for key in new}
        self._coming.update(coming)
        texts = [memory.embedded_text for memory in new.values()]
        task = loop.create_task(_embed(self._batcher, texts, list(coming.values())), name="embed-ahead")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take(self, key: VectorKey) -> Coming | None:
        """The vector that was begun, once; None where none was."""
        return self._coming.pop(key, None)

    def _room_for(self, texts: int) -> bool:
        """Whether so many more may be kept. What nobody took, because its write was undone, makes room."""
        surplus = len(self._coming) + texts - self._texts
        for key in [key for key, coming in self._coming.items() if coming.done()][: max(surplus, 0)]:
            del self._coming[key]
        return len(self._coming) + texts <= self._texts


async def _embed(batcher: Batcher, texts: Sequence[str], coming: Sequence[Coming]) -> None:
    rows: Sequence[NDArray[np.float32] | None] = [None] * len(texts)
    try:
        rows = list(await batcher.embed_documents(texts))
    except MnemataError:
        # The indexer asks the model again, and tells what is wrong with it.
        pass
    finally:
        for one, row in zip(coming, rows, strict=True):
            if not one.done():
                one.set_result(row)
