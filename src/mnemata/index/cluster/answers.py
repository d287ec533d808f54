"""What a cluster answered, as the legs of a search: exact scores, best first, ties by memory id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.found import NOTHING_FOUND, Found
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Leg
from mnemata.domain.vector import Metric
from mnemata.index.cluster.connection import reason_of, search_failed
from mnemata.index.cluster.document import HALF, rows_of
from mnemata.index.cluster.queries import COUNT
from mnemata.index.protocol import IndexQuery, Legs, Vector
from mnemata.observability.logging import get_logger

log = get_logger("index")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What one search of several found: `partial` where a shard or the time failed it."""

    numbers: list[int]
    scores: list[float]
    packed: dict[int, str]
    total: int
    took_ms: float
    partial: bool


def legs_of(answers: Mapping[str, Any], query: IndexQuery, *, metric: Metric) -> Legs:
    """The legs from the answers by name. A leg that failed is named in `degraded`; raises the error where every one did."""
    failures = {name: answer for name, answer in answers.items() if "error" in answer}
    for name, answer in failures.items():
        log.warning("leg_failed", leg=name, status=answer.get("status"), reason=reason_of(answer))
    asked = [name for name in answers if name != COUNT]
    if asked and all(name in failures for name in asked):
        raise search_failed(failures[asked[0]])
    hits = {name: hits_of(answer) for name, answer in answers.items() if name not in failures}
    lexical, vector = hits.get(Leg.LEXICAL), hits.get(Leg.VECTOR)
    return Legs(
        lexical=NOTHING_FOUND if lexical is None else _ranked(lexical.numbers, lexical.scores),
        vector=_by_meaning(query, lexical, vector, metric) if vector is not None else NOTHING_FOUND,
        total=_total(hits),
        degraded=tuple(name for name in asked if name in failures or hits[name].partial),
        took_ms={name: hits[name].took_ms for name in asked if name in hits},
    )


def hits_of(answer: Mapping[str, Any]) -> Hits:
    found = answer["hits"]
    numbers, scores, packed = list[int](), list[float](), dict[int, str]()
    for hit in found["hits"]:
        fields = hit["fields"]
        number = int(fields["id"][0].replace("-", ""), 16)
        numbers.append(number)
        scores.append(hit.get("_score") or 0.0)
        if HALF in fields:
            packed[number] = fields[HALF][0]
    return Hits(
        numbers=numbers,
        scores=scores,
        packed=packed,
        total=int(found.get("total", {}).get("value", 0)),
        took_ms=float(answer["took"]),
        partial=bool(answer["timed_out"]) or answer["_shards"]["failed"] > 0,
    )


def of_one_index(answers: Mapping[str, Any]) -> bool:
    """Whether no two of the answers are of different indices: an alias may be switched between two searches."""
    named = (answer for answer in answers.values() if "hits" in answer)
    return len({hit["_index"] for answer in named for hit in answer["hits"]["hits"]}) <= 1


def memory_ids(numbers: Sequence[int]) -> list[MemoryId]:
    return [MemoryId(UUID(int=number)) for number in numbers]


def _total(hits: Mapping[str, Hits]) -> int:
    if COUNT in hits:
        return hits[COUNT].total
    return hits[Leg.LEXICAL].total if Leg.LEXICAL in hits else 0


def _by_meaning(query: IndexQuery, lexical: Hits | None, nearest: Hits, metric: Metric) -> Found:
    """The nearest, and besides them those that the words found, scored from the vectors themselves.

    The graph compares vectors of one byte a dimension: near enough to find, not to rank.
    """
    packed = dict(nearest.packed) if lexical is None else {**lexical.packed, **nearest.packed}
    if query.vector is None or not packed:
        return NOTHING_FOUND
    rows = rows_of(list(packed.values()), query.vector.shape[0])
    costs = [
        (-score, n) for score, n in zip(_scores(rows, query.vector, metric).tolist(), packed, strict=True)
    ]
    chosen = {number for _, number in nsmallest(query.depth, (c for c in costs if c[1] in nearest.packed))}
    if lexical is not None:
        chosen |= lexical.packed.keys()
    return Found.sorted(cost for cost in costs if cost[1] in chosen)


def _scores(rows: NDArray[np.float32], vector: Vector, metric: Metric) -> NDArray[np.float32]:
    if metric is Metric.L2:
        apart = rows - vector
        return -np.einsum("nd,nd->n", apart, apart)
    return rows @ vector


def _ranked(numbers: Sequence[int], scores: Sequence[float]) -> Found:
    return Found.sorted((-score, number) for number, score in zip(numbers, scores, strict=True))
