"""Embeddings without a model: signed feature hashing of words and character n-grams (Weinberger et al. 2009).

Deterministic on every machine. Texts that share words or spellings are near one another; meaning is not seen.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.vector import Space
from mnemata.embedding.protocol import Vector, Vectors

SPACE = Space(name="hashing/words-3grams/1", dimensions=256)

_WORD = re.compile(r"\w+|[^\w\s]+")
_NGRAM = 3
_NGRAM_WEIGHT = 0.4
"""A word weighs as much as about three of its n-grams: the same word first, a like spelling second."""


class HashingEmbedder:
    """An Embedder that needs no files and no loading; closing it does nothing."""

    @property
    def space(self) -> Space:
        return SPACE

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), SPACE.dimensions), np.float32)
        for row, text in enumerate(texts):
            rows[row] = _vector(text)
        return rows

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_documents(texts)

    def close(self) -> None:
        """Nothing is held."""


def _vector(text: str) -> Vector:
    words = Counter(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
    row = np.zeros(SPACE.dimensions, np.float64)
    for word, count in words.items():
        places, weights = _features(word)
        np.add.at(row, places, weights * (1.0 + math.log(count)))
    length = float(np.linalg.norm(row))
    if length == 0.0:
        # No words, or features that cancel out: one direction that stands for nothing to say.
        row[0] = length = 1.0
    return (row / length).astype(np.float32)


@lru_cache(maxsize=65_536)
def _features(word: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places in the vector and signed weights of a word and of its character n-grams."""
    pairs = [_signed(f"w:{word}", 1.0), *(_signed(f"c:{gram}", _NGRAM_WEIGHT) for gram in _ngrams(word))]
    return np.array([place for place, _ in pairs]), np.array([weight for _, weight in pairs])


def _ngrams(word: str) -> Iterator[str]:
    framed = f"^{word}$"
    return (framed[start : start + _NGRAM] for start in range(max(1, len(framed) - _NGRAM + 1)))


def _signed(feature: str, weight: float) -> tuple[int, float]:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    return number % SPACE.dimensions, weight if number >> 63 else -weight
