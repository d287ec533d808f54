"""The vector leg of one tenant: filters, exact and approximate nearest neighbours, on local disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.change import START, Position
from mnemata.domain.errors import IndexDamaged, SpaceMismatch
from mnemata.domain.filter import AnyOf, Everything, Field, Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate
from mnemata.domain.vector import Metric, Space
from mnemata.index.local.column_filter import Chosen, Few, Many, select, select_comparable
from mnemata.index.local.column_ids import IdSlots
from mnemata.index.local.columns import Snapshot
from mnemata.index.local.graph import ApproximateIndex, GraphOptions, HnswGraph, IvfLists
from mnemata.index.local.vector_files import (
    FORMAT,
    read_manifest,
    remove_others,
    write_manifest,
)
from mnemata.index.local.vector_generation import Files, Generation, Unsaved, numbers_of, prefix, prepared
from mnemata.index.local.vector_rows import (
    NOTHING,
    Matrix,
    Nearest,
    Query,
    best,
    nearest_among,
    nearest_of_all,
    scores_at,
)
from mnemata.index.protocol import Embedded, Remove, Upsert, Vector
from mnemata.observability.logging import get_logger

_log = get_logger("index")

Algorithm = Literal["auto", "exact", "hnsw", "ivf"]

_TIES = 16
"""Asked for beyond k, so that memories of equal score come in the order of their ids across the cut, too."""

_SEAL_AT = 65_536
"""Ids in the dictionary beyond which `maintain` moves them into arrays."""

_FEWEST_INDEXED = 256
"""Fewer vectors are never indexed, fewer ended slots never compacted."""

_ENDED_SHARE = 5
"""Compacted when more than one slot in this many has ended."""

_TAIL = 4_096
"""Slots behind the index that are searched exactly: 0.1 ms. More of them, and the index is extended."""

_TAIL_SHARE = 16
"""A large index is extended when its tail is this part of it (at most exact_below), since it is copied each time."""

_SCAN = 4
"""With more than one row in this many chosen, reading all rows in order is faster than gathering the chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorOptions:
    """How one tenant's vectors are searched; see settings.SearchSettings for what each means."""

    algorithm: Algorithm = "auto"
    exact_below: int = 20_000
    hnsw_m: int = 24
    hnsw_ef_construction: int = 120
    hnsw_ef_search: int = 96
    ivf_nprobe: int = 32
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStatistics:
    """`deleted`: slots whose memory was changed or removed, until `maintain` compacts. Bytes as of the last save."""

    documents: int
    vectors: int
    deleted: int
    indexed: int
    algorithm: str
    bytes_on_disk: int
    bytes_in_memory: int
    position: Position
    durable_position: Position


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a search found, best first, ties by id, without an object a memory.

    `numbers`: the ids as 128-bit integers (`MemoryId.int`); `scores`: (n,) float32, larger is nearer.
    """

    numbers: list[int]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    """What a reader works on from start to end: nothing in it changes."""

    columns: Snapshot
    matrix: Matrix
    ids: IdSlots
    index: ApproximateIndex | None
    position: Position


class VectorLeg:
    """Blocking and thread-safe: any number of threads search while one applies, saves or maintains."""

    def __init__(
        self,
        path: Path,
        *,
        space: Space,
        metric: Metric,
        options: VectorOptions,
        generation: Generation,
        position: Position,
    ) -> None:
        self._path = path
        self._space = space
        self._metric = metric
        self._options = options
        self._writing = threading.Lock()
        self._saving = threading.Lock()
        self._maintaining = threading.Lock()
        self._generation = generation
        self._durable = position
        self._live = self._seen(position)

    @classmethod
    def open(cls, path: Path, *, space: Space, metric: Metric, options: VectorOptions) -> VectorLeg:
        """The leg that was saved at `path`, or an empty one at START.

        Raises IndexDamaged where files are missing or damaged, or of another format, space or metric.
        """
        path.mkdir(parents=True, exist_ok=True)
        body = read_manifest(path)
        if body is None:
            remove_others(path, set(), spare=prefix(0))
            fresh = Generation.create(path, number=1, metric=metric, dimensions=space.dimensions)
            return cls(path, space=space, metric=metric, options=options, generation=fresh, position=START)
        _check_kind(path, body, space, metric)
        loaded = Generation.load(path, body, metric=metric, dimensions=space.dimensions)
        _read_index(loaded, body, metric, options)
        position = Position(xid=body["position"][0], sequence=body["position"][1])
        return cls(path, space=space, metric=metric, options=options, generation=loaded, position=position)

    @property
    def position(self) -> Position:
        """What searches see."""
        return self._live.position

    @property
    def durable_position(self) -> Position:
        """Where a restart resumes: the position of the last save."""
        return self._durable

    def apply(self, actions: Sequence[Upsert | Remove], *, position: Position) -> None:
        """Apply the actions in order; on return every search sees them all. No search sees a part of them.

        Of several actions on one memory the last one counts. Raises SpaceMismatch, before anything is applied,
        where a vector is of another space.
        """
        for action in actions:
            self._check_space(action)
        last = {_number(action): action for action in actions}
        upserts = [action for action in last.values() if isinstance(action, Upsert)]
        removals = [number for number, action in last.items() if isinstance(action, Remove)]
        with self._writing:
            self._generation.write(upserts, removals)
            self._live = self._seen(position)

    def search(self, vector: Vector, *, k: int, condition: Filter) -> list[Candidate]:
        """The k nearest memories that the filter matches, best first, ties by memory id."""
        found = self.nearest(vector, k=k, condition=condition)
        return [
            Candidate(memory_id=memory_id(number), score=score)
            for number, score in zip(found.numbers, found.scores.tolist(), strict=True)
        ]

    def nearest(self, vector: Vector, *, k: int, condition: Filter) -> Ranked:
        """As `search`, as numbers: for callers that join many candidates before they need a memory's id."""
        live = self._live
        found = self._nearest(live, self._query(vector), k + _TIES, condition)
        return _ranked(live.columns, found, k)

    def score(self, vector: Vector, ids: Iterable[MemoryId]) -> dict[MemoryId, float]:
        """The exact score of each of those memories that has a vector."""
        wanted = list(ids)
        scores = self.scores_of(vector, [wanted_id.int for wanted_id in wanted])
        return {wanted_id: scores[wanted_id.int] for wanted_id in wanted if wanted_id.int in scores}

    def scores_of(self, vector: Vector, numbers: Sequence[int]) -> dict[int, float]:
        """As `score`, with ids as 128-bit integers."""
        live = self._live
        present, slots = _compared(live, numbers)
        scores = scores_at(live.matrix, slots, self._query(vector), self._metric)
        return dict(zip(present, scores.tolist(), strict=True))

    def vectors(self, ids: Iterable[MemoryId]) -> dict[MemoryId, Vector]:
        """The vectors of those memories that have one: (d,) float32, as stored at half precision."""
        live = self._live
        present, slots = _compared(live, [wanted.int for wanted in ids])
        rows = live.matrix[slots].astype(np.float32)
        return {memory_id(number): row for number, row in zip(present, rows, strict=True)}

    def count(self, condition: Filter) -> int:
        """How many memories the filter matches, also those whose vector is pending."""
        columns = self._live.columns
        if isinstance(condition, Everything):
            return columns.living
        return select(columns, condition).count

    def matching(self, condition: Filter) -> frozenset[MemoryId]:
        """The memories that the filter matches, also those whose vector is pending."""
        columns = self._live.columns
        return frozenset(map(memory_id, numbers_of(columns, select(columns, condition).numbers())))

    def save(self) -> None:
        """Make everything applied durable, with its position, atomically. Costs what is new since the last save.

        Raises OSError where the disk does not take it; the last save then still stands.
        """
        with self._saving:
            with self._writing:
                generation, position, unsaved = (
                    self._generation,
                    self._live.position,
                    self._generation.unsaved(),
                )
            files = generation.append_to_files(unsaved)
            write_manifest(self._path, self._manifest(generation, files, position, unsaved))
            with self._writing:
                generation.committed(unsaved, files)
                self._durable = position
            kept = {state.name for state in files.present}
            remove_others(self._path, kept, spare=prefix(generation.number + 1))

    def maintain(self) -> bool:
        """Do one thing that makes later searches faster or the index smaller. True if there was something to do.

        For a background thread, again and again: compacts when more than a fifth of the slots has ended, builds or
        extends the graph or lists, packs the ids. Searches and `apply` go on meanwhile.
        """
        with self._maintaining:
            return self._compact() or self._extend_index() or self._pack_ids()

    def verify(self) -> None:
        """Read every saved file. Raises IndexDamaged where a checksum is wrong."""
        with self._saving:
            files = self._generation.files
            for state in files.present:
                state.check_contents(self._path)

    def statistics(self) -> VectorStatistics:
        columns, generation = self._live.columns, self._generation
        files, index = generation.files, self._live.index
        return VectorStatistics(
            documents=columns.living,
            vectors=columns.vectors,
            deleted=columns.size - columns.living,
            indexed=0 if index is None else index.size,
            algorithm="exact" if index is None else index.kind,
            bytes_on_disk=sum(state.size for state in files.present),
            bytes_in_memory=generation.nbytes,
            position=self._live.position,
            durable_position=self._durable,
        )

    def close(self) -> None:
        """Wait for a save in progress. What was applied since is not saved: call `save` before. Idempotent."""
        self._saving.acquire()
        self._saving.release()

    def _seen(self, position: Position) -> _Live:
        generation = self._generation
        return _Live(
            columns=generation.snapshot,
            matrix=generation.matrix,
            ids=generation.ids,
            index=generation.index,
            position=position,
        )

    def _check_space(self, action: Upsert | Remove) -> None:
        if (
            isinstance(action, Upsert)
            and isinstance(action.vector, Embedded)
            and action.vector.space != self._space
        ):
            raise SpaceMismatch(expected=self._space.name, actual=action.vector.space.name)

    def _query(self, vector: Vector) -> Query:
        query = np.ascontiguousarray(vector, np.float32).reshape(1, -1)
        if query.shape[1] != self._space.dimensions:
            raise SpaceMismatch(expected=self._space.name, actual=f"{query.shape[1]} dimensions")
        return prepared(query, self._metric)

    def _nearest(self, live: _Live, query: Query, k: int, condition: Filter) -> Nearest:
        if isinstance(condition, Everything):
            chosen = None if live.columns.whole else Many(live.columns.comparable)
        else:
            chosen = select_comparable(live.columns, condition)
        index = live.index
        if index is not None and self._index_is_faster(index, live.columns.size, chosen, k):
            found = self._approximate(live, index, query, k, chosen)
            if found is not None:
                return found
        return self._exact(live, query, k, chosen)

    def _index_is_faster(self, index: ApproximateIndex, size: int, chosen: Chosen | None, k: int) -> bool:
        count = size if chosen is None else chosen.count
        if count <= self._options.exact_below:
            return False
        # In gathered rows: reading all rows in order takes half as long a row as gathering some.
        exact = size / 2 if chosen is None else count
        return index.cost(k=k, share=count / size) < exact

    def _approximate(
        self, live: _Live, index: ApproximateIndex, query: Query, k: int, chosen: Chosen | None
    ) -> Nearest | None:
        """What the index finds in its slots, and exact search in those behind. None where it found too few."""
        size, covered = live.columns.size, index.size
        mask = None if chosen is None else chosen.mask_of(size)
        held = covered if mask is None else int(np.count_nonzero(mask[:covered]))
        if held == 0:
            return None
        indexed = index.search(
            query, k=k, chosen=None if mask is None else mask[:covered], share=held / covered
        )
        if len(indexed.slots) < min(k - _TIES, held):
            return None
        tail = np.arange(covered, size) if mask is None else covered + np.flatnonzero(mask[covered:])
        later = nearest_among(live.matrix, tail, query, k=k, metric=self._metric)
        return best([indexed, later], k) if len(later.slots) else indexed

    def _exact(self, live: _Live, query: Query, k: int, chosen: Chosen | None) -> Nearest:
        """The k nearest, by comparing every chosen row (None: all of them)."""
        matrix, size = live.matrix, live.columns.size
        match chosen:
            case None if size == 0:
                return NOTHING
            case None:
                return nearest_of_all(matrix, size, query, k=k, metric=self._metric, chosen=None)
            case Many(mask=mask) if chosen.count * _SCAN > size:
                return nearest_of_all(matrix, size, query, k=k, metric=self._metric, chosen=mask)
            case Few() | Many():
                return nearest_among(matrix, chosen.numbers(), query, k=k, metric=self._metric)

    def _wanted_index(self, vectors: int) -> str | None:
        """The kind of index that so many vectors want."""
        match self._options.algorithm:
            case "exact":
                return None
            case "auto":
                return "hnsw" if vectors > self._options.exact_below else None
            case "hnsw" | "ivf" as kind:
                return kind if vectors >= _FEWEST_INDEXED else None

    def _extend_index(self) -> bool:
        live, generation = self._live, self._generation
        kind = self._wanted_index(live.columns.vectors)
        if kind is None or not self._is_behind(live, kind):
            return False
        index = self._index_over(live.columns, live.matrix, kind, live.index)
        with self._writing:
            generation.use_index(index)
            self._live = self._seen(self._live.position)
        _log.info("vector_index_extended", kind=kind, slots=index.size, path=str(self._path))
        return True

    def _is_behind(self, live: _Live, kind: str) -> bool:
        index = live.index
        if index is None or index.kind != kind:
            return True
        unindexed = live.columns.size - index.size
        return unindexed > max(_TAIL, min(index.size // _TAIL_SHARE, self._options.exact_below))

    def _index_over(
        self, columns: Snapshot, matrix: Matrix, kind: str, known: ApproximateIndex | None
    ) -> ApproximateIndex:
        options = self._options.graph
        if known is not None and known.kind == kind:
            return known.extended(matrix, columns.comparable)
        if kind == "ivf":
            return IvfLists.build(matrix, columns.comparable, metric=self._metric, options=options)
        return HnswGraph.build(matrix, columns.size, metric=self._metric, options=options)

    def _compact(self) -> bool:
        """Write the living slots to a new generation, index it, let it catch up and take the place of this one."""
        old, columns, matrix = self._generation, self._live.columns, self._live.matrix
        ended = columns.size - columns.living
        if ended < _FEWEST_INDEXED or ended * _ENDED_SHARE <= columns.size:
            return False
        new = Generation.create(
            self._path, number=old.number + 1, metric=self._metric, dimensions=self._space.dimensions
        )
        taken = np.flatnonzero(columns.alive)
        new.adopt(columns, matrix, taken)
        new.publish()
        new.seal_ids()
        kind = self._wanted_index(columns.vectors)
        if kind is not None:
            new.use_index(self._index_over(new.snapshot, new.matrix, kind, None))
        with self._saving, self._writing:
            new.catch_up(old, taken, columns.size)
            self._generation = new
            self._live = self._seen(self._live.position)
        _log.info("vector_slots_compacted", ended=ended, living=len(taken), path=str(self._path))
        return True

    def _pack_ids(self) -> bool:
        with self._writing:
            if self._generation.ids.unsealed < _SEAL_AT:
                return False
            self._generation.seal_ids()
            return True

    def _manifest(
        self, generation: Generation, files: Files, position: Position, unsaved: Unsaved
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "space": self._space.name,
            "dimensions": self._space.dimensions,
            "metric": self._metric.value,
            "position": [position.xid, position.sequence],
            "number": generation.number,
            "slots": unsaved.saved.slots,
            "kind": None if unsaved.index is None else unsaved.index.kind,
            "indexed": 0 if unsaved.index is None else unsaved.index.size,
            **asdict(files),
        }


def memory_id(number: int) -> MemoryId:
    """The id as an object, from its 128-bit integer."""
    return MemoryId(UUID(int=number))


def _number(action: Upsert | Remove) -> int:
    return action.memory.id.int if isinstance(action, Upsert) else action.memory_id.int


def _compared(live: _Live, numbers: Sequence[int]) -> tuple[list[int], NDArray[np.int64]]:
    """Those of the memories that have a vector, and their slots."""
    columns = live.columns
    found = [(number, slot) for number in numbers if (slot := _slot_of(live, number)) is not None]
    slots = np.array([slot for _, slot in found], np.int64)
    held = columns.lives(slots) & columns.column("has_vector", slots)
    return [number for (number, _), holds in zip(found, held.tolist(), strict=True) if holds], slots[held]


def _slot_of(live: _Live, number: int) -> int | None:
    slot = live.ids.find(number)
    if slot is None or slot < live.columns.size:
        return slot
    # The memory was changed after this snapshot: look for the slot that it had before.
    unchanged = AnyOf(field=Field(name="id"), values=(str(UUID(int=number)),))
    before = select(live.columns, unchanged).numbers()
    return int(before[0]) if len(before) else None


def _ranked(columns: Snapshot, found: Nearest, k: int) -> Ranked:
    high, low = columns.column("id_high", found.slots), columns.column("id_low", found.slots)
    order = np.lexsort((low, high, -found.scores))[:k]
    return Ranked(numbers_of(columns, found.slots[order]), found.scores[order])


def _read_index(
    generation: Generation, body: Mapping[str, Any], metric: Metric, options: VectorOptions
) -> None:
    """Use the saved graph or lists, unless the options want another kind."""
    state, kind = generation.files.index, body["kind"]
    if state is None or kind != ("hnsw" if options.algorithm == "auto" else options.algorithm):
        return
    path = generation.folder / state.name
    if kind == "ivf":
        index = IvfLists.read(path, body["indexed"], metric=metric, options=options.graph)
    else:
        index = HnswGraph.read(path, generation.matrix, metric=metric, options=options.graph)
    generation.use_saved_index(index)


def _check_kind(path: Path, body: Mapping[str, Any], space: Space, metric: Metric) -> None:
    expected = {"format": FORMAT, "space": space.name, "dimensions": space.dimensions, "metric": metric.value}
    for name, value in expected.items():
        if body.get(name) != value:
            raise IndexDamaged(path=str(path), reason=f"its {name} is {body.get(name)!r}, not {value!r}")
