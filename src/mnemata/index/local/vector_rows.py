"""The vectors themselves: one row of half-precision floats a slot, and exact search over them.

The rows lie in one file, mapped privately: what was saved is read from the page cache when it is needed, what is new
stays in memory until `save` appends it. FAISS reads the same memory: its indexes here are views and own nothing.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

from mnemata.domain.vector import Metric

Matrix: TypeAlias = NDArray[np.float16]
"""(capacity, d) float16, C-contiguous."""

Query: TypeAlias = NDArray[np.float32]
"""(1, d) float32, C-contiguous."""

FIRST_CAPACITY = 1_024
BLOCK = 4_096
"""Rows gathered at a time: 3 MB of 384 dimensions stay in the second-level cache and in already mapped pages."""

IN_ORDER = 0.5
"""A row read in order costs this part of one that is gathered first (0.04 us to 0.08 us, measured)."""

_FAISS_METRIC = {
    Metric.COSINE: faiss.METRIC_INNER_PRODUCT,
    Metric.DOT: faiss.METRIC_INNER_PRODUCT,
    Metric.L2: faiss.METRIC_L2,
}
_local = threading.local()


@dataclass(frozen=True, slots=True)
class Nearest:
    """(n,) int64 slots and (n,) float32 scores, larger is nearer, best first."""

    slots: NDArray[np.int64]
    scores: NDArray[np.float32]


NOTHING = Nearest(np.empty(0, np.int64), np.empty(0, np.float32))


class Rows:
    """The growing matrix over its file. One writer; readers take `matrix` and keep the one they took."""

    def __init__(self, path: Path, *, dimensions: int, size: int) -> None:
        self._path = path
        self._dimensions = dimensions
        self._width = dimensions * 2
        self.matrix = self._map(max(FIRST_CAPACITY, size))

    def reserve(self, size: int, *, written: int, used: int) -> None:
        """Make room for `size` rows, of which `used` hold something and the first `written` are in the file."""
        if size <= len(self.matrix):
            return
        larger = self._map(max(size, 2 * len(self.matrix)))
        larger[written:used] = self.matrix[written:used]
        self.matrix = larger

    def bytes_of(self, start: int, stop: int) -> memoryview:
        """The rows [start, stop) as they are written to the file."""
        return self.matrix[start:stop].reshape(-1).view(np.uint8).data

    def _map(self, capacity: int) -> Matrix:
        # A private mapping: memory behind the saved rows is ours alone, so that a full disk is an error of
        # `save` and never a signal in the middle of a search. The file is longer than its contents, but sparse.
        if not self._path.exists() or self._path.stat().st_size < capacity * self._width:
            with self._path.open("ab"):
                os.truncate(self._path, capacity * self._width)
        mapped = np.memmap(self._path, np.float16, mode="c", shape=(capacity, self._dimensions))
        return np.asarray(mapped)


def faiss_metric(metric: Metric) -> int:
    """FAISS's name for the metric. Cosine is the inner product of rows of unit length."""
    return _FAISS_METRIC[metric]


def as_scores(distances: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """Larger is nearer: the negated squared distance for L2."""
    return -distances if metric is Metric.L2 else distances


def view_of(matrix: Matrix, size: int, metric: Metric) -> faiss.IndexScalarQuantizer:
    """A FAISS index that reads the first `size` rows where they lie. The matrix must outlive it."""
    index = faiss.IndexScalarQuantizer(matrix.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss_metric(metric))
    point_at(index, matrix, size)
    index.ntotal = size
    return index


def point_at(index: faiss.IndexScalarQuantizer, matrix: Matrix, size: int) -> None:
    """Let a view read the same `size` rows at another place."""
    pointer, length = faiss.swig_ptr(matrix.reshape(-1).view(np.uint8)), size * matrix.shape[1] * 2
    codes: Any = index.codes  # the stub says a plain vector; it is a MaybeOwnedVector
    codes.is_owned = False
    codes.view_data = codes.c_ptr = pointer
    codes.view_size = codes.c_size = length


def single_threaded() -> None:
    """Let FAISS answer in the calling thread: for one query, waking other threads costs more than it saves.

    OpenMP keeps this number by thread, so every thread that searches says it once.
    """
    if not getattr(_local, "single", False):
        faiss.omp_set_num_threads(1)
        _local.single = True


def using_threads(count: int) -> None:
    """Let FAISS build with this many threads, in the calling thread, until it searches again."""
    faiss.omp_set_num_threads(count)
    _local.single = False


def nearest_of_all(
    matrix: Matrix, size: int, query: Query, *, k: int, metric: Metric, chosen: NDArray[np.bool_] | None
) -> Nearest:
    """The k nearest of the first `size` rows (of the `chosen` ones), reading them in order."""
    single_threaded()
    index = view_of(matrix, size, metric)
    make: Any = faiss  # the stubs know no keyword arguments
    parameters = None if chosen is None else make.SearchParameters(sel=selector(chosen))
    distances, slots = index.search(query, max(1, min(k, size)), params=parameters)
    found = slots[0] >= 0
    return Nearest(slots[0][found], as_scores(distances[0][found], metric))


def nearest_among(
    matrix: Matrix, slots: NDArray[np.int64], query: Query, *, k: int, metric: Metric
) -> Nearest:
    """The k nearest of the rows at `slots`, gathered block by block."""
    single_threaded()
    if len(slots) == 0:
        return NOTHING
    scratch = _scratch(matrix.shape[1], metric)
    parts = [
        scratch.nearest(matrix, slots[start : start + BLOCK], query, k)
        for start in range(0, len(slots), BLOCK)
    ]
    return parts[0] if len(parts) == 1 else best(parts, k)


def scores_at(matrix: Matrix, slots: NDArray[np.int64], query: Query, metric: Metric) -> NDArray[np.float32]:
    """(n,) float32: the score of each of `slots`, in their order."""
    single_threaded()
    scratch, scores = _scratch(matrix.shape[1], metric), np.empty(len(slots), np.float32)
    for start in range(0, len(slots), BLOCK):
        scores[start : start + BLOCK] = scratch.scores(matrix, slots[start : start + BLOCK], query)
    return scores


def best(parts: list[Nearest], k: int) -> Nearest:
    """The k best of several lists, best first."""
    together = joined(parts)
    order = np.argsort(-together.scores, kind="stable")[:k]
    return Nearest(together.slots[order], together.scores[order])


def joined(parts: list[Nearest]) -> Nearest:
    """Several lists one after the other."""
    return Nearest(
        np.concatenate([part.slots for part in parts]), np.concatenate([part.scores for part in parts])
    )


def first(found: Nearest, k: int) -> Nearest:
    return Nearest(found.slots[:k], found.scores[:k])


def moved(found: Nearest, by: int) -> Nearest:
    """The same slots counted from `by` rows before."""
    return Nearest(found.slots + by, found.scores)


def selector(chosen: NDArray[np.bool_]) -> Any:
    """Lets FAISS look at the chosen rows only: one bit a row."""
    make: Any = faiss  # the stubs know no selectors made from arrays
    return make.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))


class _Scratch:
    """One thread's room for gathered rows, and a FAISS view of it."""

    def __init__(self, dimensions: int, metric: Metric) -> None:
        self._metric = metric
        self._rows = np.zeros((BLOCK, dimensions), np.float16)
        self._whole = _whole_rows(self._rows)
        self._index = view_of(self._rows, BLOCK, metric)

    def nearest(self, matrix: Matrix, slots: NDArray[np.int64], query: Query, k: int) -> Nearest:
        distances, places = self._search(matrix, slots, query, min(k, len(slots)))
        return Nearest(slots[places], as_scores(distances, self._metric))

    def scores(self, matrix: Matrix, slots: NDArray[np.int64], query: Query) -> NDArray[np.float32]:
        distances, places = self._search(matrix, slots, query, len(slots))
        scores = np.full(len(slots), -np.inf, np.float32)
        scores[places] = as_scores(distances, self._metric)
        return scores

    def _search(
        self, matrix: Matrix, slots: NDArray[np.int64], query: Query, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        count = len(slots)
        _whole_rows(matrix).take(slots, out=self._whole[:count], mode="clip")  # 'raise' would copy twice
        self._index.ntotal = count
        distances, places = self._index.search(query, k)
        found = places[0] >= 0  # NaN is not nearer than anything
        return distances[0][found], places[0][found]


def _whole_rows(matrix: Matrix) -> NDArray[np.void]:
    """(n,): every row as one element, so that gathering copies rows and not numbers."""
    return matrix.view(np.dtype((np.void, matrix.shape[1] * 2))).reshape(-1)


def _scratch(dimensions: int, metric: Metric) -> _Scratch:
    kept: dict[tuple[int, Metric], _Scratch] | None = getattr(_local, "scratch", None)
    if kept is None:
        kept = _local.scratch = {}
    key = (dimensions, metric)
    if key not in kept:
        kept[key] = _Scratch(dimensions, metric)
    return kept[key]
