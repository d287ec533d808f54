"""Chroma, embedded and on disk. It has no ranking by words: what is timed is its vector search alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.corpus import Corpus
from benchmarks.speed.peers.contestant import HITS, Ask

_AT_ONCE = 5_000


class Chroma:
    def __init__(self) -> None:
        import chromadb

        self.name = f"Chroma {chromadb.__version__}"
        self.about = "vectors only: it has no ranking by words; `where` on the user; HNSW m 24, ef 120 and 96"

    async def prepare(self, corpus: Corpus, folder: Path) -> None:
        import chromadb
        from chromadb.config import Settings

        client = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
        graph = {"space": "cosine", "max_neighbors": 24, "ef_construction": 120, "ef_search": 96}
        self._turns = client.create_collection(
            "turns", configuration={"hnsw": graph}, embedding_function=None
        )
        for start in range(0, len(corpus.vectors), _AT_ONCE):
            stop = min(start + _AT_ONCE, len(corpus.vectors))
            turns = corpus.turns[start:stop]
            self._turns.add(
                ids=[str(turn.number) for turn in turns],
                embeddings=corpus.vectors[start:stop],
                metadatas=[{"user": turn.user} for turn in turns],
                documents=[turn.text for turn in turns],
            )

    async def introduce(self, asks: Sequence[Ask]) -> None:
        """Nothing: the questions come with their vectors."""

    async def ask(self, ask: Ask) -> Any:
        where = None if ask.user is None else {"user": ask.user}
        return self._turns.query(query_embeddings=[ask.vector], n_results=HITS, where=where, include=[])

    def numbers(self, answer: Any) -> Sequence[int]:
        return [int(number) for number in answer["ids"][0]]

    async def nearest(self, ask: Ask) -> Sequence[int]:
        return self.numbers(await self.ask(ask))

    async def close(self) -> None:
        del self._turns
