"""Where Elasticsearch and OpenSearch differ: how vectors are mapped, and how the nearest are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mnemata.domain.vector import Metric, Space
from mnemata.index.cluster.conditions import Clause, all_of
from mnemata.index.cluster.document import VECTOR
from mnemata.index.cluster.options import ClusterKind, ClusterOptions
from mnemata.index.protocol import Vector

_MOST_CANDIDATES = 10_000


class Dialect(Protocol):
    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of an index that has vectors."""
        ...

    def vector_field(self, space: Space, options: ClusterOptions) -> dict[str, Any]:
        """The mapping of the vectors: HNSW over one byte a dimension."""
        ...

    def nearest(
        self, vector: Vector, needed: Sequence[Clause], *, depth: int, candidates: int
    ) -> dict[str, Any]:
        """The part of a search body that asks for the `depth` nearest among the documents for which all clauses hold."""
        ...


class ElasticsearchDialect:
    settings: Mapping[str, Any] = {}

    def vector_field(self, space: Space, options: ClusterOptions) -> dict[str, Any]:
        similarity = {Metric.COSINE: "cosine", Metric.DOT: "max_inner_product", Metric.L2: "l2_norm"}
        return {
            "type": "dense_vector",
            "dims": space.dimensions,
            "index": True,
            "similarity": similarity[options.metric],
            "index_options": {
                "type": "int8_hnsw",
                "m": options.hnsw_m,
                "ef_construction": options.hnsw_ef_construction,
            },
        }

    def nearest(
        self, vector: Vector, needed: Sequence[Clause], *, depth: int, candidates: int
    ) -> dict[str, Any]:
        return {
            "knn": {
                "field": VECTOR,
                "query_vector": vector.tolist(),
                "k": depth,
                "num_candidates": _candidates(depth, candidates),
                "filter": all_of(needed),
            }
        }


class OpenSearchDialect:
    settings: Mapping[str, Any] = {"knn": True}

    def vector_field(self, space: Space, options: ClusterOptions) -> dict[str, Any]:
        similarity = {Metric.COSINE: "cosinesimil", Metric.DOT: "innerproduct", Metric.L2: "l2"}
        return {
            "type": "knn_vector",
            "dimension": space.dimensions,
            "space_type": similarity[options.metric],
            "method": {
                "name": "hnsw",
                # The engine that filters while it walks the graph, in the index's own segments.
                "engine": "lucene",
                "parameters": {
                    "m": options.hnsw_m,
                    "ef_construction": options.hnsw_ef_construction,
                    "encoder": {"name": "sq"},
                },
            },
        }

    def nearest(
        self, vector: Vector, needed: Sequence[Clause], *, depth: int, candidates: int
    ) -> dict[str, Any]:
        asked = {"vector": vector.tolist(), "k": _candidates(depth, candidates), "filter": all_of(needed)}
        return {"query": {"knn": {VECTOR: asked}}}


def dialect_of(kind: ClusterKind) -> Dialect:
    return ElasticsearchDialect() if kind is ClusterKind.ELASTICSEARCH else OpenSearchDialect()


def _candidates(depth: int, candidates: int) -> int:
    return min(max(candidates, 2 * depth), _MOST_CANDIDATES)
