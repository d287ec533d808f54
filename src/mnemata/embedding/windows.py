"""Text longer than the model's window: split into overlapping windows, whose vectors are pooled into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mnemata.embedding.protocol import Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A run of one text's tokens. `text` is the text's place in the list that was given."""

    text: int
    tokens: Sequence[int]


def split(text: int, tokens: Sequence[int], *, size: int, overlap: int) -> Iterator[Window]:
    """Windows of at most `size` tokens that cover every token; neighbours share `overlap` tokens.

    A text without tokens has one empty window: it is embedded as the model's own frame of an empty text.
    """
    yield Window(text=text, tokens=tokens[:size])
    step = size - overlap
    for start in range(step, len(tokens) - overlap, step):
        yield Window(text=text, tokens=tokens[start : start + size])


def pool(vectors: Vectors, windows: Sequence[Window], *, texts: int) -> Vectors:
    """One row of unit length per text: the mean of its windows' vectors, each weighted by its number of tokens."""
    if len(windows) == texts:
        return vectors
    owners = np.array([window.text for window in windows])
    weights = np.array([max(1, len(window.tokens)) for window in windows], np.float32)
    pooled = np.zeros((texts, vectors.shape[1]), np.float32)
    np.add.at(pooled, owners, vectors * weights[:, None])
    return unit_rows(pooled)


def unit_rows(rows: Vectors) -> Vectors:
    """The rows at unit length: (n, d) float32."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32, copy=False)
