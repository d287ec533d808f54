"""The vector leg of one tenant: filters, exact and approximate nearest neighbours, on local disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.change import START, Position
from mnemata.domain.errors import IndexDamaged, SpaceMismatch
from mnemata.domain.filter import Everything, Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate
from mnemata.domain.vector import Metric, Space
from mnemata.index.local.column_filter import select
from mnemata.index.local.graph import BuildGivenUp, Halted
from mnemata.index.local.vector_files import FORMAT, read_manifest, remove_others, write_manifest
from mnemata.index.local.vector_generation import (
    Files,
    Generation,
    Unsaved,
    asked,
    numbers_of,
    prefix,
)
from mnemata.index.local.vector_options import VectorOptions
from mnemata.index.local.vector_rows import Query, scores_at
from mnemata.index.local.vector_search import Live, NearestSearch, slots_of
from mnemata.index.local.vector_upkeep import Upkeep
from mnemata.index.protocol import Embedded, Remove, Upsert, Vector
from mnemata.observability.logging import get_logger

__all__ = ["VectorLeg", "VectorOptions", "VectorStatistics", "memory_id"]

_log = get_logger("index")


def never() -> bool:
    """Nobody gives up."""
    return False


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
        self._upkeep = Upkeep(metric=metric, options=options)
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
        Upkeep(metric=metric, options=options).use_saved_index(loaded, body)
        position = Position(xid=body["position"][0], sequence=body["position"][1])
        return cls(path, space=space, metric=metric, options=options, generation=loaded, position=position)

    @property
    def position(self) -> Position:
        """What searches see."""
        return self._live.position

    @property
    def live(self) -> Live:
        """What searches see now: it never changes."""
        return self._live

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
        search = self.begin(vector, k=k, condition=condition)
        return list(search.join(search.find()))

    def begin(self, vector: Vector, *, k: int, condition: Filter) -> NearestSearch:
        """A search for the k nearest on what there is now: the filter is evaluated, and nothing compared yet."""
        return NearestSearch(self._live, self._query(vector), metric=self._metric, k=k, condition=condition)

    def score(self, vector: Vector, ids: Iterable[MemoryId]) -> dict[MemoryId, float]:
        """The exact score of each of those memories that has a vector."""
        live = self._live
        slots = slots_of(live, [wanted.int for wanted in ids])
        scores = scores_at(live.matrix, slots, self._query(vector), self._metric)
        return dict(zip(_ids_at(live, slots), scores.tolist(), strict=True))

    def vectors(self, ids: Iterable[MemoryId]) -> dict[MemoryId, Vector]:
        """The vectors of those memories that have one: (d,) float32, as stored at half precision."""
        live = self._live
        slots = slots_of(live, [wanted.int for wanted in ids])
        return dict(zip(_ids_at(live, slots), live.matrix[slots].astype(np.float32), strict=True))

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

    def maintain(self, halted: Halted = never, *, patient: bool = False) -> bool:
        """Do one thing that makes later searches faster or the index smaller. True if there was something to do.

        For a background thread, again and again: compacts when more than a fifth of the slots has ended, builds or
        extends the graph or lists. Searches and `apply` go on meanwhile. A build is given up within
        a second of `halted` being true. `patient`: many vectors are coming, and the graph or lists may lag behind by more.
        """
        with self._maintaining, suppress(BuildGivenUp):
            return self._compact(halted) or self._index(halted, patient=patient)
        return False

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

    def _seen(self, position: Position) -> Live:
        generation = self._generation
        return Live(
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
        if vector.size != self._space.dimensions:
            raise SpaceMismatch(expected=self._space.name, actual=f"{vector.size} dimensions")
        return asked(vector, self._metric)

    def _index(self, halted: Halted, *, patient: bool) -> bool:
        """Build or extend the graph or lists while searches use the old ones."""
        live = self._live
        index = self._upkeep.next_index(live.columns, live.matrix, live.index, halted, patient=patient)
        if index is None:
            return False
        with self._writing:
            self._generation.use_index(index)
            self._live = self._seen(self._live.position)
        _log.info("vector_index_extended", kind=index.kind, slots=index.size, path=str(self._path))
        return True

    def _compact(self, halted: Halted) -> bool:
        """Write the living slots to a new generation, let it catch up, and let it take the place of this one."""
        old, live = self._generation, self._live
        if not self._upkeep.is_due_for_compaction(live.columns):
            return False
        new, taken = self._upkeep.compacted(old, live.columns, live.matrix, halted)
        with self._saving, self._writing:
            new.catch_up(old, taken, live.columns.size)
            self._generation = new
            self._live = self._seen(self._live.position)
        _log.info("vector_slots_compacted", slots=live.columns.size, living=len(taken), path=str(self._path))
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


def _ids_at(live: Live, slots: NDArray[np.int64]) -> list[MemoryId]:
    return list(map(memory_id, numbers_of(live.columns, slots)))


def _number(action: Upsert | Remove) -> int:
    return action.memory.id.int if isinstance(action, Upsert) else action.memory_id.int


def _check_kind(path: Path, body: Mapping[str, Any], space: Space, metric: Metric) -> None:
    expected = {"format": FORMAT, "space": space.name, "dimensions": space.dimensions, "metric": metric.value}
    for name, value in expected.items():
        if body.get(name) != value:
            raise IndexDamaged(path=str(path), reason=f"its {name} is {body.get(name)!r}, not {value!r}")
