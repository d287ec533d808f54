"""The floor: FAISS and tantivy called one after the other, with no fusion and nothing around them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import Occur, Query

from benchmarks.speed.corpus import Corpus
from benchmarks.speed.peers.contestant import HITS, Ask
from mnemata.ranking.defaults import DEPTH

_FEW = 2_000
"""Up to so many vectors of one user are compared by themselves."""

M, EF_CONSTRUCTION, EF_SEARCH = 24, 120, 96


class Floor:
    """Half-precision vectors in an HNSW graph or flat; BM25 over the stemmed text, one field."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.name = f"bare FAISS ({kind}) + tantivy"
        self.about = f"{DEPTH} candidates a leg, one thread, no fusion"

    async def prepare(self, corpus: Corpus, folder: Path) -> None:
        self._words = _Words(corpus, folder)
        self._vectors = corpus.vectors
        self._index = _graph(corpus) if self.kind == "HNSW fp16" else _flat(corpus)
        rows = defaultdict[str, list[int]](list)
        for turn in corpus.turns[: len(corpus.vectors)]:
            rows[turn.user].append(turn.number)
        self._rows = {user: np.array(numbers) for user, numbers in rows.items()}
        self._bitmaps = {
            user: _bitmap(numbers, len(corpus.vectors))
            for user, numbers in self._rows.items()
            if len(numbers) > _FEW
        }
        faiss.omp_set_num_threads(1)

    async def introduce(self, asks: Sequence[Ask]) -> None:
        """Nothing: the questions come with their vectors."""

    async def ask(self, ask: Ask) -> tuple[NDArray[np.int64], list[int]]:
        return self._near(ask, DEPTH), self._words.search(ask.text, ask.user, DEPTH)

    def numbers(self, answer: Any) -> Sequence[int]:
        near, worded = answer
        return list(dict.fromkeys([*near[:HITS].tolist(), *worded[:HITS]]))

    async def nearest(self, ask: Ask) -> Sequence[int]:
        return self._near(ask, HITS).tolist()

    async def close(self) -> None:
        self._words.close()

    def _near(self, ask: Ask, k: int) -> NDArray[np.int64]:
        if ask.user is None:
            return self._index.search(ask.vector[None, :], k, params=self._parameters(None))[1][0]
        rows = self._rows[ask.user]
        if len(rows) <= _FEW:
            return rows[np.argsort(-(self._vectors[rows] @ ask.vector))[:k]]
        found = self._index.search(ask.vector[None, :], k, params=self._parameters(ask.user))[1][0]
        return found[found >= 0]

    def _parameters(self, user: str | None) -> Any:
        chosen = None if user is None else self._bitmaps[user][0]
        if self.kind == "HNSW fp16":
            parameters = faiss.SearchParametersHNSW()
            parameters.efSearch = EF_SEARCH
        else:
            parameters = faiss.SearchParameters()
        if chosen is not None:
            parameters.sel = chosen
        return parameters


class _Words:
    def __init__(self, corpus: Corpus, folder: Path) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("number", fast=True)
        builder.add_text_field("text", tokenizer_name="english")
        builder.add_text_field("user", tokenizer_name="raw")
        self._schema = builder.build()
        self._analyzer = (
            tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
            .filter(tantivy.Filter.lowercase())
            .filter(tantivy.Filter.stopword("english"))
            .filter(tantivy.Filter.stemmer("english"))
            .build()
        )
        index = tantivy.Index(self._schema, str(folder))
        index.register_tokenizer("english", self._analyzer)
        writer = index.writer(num_threads=1)
        for turn in corpus.turns[: len(corpus.vectors)]:
            document = tantivy.Document()
            document.add_unsigned("number", turn.number)
            document.add_text("text", turn.text)
            document.add_text("user", turn.user)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._searcher = index.searcher()

    def search(self, text: str, user: str | None, k: int) -> list[int]:
        tokens = set(self._analyzer.analyze(text))
        terms = [(Occur.Should, Query.term_query(self._schema, "text", token, "freq")) for token in tokens]
        query = Query.boolean_query(terms)
        if user is not None:
            mine = Query.const_score_query(Query.term_query(self._schema, "user", user, "basic"), 0.0)
            query = Query.boolean_query([(Occur.Must, mine), (Occur.Must, query)])
        hits = self._searcher.search(query, k, count=False).hits
        return self._searcher.fast_field_values("number", [address for _, address in hits])

    def close(self) -> None:
        del self._searcher


def _graph(corpus: Corpus) -> Any:
    width = corpus.vectors.shape[1]
    index = faiss.IndexHNSWSQ(width, faiss.ScalarQuantizer.QT_fp16, M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.train(corpus.vectors[:1])
    index.add(corpus.vectors)
    return index


def _flat(corpus: Corpus) -> Any:
    width = corpus.vectors.shape[1]
    index = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.train(corpus.vectors[:1])
    index.add(corpus.vectors)
    return index


def _bitmap(numbers: NDArray[np.int64], size: int) -> tuple[Any, NDArray[np.uint8]]:
    """The selector, and the bits that it points into."""
    mask = np.zeros(size, np.bool_)
    mask[numbers] = True
    bits = np.packbits(mask, bitorder="little")
    return faiss.IDSelectorBitmap(bits), bits
