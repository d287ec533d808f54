"""What each number of the default configuration is worth: one is changed at a time, on every set, in memory.

    python -m benchmarks.relevance.sensitivity --data FOLDER [--vectors CACHE] [--markdown table.md]

The analysis of words, the fields, BM25, the model, fusion and measures are the platform's own; only the index is a matrix here,
so that a hundred configurations take minutes. `--vectors` keeps the embeddings between runs.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.relevance import sets
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate
from mnemata.embedding.registry import build
from mnemata.index.local import bm25
from mnemata.index.local.analysis import plain_tokens, stemmed_tokens
from mnemata.index.local.document import STEMMED_FIELDS
from mnemata.index.local.stopwords import ENGLISH
from mnemata.index.weights import (
    CONTENT,
    CONTENT_ENGLISH,
    FIELD_WEIGHTS,
    NEIGHBOUR_VECTOR_WEIGHT,
    NEIGHBOURS,
    SPEAKER,
)
from mnemata.quality import metrics
from mnemata.ranking.defaults import DEPTH, FUSION
from mnemata.ranking.fusion import Convex, Fused, Fusion, ReciprocalRank, fuse

FIELDS = (CONTENT, CONTENT_ENGLISH, SPEAKER, NEIGHBOURS)
RECALL, NDCG = "recall@10", "nDCG@10"
MEASURES = {RECALL: partial(metrics.recall, k=10), NDCG: partial(metrics.ndcg, k=10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What may be changed. `own_passage`: whether the turn itself stands among its neighbours."""

    fields: Mapping[str, float]
    neighbour_vectors: float = NEIGHBOUR_VECTOR_WEIGHT
    fusion: Fusion = FUSION
    depth: int = DEPTH
    own_passage: bool = True


DEFAULT = Configuration(fields={field: FIELD_WEIGHTS[field] for field in FIELDS})


class Matrix:
    """A set, with every question's score of every memory in each field and by meaning."""

    def __init__(
        self,
        chosen: sets.RetrievalSet,
        vectors: np.ndarray,
        asked: np.ndarray,
        *,
        conversational: bool | None,
    ) -> None:
        self.name = chosen.name
        self._set = chosen
        self._ids = [MemoryId(UUID(int=row)) for row in range(len(chosen.memories))]
        self._external = [memory["external_id"] for memory in chosen.memories]
        self._previous, self._next = _neighbours(chosen.memories)
        self._vectors, self._asked = vectors, asked
        users = [memory.get("user_id") for memory in chosen.memories]
        self._within = np.array(
            [
                [question.filter.get("user_id") in {None, user} for user in users]
                for question in chosen.questions
            ]
        )
        sessions = any(memory.get("session_id") for memory in chosen.memories)
        self.conversational = sessions if conversational is None else conversational
        self._fields = {name: self._scores(name, texts) for name, texts in self._texts().items()}

    @property
    def measures(self) -> tuple[str, ...]:
        """The headline measure first."""
        return (RECALL, NDCG) if self.conversational else (NDCG,)

    def judge(self, configuration: Configuration) -> str:
        """The means of the set's measures, as cells of a table."""
        lexical, vector = self._lexical(configuration), self._vector(configuration)
        ranked = {
            question.id: self._ranked(lexical[row], vector[row], row, configuration)
            for row, question in enumerate(self._set.questions)
        }
        return " | ".join(f"{self._mean(ranked, measure):.4f}" for measure in self.measures)

    def rankings(self, *, everybody: bool = False) -> list[list[Fused]]:
        """Every question's candidates by the default, best first; `everybody`: not only of its conversation.

        A memory's id is the number of its place in the set.
        """
        lexical, vector = self._lexical(DEFAULT), self._vector(DEFAULT)
        within = np.ones_like(self._within) if everybody else self._within
        return [
            list(self._fused(lexical[row], vector[row], within[row], DEFAULT))
            for row in range(len(self._set.questions))
        ]

    def _mean(self, ranked: Mapping[str, Sequence[str]], measure: str) -> float:
        judged = self._set.judgements
        return float(np.mean([MEASURES[measure](found, judged[name]) for name, found in ranked.items()]))

    def _ranked(
        self, lexical: np.ndarray, vector: np.ndarray, row: int, configuration: Configuration
    ) -> Sequence[str]:
        ranked = self._fused(lexical, vector, self._within[row], configuration)
        return [self._external[fused.memory_id.int] for fused in ranked[:10]]

    def _fused(
        self, lexical: np.ndarray, vector: np.ndarray, within: np.ndarray, configuration: Configuration
    ) -> Sequence[Fused]:
        depth = configuration.depth
        by_words = _best(np.where(within & (lexical > 0.0), lexical, -np.inf), depth)
        nearest = _best(np.where(within, vector, -np.inf), depth)
        by_meaning = sorted({*by_words, *nearest}, key=lambda memory: -vector[memory])
        return fuse(self._leg(by_words, lexical), self._leg(by_meaning, vector), configuration.fusion)

    def _leg(self, memories: Sequence[int], scores: np.ndarray) -> list[Candidate]:
        return [Candidate(memory_id=self._ids[memory], score=float(scores[memory])) for memory in memories]

    def _lexical(self, configuration: Configuration) -> np.ndarray:
        passage = NEIGHBOURS if configuration.own_passage else f"{NEIGHBOURS} only"
        named = {field: passage if field == NEIGHBOURS else field for field in FIELDS}
        return sum(configuration.fields[field] * self._fields[named[field]] for field in FIELDS)

    def _vector(self, configuration: Configuration) -> np.ndarray:
        padded = np.vstack([self._vectors, np.zeros_like(self._vectors[:1])])
        mixed = self._vectors + configuration.neighbour_vectors * (
            padded[self._previous] + padded[self._next]
        )
        return self._asked @ (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).T

    def _texts(self) -> dict[str, list[str]]:
        contents = [memory["content"] for memory in self._set.memories]
        spoken = [*map(_spoken, self._set.memories), ""]
        around = [f"{spoken[p]} {spoken[n]}" for p, n in zip(self._previous, self._next, strict=True)]
        return {
            CONTENT: contents,
            CONTENT_ENGLISH: contents,
            SPEAKER: [memory.get("role", "") for memory in self._set.memories],
            NEIGHBOURS: [f"{own} {near}" for own, near in zip(spoken, around, strict=False)],
            f"{NEIGHBOURS} only": around,
        }

    def _scores(self, field: str, texts: Sequence[str]) -> np.ndarray:
        tokens_of = stemmed_tokens if field.split(maxsplit=1)[0] in STEMMED_FIELDS else plain_tokens
        documents = [tokens_of(text) for text in texts]
        average = max(sum(map(len, documents)) / len(documents), 1e-9)
        norms = np.array([bm25.length_norm(len(tokens), average) for tokens in documents])
        postings = _postings(documents)
        found = np.zeros((len(self._set.questions), len(texts)), np.float32)
        for row, question in enumerate(self._set.questions):
            for token, count in _query_tokens(question.text, tokens_of).items():
                if token in postings:
                    places, frequencies = postings[token]
                    weight = count * bm25.idf(len(texts), len(places)) * (1.0 + bm25.K1)
                    found[row, places] += weight * frequencies / (frequencies + norms[places])
        return found


def variants() -> list[tuple[str, Configuration]]:
    """Each with one number changed, by its name."""
    found = [("the default", DEFAULT)]
    for field, values in {
        CONTENT: (0.0, 0.1, 0.35, 0.5),
        SPEAKER: (0.0, 0.5, 1.5),
        NEIGHBOURS: (0.0, 0.5, 2.0),
    }.items():
        found += [
            (f"{field} weighs {value}", replace(DEFAULT, fields={**DEFAULT.fields, field: value}))
            for value in values
        ]
    found.append((f"{NEIGHBOURS} without the turn itself", replace(DEFAULT, own_passage=False)))
    found += [
        (f"neighbours' vectors: {w}", replace(DEFAULT, neighbour_vectors=w)) for w in (0.0, 0.1, 0.3, 0.5)
    ]
    found += [
        (f"vector weight {w}", replace(DEFAULT, fusion=Convex(vector_weight=w)))
        for w in (0.3, 0.4, 0.5, 0.6, 0.7)
    ]
    found += [(f"reciprocal ranks, k={k}", replace(DEFAULT, fusion=ReciprocalRank(k=k))) for k in (10, 60)]
    found += [(f"depth {depth}", replace(DEFAULT, depth=depth)) for depth in (20, 50, 200)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.relevance.sensitivity", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder for each set")
    parser.add_argument(
        "--vectors", type=Path, default=None, help="folder that keeps embeddings between runs"
    )
    parser.add_argument("--markdown", type=Path, default=None, help="write the table to a file")
    options = parser.parse_args()
    chosen = [sets.load(options.data / name) for name in sets.names_in(options.data)]
    matrices = [matrix_of(one, options.vectors) for one in chosen]
    lines = [*_table(matrices), "", *_structure_table(chosen, matrices, options.vectors)]
    if options.markdown is not None:
        options.markdown.write_text("\n".join(lines) + "\n", "utf-8")


def _table(matrices: Sequence[Matrix]) -> Iterator[str]:
    yield from _heads("changed", matrices)
    for name, configuration in variants():
        yield from _shown(f"| {name} | {' | '.join(one.judge(configuration) for one in matrices)} |")


def _structure_table(
    chosen: Sequence[sets.RetrievalSet], matrices: Sequence[Matrix], cache: Path | None
) -> Iterator[str]:
    """What telling who speaks, and which turns belong together, is worth: conversations without it."""
    talks = [one for one, matrix in zip(chosen, matrices, strict=True) if matrix.conversational]
    yield from _heads("conversations told", [one for one in matrices if one.conversational])
    for name, treated in {
        "with speakers and sessions": talks,
        "without speakers": [_without(one, ("role",)) for one in talks],
        "without sessions": [_without(one, ("session_id", "sequence")) for one in talks],
        "without either": [_without(one, ("role", "session_id", "sequence")) for one in talks],
        "with both, asked without naming a speaker": [unnamed(one) for one in talks],
    }.items():
        figures = [matrix_of(one, cache, conversational=True).judge(DEFAULT) for one in treated]
        yield from _shown(f"| {name} | {' | '.join(figures)} |")


def _heads(first: str, matrices: Sequence[Matrix]) -> Iterator[str]:
    heads = [f"{one.name} {measure}" for one in matrices for measure in one.measures]
    yield from _shown(f"| {first} | {' | '.join(heads)} |")
    yield from _shown("|---" * (len(heads) + 1) + "|")


def unnamed(chosen: sets.RetrievalSet) -> sets.RetrievalSet:
    names = "|".join(sorted({re.escape(memory["role"]) for memory in chosen.memories if memory.get("role")}))
    pattern = re.compile(rf"\b({names})('s)?\b", re.IGNORECASE)
    questions = [replace(question, text=pattern.sub("", question.text)) for question in chosen.questions]
    return replace(chosen, name=f"{chosen.name} unnamed", questions=questions)


def _without(chosen: sets.RetrievalSet, dropped: Sequence[str]) -> sets.RetrievalSet:
    memories = [
        {field: value for field, value in memory.items() if field not in dropped}
        for memory in chosen.memories
    ]
    name = f"{chosen.name} without speakers" if "role" in dropped else chosen.name
    return replace(chosen, name=name, memories=memories)


def _shown(line: str) -> Iterator[str]:
    print(line, flush=True)
    yield line


def matrix_of(chosen: sets.RetrievalSet, cache: Path | None, *, conversational: bool | None = None) -> Matrix:
    """`conversational`: whether recall is the headline measure; by default where there are sessions."""
    vectors, asked = embedded(chosen, cache)
    return Matrix(chosen, vectors, asked, conversational=conversational)


def embedded(chosen: sets.RetrievalSet, cache: Path | None) -> tuple[np.ndarray, np.ndarray]:
    kept = None if cache is None else cache / f"{chosen.name}.npz"
    if kept is None or not kept.exists():
        embedder = build("all-MiniLM-L6-v2", model_path=None)
        if embedder is None:
            raise SystemExit("there is no model to embed with")
        vectors = embedder.embed_documents([_spoken(memory) for memory in chosen.memories])
        asked = embedder.embed_queries([question.text for question in chosen.questions])
        embedder.close()
        if kept is None:
            return vectors, asked
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=vectors, asked=asked)
    stored = np.load(kept)
    return stored["vectors"], stored["asked"]


def _spoken(memory: Mapping[str, Any]) -> str:
    return f"{memory['role']}: {memory['content']}" if memory.get("role") else memory["content"]


def _neighbours(memories: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """The row of the turn before and after each, -1 where there is none."""
    sessions = defaultdict[str, list[tuple[int, int]]](list)
    for row, memory in enumerate(memories):
        if memory.get("session_id"):
            sessions[memory["session_id"]].append((memory["sequence"], row))
    before, after = np.full(len(memories), -1), np.full(len(memories), -1)
    for turns in sessions.values():
        rows = [row for _, row in sorted(turns)]
        before[rows[1:]], after[rows[:-1]] = rows[:-1], rows[1:]
    return before, after


def _postings(documents: Sequence[Sequence[str]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    places = defaultdict[str, list[int]](list)
    frequencies = defaultdict[str, list[int]](list)
    for row, tokens in enumerate(documents):
        for token, count in Counter(tokens).items():
            places[token].append(row)
            frequencies[token].append(count)
    return {token: (np.array(places[token]), np.array(frequencies[token], float)) for token in places}


def _query_tokens(text: str, tokens_of: Any) -> Counter[str]:
    counts = Counter(plain_tokens(text))
    telling = {token: count for token, count in counts.items() if token not in ENGLISH} or counts
    found = Counter[str]()
    for token, count in telling.items():
        for form in tokens_of(token)[:1]:
            found[form] += count
    return found


def _best(scores: np.ndarray, depth: int) -> list[int]:
    """The rows of the `depth` best finite scores, best first."""
    near = np.argpartition(-scores, depth)[:depth] if depth < len(scores) else np.arange(len(scores))
    ordered = near[np.lexsort((near, -scores[near]))]
    return [int(row) for row in ordered if np.isfinite(scores[row])]


if __name__ == "__main__":
    main()
