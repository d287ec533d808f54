"""What keeps a leg quick: an index over the rows when there are many, and a new generation without ended slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.vector import Metric
from mnemata.index.local.columns import Snapshot
from mnemata.index.local.graph import ApproximateIndex, Halted, HnswGraph, IvfLists
from mnemata.index.local.vector_generation import Generation
from mnemata.index.local.vector_options import VectorOptions
from mnemata.index.local.vector_rows import Matrix

_FEWEST = 256
"""Fewer vectors are never indexed, fewer ended slots never compacted."""

_ENDED_SHARE = 5
"""Compacted when more than one slot in this many has ended."""

_TAIL = 4_096
"""Slots behind the index that are searched exactly: 0.1 ms. More of them, and the index is extended."""

_TAIL_SHARE = 16
"""A large index is extended when its tail is this part of it (at most exact_below), since it is copied each time."""

_PATIENT_TAIL = 32_768
"""As `_TAIL`, while many vectors are coming: 1 ms a search, so that the cores are for those who write."""

_STRIDE = 32_768
_STRIDE_SHARE = 4
"""A graph grows by so many slots at once, a large one by such a part of it.

Of a million that wait, those that are in serve searches and are saved, and a process that stops loses one stride. Each
copies the graph: growing by a part of it, it is copied some four times in all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """Decides and builds; what it builds, the leg puts in place."""

    metric: Metric
    options: VectorOptions

    def next_index(
        self,
        columns: Snapshot,
        matrix: Matrix,
        known: ApproximateIndex | None,
        halted: Halted,
        *,
        patient: bool = False,
    ) -> ApproximateIndex | None:
        """An index that covers more slots, where the known one covers too few; else None. A graph may need several.

        `patient`: it may cover fewer for now.
        """
        kind = self._wanted(columns.vectors)
        if kind is None or not self._is_behind(columns.size, kind, known, patient=patient):
            return None
        grown = known if known is not None and known.kind == kind else None
        size = columns.size if kind == "ivf" else _next_size(columns.size, grown)
        if grown is not None:
            return grown.extended(matrix, columns.comparable[:size], halted)
        return self._build(columns, matrix, kind, halted, size=size)

    def is_due_for_compaction(self, columns: Snapshot) -> bool:
        ended = columns.size - columns.living
        return ended >= _FEWEST and ended * _ENDED_SHARE > columns.size

    def compacted(
        self, old: Generation, columns: Snapshot, matrix: Matrix, halted: Halted
    ) -> tuple[Generation, NDArray[np.int64]]:
        """A new generation with the living slots of the old one, indexed; and which slots those are."""
        new = Generation.create(
            old.folder, number=old.number + 1, metric=self.metric, dimensions=matrix.shape[1]
        )
        taken = np.flatnonzero(columns.alive)
        new.adopt(columns, matrix, taken)
        new.publish()
        new.know_ids()
        kind = self._wanted(columns.vectors)
        if kind is not None:
            new.use_index(self._build(new.snapshot, new.matrix, kind, halted, size=new.snapshot.size))
        return new, taken

    def use_saved_index(self, generation: Generation, body: Mapping[str, Any]) -> None:
        """Let a loaded generation search with its saved index, unless the options want another kind."""
        state, kind = generation.files.index, body["kind"]
        if state is None or kind != self._kind:
            return
        path, options = generation.folder / state.name, self.options.graph
        if kind == "ivf":
            index = IvfLists.read(path, body["indexed"], metric=self.metric, options=options)
        else:
            index = HnswGraph.read(path, generation.matrix, metric=self.metric, options=options)
        generation.use_saved_index(index)

    @property
    def _kind(self) -> str | None:
        match self.options.algorithm:
            case "exact":
                return None
            case "auto" | "hnsw":
                return "hnsw"
            case "ivf":
                return "ivf"

    def _wanted(self, vectors: int) -> str | None:
        """The kind of index that so many vectors want."""
        enough = (
            vectors > self.options.exact_below if self.options.algorithm == "auto" else vectors >= _FEWEST
        )
        return self._kind if enough else None

    def _is_behind(self, size: int, kind: str, known: ApproximateIndex | None, *, patient: bool) -> bool:
        covered = 0 if known is None or known.kind != kind else known.size
        if patient and size - covered <= _PATIENT_TAIL:
            return False
        if covered == 0:
            return True
        return size - covered > max(_TAIL, min(covered // _TAIL_SHARE, self.options.exact_below))

    def _build(
        self, columns: Snapshot, matrix: Matrix, kind: str, halted: Halted, *, size: int
    ) -> ApproximateIndex:
        if kind == "ivf":
            return IvfLists.build(
                matrix, columns.comparable, metric=self.metric, options=self.options.graph, halted=halted
            )
        return HnswGraph.build(matrix, size, metric=self.metric, options=self.options.graph, halted=halted)


def _next_size(size: int, known: ApproximateIndex | None) -> int:
    """How many slots the next graph covers."""
    covered = 0 if known is None else known.size
    return min(size, covered + max(_STRIDE, covered // _STRIDE_SHARE))
