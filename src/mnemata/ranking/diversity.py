"""Hits that repeat one another make room for others: maximal marginal relevance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.ids import MemoryId
from mnemata.ranking.defaults import DEPTH
from mnemata.ranking.fusion import Fused


def diversify(
    ranked: Sequence[Fused],
    vectors: Mapping[MemoryId, NDArray[np.float32]],
    *,
    diversity: float,
    pool: int = DEPTH,
) -> list[Fused]:
    """The first `pool` hits in the order of marginal relevance, then the others as they were.

    At each place stands the hit with the greatest `(1 - d) * relevance - d * likeness`, where likeness is the cosine
    to the most similar hit above it (Carbonell & Goldstein 1998). `vectors`: (d,) float32 of unit length each; a hit
    without one is like no other. The pool is fixed, so that the order does not depend on the page that is read.
    """
    if diversity <= 0.0 or len(ranked) < 2:
        return list(ranked)
    head = list(ranked[:pool])
    order = _marginal_order(_relevance(head), _likeness(head, vectors), diversity=diversity)
    return [head[place] for place in order] + list(ranked[pool:])


def _relevance(ranked: Sequence[Fused]) -> NDArray[np.float64]:
    """(n,) float64 from 0 to 1: each score on the way from the least to the best."""
    scores = np.array([fused.score for fused in ranked], np.float64)
    span = scores.max() - scores.min()
    return (scores - scores.min()) / span if span > 0.0 else np.ones_like(scores)


def _likeness(
    ranked: Sequence[Fused], vectors: Mapping[MemoryId, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """(n, n) float64: cosines between the hits; zero where one has no vector."""
    width = max((len(vector) for vector in vectors.values()), default=1)
    rows = np.zeros((len(ranked), width), np.float64)
    for place, fused in enumerate(ranked):
        vector = vectors.get(fused.memory_id)
        if vector is not None:
            rows[place] = vector
    return rows @ rows.T


def _marginal_order(
    relevance: NDArray[np.float64], likeness: NDArray[np.float64], *, diversity: float
) -> list[int]:
    order, nearest = list[int](), np.zeros_like(relevance)
    left = np.ones(len(relevance), dtype=bool)
    while left.any():
        gain = (1.0 - diversity) * relevance - diversity * nearest
        # argmax takes the first of equals, which is the better ranked one.
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        order.append(best)
        left[best] = False
        nearest = np.maximum(nearest, likeness[best])
    return order
