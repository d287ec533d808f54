"""Approximate nearest neighbours over the rows: an HNSW graph, or k-means lists (IVF).

Both cover the slots [0, size) and never change once searches see them: what comes later is searched exactly until a
larger index takes their place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

from mnemata.domain.errors import IndexDamaged
from mnemata.domain.vector import Metric
from mnemata.index.local.vector_rows import (
    IN_ORDER,
    Matrix,
    Nearest,
    Query,
    as_scores,
    faiss_metric,
    point_at,
    selector,
    single_threaded,
    using_threads,
    view_of,
)

Halted: TypeAlias = Callable[[], bool]
"""Whether a build is to be given up: asked between every thousand rows."""


class BuildGivenUp(Exception):
    """The index is closing, and nobody will use what was being built."""


_ADDED_AT_ONCE = 1_024
_TRAINED_ON = 64
"""Rows per list that k-means looks at; FAISS's own default is up to 256, for the same lists in four times the time."""

_FEWEST_PER_LIST = 39
"""FAISS warns of fewer training rows per list than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOptions:
    """See settings.IndexSettings. `threads`: how many build; the searches keep the other cores."""

    m: int
    ef_construction: int
    ef_search: int
    nprobe: int
    threads: int


class ApproximateIndex(Protocol):
    """An index over the slots [0, size)."""

    kind: ClassVar[str]

    @property
    def size(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """Bytes in memory beside the rows."""
        ...

    def search(self, query: Query, *, k: int, chosen: NDArray[np.bool_] | None, share: float) -> Nearest:
        """The k nearest of the chosen slots, best first, or fewer where it finds no more.

        `chosen`: (size,) bool, None for all; `share`: the part of the slots that is chosen.
        """
        ...

    def cost(self, *, k: int, share: float) -> float:
        """About how many rows an exact search gathers and compares in the same time."""
        ...

    def extended(self, matrix: Matrix, chosen: NDArray[np.bool_], halted: Halted) -> ApproximateIndex:
        """A new index over the first len(chosen) rows. This one goes on answering. Raises BuildGivenUp."""
        ...

    def attach(self, matrix: Matrix) -> None:
        """The rows have moved: read them there. The caller keeps the old matrix until its searches have ended."""
        ...

    def write(self, path: Path) -> None: ...


class HnswGraph:
    """Malkov & Yashunin 2018, as FAISS builds it; the graph owns its links and reads the rows where they lie."""

    kind: ClassVar[str] = "hnsw"

    def __init__(self, index: Any, matrix: Matrix, *, metric: Metric, options: GraphOptions) -> None:
        self._index, self._metric, self._options = index, metric, options
        self._view = view_of(matrix, index.ntotal, metric)
        self._matrix = matrix
        index.storage = self._view
        index.own_fields = False

    @classmethod
    def build(
        cls, matrix: Matrix, size: int, *, metric: Metric, options: GraphOptions, halted: Halted
    ) -> HnswGraph:
        index = _empty_hnsw(matrix.shape[1], metric, options)
        _add_rows(index, matrix, size, options, halted)
        return cls._over(index, matrix, metric, options)

    @classmethod
    def read(cls, path: Path, matrix: Matrix, *, metric: Metric, options: GraphOptions) -> HnswGraph:
        """The graph that was written; its links are mapped, not read."""
        index: Any = _read(path, faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_SKIP_STORAGE)
        return cls(index, matrix, metric=metric, options=options)

    @property
    def size(self) -> int:
        return self._index.ntotal

    @property
    def nbytes(self) -> int:
        return 4 * self._index.hnsw.neighbors.size() + 12 * self.size

    def search(self, query: Query, *, k: int, chosen: NDArray[np.bool_] | None, share: float) -> Nearest:
        single_threaded()
        make: Any = faiss
        sel = None if chosen is None else selector(chosen)
        parameters = make.SearchParametersHNSW(efSearch=self._ef(k, share), sel=sel)
        distances, slots = self._index.search(query, min(k, self.size), params=parameters)
        found = slots[0] >= 0
        return Nearest(slots[0][found], as_scores(distances[0][found], self._metric))

    def cost(self, *, k: int, share: float) -> float:
        # Measured: a candidate costs 1.2 us, a gathered row 0.08 us; FAISS's queue makes very many of them dearer.
        ef = self._ef(k, share)
        return 15 * ef * (1 + ef / 6_000)

    def extended(self, matrix: Matrix, chosen: NDArray[np.bool_], halted: Halted) -> HnswGraph:
        index = _empty_hnsw(matrix.shape[1], self._metric, self._options)
        _copy_graph(self._index, index, matrix)
        _add_rows(index, matrix, len(chosen), self._options, halted)
        return self._over(index, matrix, self._metric, self._options)

    def attach(self, matrix: Matrix) -> None:
        point_at(self._view, matrix, self.size)
        self._matrix = matrix

    def write(self, path: Path) -> None:
        make: Any = faiss
        make.write_index(self._index, str(path), faiss.IO_FLAG_SKIP_STORAGE)

    @classmethod
    def _over(cls, index: Any, matrix: Matrix, metric: Metric, options: GraphOptions) -> HnswGraph:
        built_with: Any = index.storage
        graph = cls(index, matrix, metric=metric, options=options)
        built_with.thisown = True  # the copy of the rows that it was built with goes now
        return graph

    def _ef(self, k: int, share: float) -> int:
        # Slots that are not chosen are walked through but not returned. The exponents are measured: with them,
        # searches of half to a fifth of the slots come back full, and recall@10 does not fall.
        return math.ceil(max(self._options.ef_search * share**-0.2, k * share**-0.55))


class IvfLists:
    """Lists by nearest centroid (k-means), each a copy of its rows at half precision."""

    kind: ClassVar[str] = "ivf"

    def __init__(self, index: Any, size: int, *, metric: Metric, options: GraphOptions) -> None:
        self._index, self._size, self._metric, self._options = index, size, metric, options

    @classmethod
    def build(
        cls,
        matrix: Matrix,
        chosen: NDArray[np.bool_],
        *,
        metric: Metric,
        options: GraphOptions,
        halted: Halted,
    ) -> IvfLists:
        slots = np.flatnonzero(chosen)
        lists = max(1, min(round(4 * math.sqrt(len(slots))), len(slots) // _FEWEST_PER_LIST))
        make: Any = faiss
        quantizer = make.IndexFlat(matrix.shape[1], faiss_metric(metric))
        index = make.IndexIVFScalarQuantizer(
            quantizer, matrix.shape[1], lists, faiss.ScalarQuantizer.QT_fp16, faiss_metric(metric), False
        )
        quantizer.this.disown()
        index.own_fields = True
        using_threads(options.threads)
        sample = np.random.default_rng(0).permutation(slots)[: lists * _TRAINED_ON]
        index.train(matrix[np.sort(sample)].astype(np.float32))
        return cls._filled(index, matrix, chosen, metric=metric, options=options, halted=halted)

    @classmethod
    def read(cls, path: Path, size: int, *, metric: Metric, options: GraphOptions) -> IvfLists:
        """The lists that were written; they are mapped, not read."""
        return cls(_read(path, faiss.IO_FLAG_MMAP), size, metric=metric, options=options)

    @property
    def size(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        dimensions = self._index.d
        return self._index.ntotal * (2 * dimensions + 8) + self._index.nlist * 4 * dimensions

    def search(self, query: Query, *, k: int, chosen: NDArray[np.bool_] | None, share: float) -> Nearest:
        single_threaded()
        make: Any = faiss
        sel = None if chosen is None else selector(chosen)
        parameters = make.SearchParametersIVF(nprobe=self._nprobe(k, share), sel=sel)
        distances, slots = self._index.search(query, min(k, self._size), params=parameters)
        found = slots[0] >= 0
        return Nearest(slots[0][found], as_scores(distances[0][found], self._metric))

    def cost(self, *, k: int, share: float) -> float:
        visited = self._index.nlist + self._size * self._nprobe(k, share) / self._index.nlist
        return IN_ORDER * visited

    def extended(self, matrix: Matrix, chosen: NDArray[np.bool_], halted: Halted) -> IvfLists:
        # The centroids serve until there are four times as many rows as they were made for.
        if np.count_nonzero(chosen) > 4 * (self._index.nlist / 4) ** 2:
            return self.build(matrix, chosen, metric=self._metric, options=self._options, halted=halted)
        index = _without_lists(self._index)
        return self._filled(index, matrix, chosen, metric=self._metric, options=self._options, halted=halted)

    def attach(self, matrix: Matrix) -> None:
        """Nothing to do: the lists hold copies of the rows."""

    def write(self, path: Path) -> None:
        faiss.write_index(self._index, str(path))

    @classmethod
    def _filled(
        cls,
        index: Any,
        matrix: Matrix,
        chosen: NDArray[np.bool_],
        *,
        metric: Metric,
        options: GraphOptions,
        halted: Halted,
    ) -> IvfLists:
        using_threads(options.threads)
        slots = np.flatnonzero(chosen)
        for start in range(0, len(slots), _ADDED_AT_ONCE):
            if halted():
                raise BuildGivenUp
            part = slots[start : start + _ADDED_AT_ONCE]
            index.add_with_ids(matrix[part].astype(np.float32), part)
        return cls(index, len(chosen), metric=metric, options=options)

    def _nprobe(self, k: int, share: float) -> int:
        """Lists to visit: more of them where few of their rows are chosen, or many are wanted."""
        expected = 4 * k * self._index.nlist / max(1, self._index.ntotal * share)
        wanted = max(self._options.nprobe / math.sqrt(share), expected)
        return max(1, min(self._index.nlist, math.ceil(wanted)))


def _empty_hnsw(dimensions: int, metric: Metric, options: GraphOptions) -> Any:
    make: Any = faiss
    index = make.IndexHNSWSQ(dimensions, faiss.ScalarQuantizer.QT_fp16, options.m, faiss_metric(metric))
    index.hnsw.efConstruction = options.ef_construction
    index.is_trained = index.storage.is_trained = True  # half precision has nothing to learn
    return index


def _add_rows(index: Any, matrix: Matrix, size: int, options: GraphOptions, halted: Halted) -> None:
    """Link the rows from index.ntotal up to `size`, a thousand at a time, so that other threads get their turn."""
    using_threads(options.threads)
    for start in range(index.ntotal, size, _ADDED_AT_ONCE):
        if halted():
            raise BuildGivenUp
        index.add(matrix[start : min(start + _ADDED_AT_ONCE, size)].astype(np.float32))


def _copy_graph(source: Any, target: Any, matrix: Matrix) -> None:
    count = source.ntotal
    target.storage.add_sa_codes(matrix[:count].view(np.uint8))
    target.ntotal = count
    for name in ("levels", "offsets", "neighbors", "assign_probas", "cum_nneighbor_per_level"):
        copied = faiss.vector_to_array(getattr(source.hnsw, name))
        faiss.copy_array_to_vector(copied, getattr(target.hnsw, name))
    target.hnsw.entry_point = source.hnsw.entry_point
    target.hnsw.max_level = source.hnsw.max_level


def _without_lists(index: Any) -> Any:
    """The same centroids, and nothing in the lists."""
    make: Any = faiss
    quantizer = make.clone_index(index.quantizer)
    empty = make.IndexIVFScalarQuantizer(
        quantizer, index.d, index.nlist, faiss.ScalarQuantizer.QT_fp16, index.metric_type, False
    )
    quantizer.this.disown()
    empty.own_fields = True
    empty.is_trained = True
    return empty


def _read(path: Path, flags: int) -> Any:
    try:
        return faiss.read_index(str(path), flags)
    except RuntimeError as error:
        raise IndexDamaged(path=str(path), reason="FAISS cannot read it") from error
