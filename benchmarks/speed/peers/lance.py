"""LanceDB: its hybrid query, reciprocal rank fusion, one table on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.corpus import Corpus
from benchmarks.speed.peers.contestant import HITS, Ask


class Lance:
    def __init__(self) -> None:
        import lancedb

        self.name = f"LanceDB {lancedb.__version__} hybrid"
        self.about = f"IVF_HNSW_SQ, FTS, scalar index on the user, prefilter, RRF; {HITS} candidates a leg"

    async def prepare(self, corpus: Corpus, folder: Path) -> None:
        import lancedb
        import pyarrow as pa
        from lancedb.rerankers import RRFReranker

        stored = corpus.turns[: len(corpus.vectors)]
        rows = pa.table(
            {
                "number": pa.array([turn.number for turn in stored], pa.int64()),
                "text": [turn.text for turn in stored],
                "user": [turn.user for turn in stored],
                "vector": pa.FixedSizeListArray.from_arrays(
                    pa.array(corpus.vectors.reshape(-1)), corpus.vectors.shape[1]
                ),
            }
        )
        self._table = lancedb.connect(str(folder)).create_table("turns", rows)
        self._table.create_index(metric="cosine", index_type="IVF_HNSW_SQ", vector_column_name="vector")
        self._table.create_fts_index("text")
        self._table.create_scalar_index("user", index_type="BTREE")
        self._table.optimize()
        self._reranker = RRFReranker()

    async def introduce(self, asks: Sequence[Ask]) -> None:
        """Nothing: the questions come with their vectors."""

    async def ask(self, ask: Ask) -> Any:
        query = self._table.search(query_type="hybrid", vector_column_name="vector", fts_columns="text")
        query = query.vector(ask.vector).text(ask.text).distance_type("cosine")
        if ask.user is not None:
            query = query.where(f"user = '{ask.user}'", prefilter=True)
        return query.limit(HITS).rerank(self._reranker).select(["number"]).to_arrow()

    def numbers(self, answer: Any) -> Sequence[int]:
        return answer["number"].to_pylist()

    async def nearest(self, ask: Ask) -> Sequence[int]:
        query = self._table.search(ask.vector, query_type="vector").distance_type("cosine")
        if ask.user is not None:
            query = query.where(f"user = '{ask.user}'", prefilter=True)
        return query.limit(HITS).select(["number"]).to_arrow()["number"].to_pylist()

    async def close(self) -> None:
        del self._table
