"""How good one ranking is, against judgements of what is relevant: the measures of trec_eval.

`ranked` is document ids, best first, of which the first `k` count and a repetition counts for nothing; `gains` maps
each judged document to its gain, relevant where above zero. Every measure lies between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice


def ndcg(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Normalised discounted cumulative gain: linear gains, discounted by log2(rank + 1), over the ideal order's."""
    ideal = _discounted(sorted((gain for gain in gains.values() if gain > 0.0), reverse=True)[:k])
    found = _discounted([max(0.0, gains.get(document, 0.0)) for document in _top(ranked, k)])
    return found / ideal if ideal > 0.0 else 0.0


def recall(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """The share of the relevant documents that is found."""
    relevant = _relevant(gains)
    return len(relevant.intersection(_top(ranked, k))) / len(relevant) if relevant else 0.0


def precision(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """The share of the k places that holds a relevant document; places left empty count as misses."""
    return len(_relevant(gains).intersection(_top(ranked, k))) / k


def reciprocal_rank(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """1 / the rank of the first relevant document; 0 where there is none."""
    relevant = _relevant(gains)
    return next((1.0 / rank for rank, found in enumerate(_top(ranked, k), start=1) if found in relevant), 0.0)


def hit(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """1 where any relevant document is found, else 0: its mean over queries is the hit rate."""
    return float(not _relevant(gains).isdisjoint(_top(ranked, k)))


def _top(ranked: Sequence[str], k: int) -> list[str]:
    return list(islice(dict.fromkeys(ranked), k))


def _relevant(gains: Mapping[str, float]) -> set[str]:
    return {document for document, gain in gains.items() if gain > 0.0}


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
