"""How one tenant's vectors are searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mnemata.index.local.graph import GraphOptions

Algorithm = Literal["auto", "exact", "hnsw", "ivf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorOptions:
    """How one tenant's vectors are searched; see settings.IndexSettings for what each means."""

    algorithm: Algorithm = "auto"
    exact_below: int = 10_000
    hnsw_m: int = 24
    hnsw_ef_construction: int = 160
    hnsw_ef_search: int = 224
    ivf_nprobe: int = 64
    build_threads: int = 1

    @property
    def graph(self) -> GraphOptions:
        return GraphOptions(
            m=self.hnsw_m,
            ef_construction=self.hnsw_ef_construction,
            ef_search=self.hnsw_ef_search,
            nprobe=self.ivf_nprobe,
            threads=self.build_threads,
        )
