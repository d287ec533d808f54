"""One generation of a tenant's vector leg: columns, rows and ids that share slot numbers, and their files.

Compaction writes a new generation beside the old one. Within a generation slots are only ever added.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mnemata.domain.errors import IndexDamaged
from mnemata.domain.vector import Metric
from mnemata.index.local.column_ids import NOT_THERE, IdSlots
from mnemata.index.local.columns import Columns, Snapshot
from mnemata.index.local.graph import ApproximateIndex
from mnemata.index.local.vector_files import FileState, Saved, append, frame, load_columns, state_of
from mnemata.index.local.vector_rows import BLOCK, Matrix, Rows
from mnemata.index.protocol import Embedded, Upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What of this generation is on disk: the columns' log, the rows, which slots have ended, the graph or lists."""

    columns: FileState
    rows: FileState
    ended: FileState
    index: FileState | None = None
    saves: int = 0

    @property
    def present(self) -> list[FileState]:
        states = (self.columns, self.rows, self.ended, self.index)
        return [state for state in states if state is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsaved:
    """What a save has to write, taken in one moment; the rows in it never change again."""

    frame: bytes
    rows: memoryview
    ended: bytes
    index: ApproximateIndex | None
    saved: Saved


class Generation:
    """One writer (`write`, `unsaved`, `committed`); readers use `columns.snapshot`, `matrix` and `ids`."""

    def __init__(
        self,
        folder: Path,
        *,
        number: int,
        metric: Metric,
        columns: Columns,
        rows: Rows,
        files: Files,
        saved: Saved,
    ) -> None:
        self.folder = folder
        self.number = number
        self.files = files
        self.ids = IdSlots(columns)
        self._metric = metric
        self.index: ApproximateIndex | None = None
        self._columns = columns
        self._rows = rows
        self._saved = saved
        self._saved_index: ApproximateIndex | None = None

    @classmethod
    def create(cls, folder: Path, *, number: int, metric: Metric, dimensions: int) -> Generation:
        files = Files(
            columns=FileState(name=f"{prefix(number)}columns.log"),
            rows=FileState(name=f"{prefix(number)}rows.f16"),
            ended=FileState(name=f"{prefix(number)}ended-0.bits"),
        )
        rows = Rows(folder / files.rows.name, dimensions=dimensions, size=0)
        return cls(
            folder, number=number, metric=metric, columns=Columns(), rows=rows, files=files, saved=Saved()
        )

    @classmethod
    def load(cls, folder: Path, body: dict[str, Any], *, metric: Metric, dimensions: int) -> Generation:
        """The generation that a manifest's body describes. Raises IndexDamaged."""
        files = Files(
            columns=FileState(**body["columns"]),
            rows=FileState(**body["rows"]),
            ended=FileState(**body["ended"]),
            index=None if body["index"] is None else FileState(**body["index"]),
            saves=body["saves"],
        )
        for state in files.present:
            state.check(folder)
        columns, saved = _load_columns(folder, files, body["slots"])
        if files.rows.size != columns.size * dimensions * 2:
            raise IndexDamaged(path=str(folder / files.rows.name), reason="the number of rows is wrong")
        rows = Rows(folder / files.rows.name, dimensions=dimensions, size=columns.size)
        generation = cls(
            folder, number=body["number"], metric=metric, columns=columns, rows=rows, files=files, saved=saved
        )
        generation.know_ids()
        return generation

    @property
    def snapshot(self) -> Snapshot:
        return self._columns.snapshot

    @property
    def matrix(self) -> Matrix:
        return self._rows.matrix

    @property
    def nbytes(self) -> int:
        """Bytes in memory of columns, ids, rows and graph, without the dictionaries of strings."""
        index = 0 if self.index is None else self.index.nbytes
        rows = self._columns.size * self.matrix.shape[1] * 2
        return self._columns.nbytes + self.ids.nbytes + rows + index

    def write(self, upserts: Sequence[Upsert], removals: Sequence[int]) -> None:
        """Put the memories in new slots, end the slots that they replace and those removed; readers see it at once.

        An upsert that would change nothing takes no slot: replays do not let the index grow.
        """
        vectors = self._half_precision(upserts)
        replaced = self._living([upsert.memory.id.int for upsert in upserts])
        changed = [
            place
            for place, upsert in enumerate(upserts)
            if not self._is_current(int(replaced[place]), upsert, vectors[place])
        ]
        self._append([upserts[place] for place in changed], vectors[changed])
        ended = np.concatenate([replaced[changed], self._living(removals)])
        ended = ended[ended != NOT_THERE]
        if changed or len(ended):
            self._columns.end(ended)
            self._columns.publish()

    def unsaved(self) -> Unsaved:
        """What was written since the last save."""
        data, now = frame(self._columns, self._saved)
        return Unsaved(
            frame=data if now != self._saved else b"",
            rows=self._rows.bytes_of(self._saved.slots, now.slots),
            ended=np.packbits(~self.snapshot.alive, bitorder="little").tobytes(),
            index=self.index,
            saved=now,
        )

    def append_to_files(self, unsaved: Unsaved) -> Files:
        """Make it durable, without changing anything that the last manifest names. Raises OSError."""
        saves = self.files.saves + 1
        ended = FileState(name=f"{prefix(self.number)}ended-{saves}.bits")
        return Files(
            columns=append(self.folder, self.files.columns, unsaved.frame),
            rows=append(self.folder, self.files.rows, unsaved.rows),
            ended=append(self.folder, ended, unsaved.ended),
            index=self._write_index(unsaved.index, saves),
            saves=saves,
        )

    def committed(self, unsaved: Unsaved, files: Files) -> None:
        """The manifest names these files now."""
        self._saved, self._saved_index, self.files = unsaved.saved, unsaved.index, files

    def use_saved_index(self, index: ApproximateIndex) -> None:
        """Search with the graph or lists that were read from this generation's file."""
        self.index = self._saved_index = index

    def use_index(self, index: ApproximateIndex) -> None:
        """Search with this graph or these lists from the next snapshot on."""
        index.attach(self.matrix)
        self.index = index

    def adopt(self, source: Snapshot, matrix: Matrix, slots: NDArray[np.int64]) -> None:
        """Copy slots of another generation behind the last one, unpublished."""
        start, stop = self._columns.size, self._columns.size + len(slots)
        self._reserve(stop)
        for place in range(0, len(slots), BLOCK):
            part = slots[place : place + BLOCK]
            self.matrix[start + place : start + place + len(part)] = matrix[part]
        self._columns.adopt(source, slots)

    def catch_up(self, source: Generation, taken: NDArray[np.int64], taken_of: int) -> None:
        """What happened in `source` since its slots `taken` (of the first `taken_of`) were adopted here."""
        now = source.snapshot
        ended = np.flatnonzero(~now.lives(taken))
        newer = taken_of + np.flatnonzero(now.alive[taken_of:])
        start = self._columns.size
        self.adopt(now, source.matrix, newer)
        self.ids.put(np.arange(start, self._columns.size))
        self._columns.end(ended)
        self._columns.publish()

    def publish(self) -> None:
        """Let readers see what was adopted."""
        self._columns.publish()

    def know_ids(self) -> None:
        """Let every living slot be found by its id."""
        self.ids.put(np.flatnonzero(self.snapshot.alive))

    def _append(self, upserts: Sequence[Upsert], vectors: NDArray[np.float16]) -> None:
        if not upserts:
            return
        start, stop = self._columns.size, self._columns.size + len(upserts)
        self._reserve(stop)
        self._rows.matrix[start:stop] = vectors
        self._columns.append(
            [upsert.memory for upsert in upserts],
            [isinstance(upsert.vector, Embedded) for upsert in upserts],
            [upsert.mark for upsert in upserts],
        )
        self.ids.put(np.arange(start, stop))

    def _reserve(self, size: int) -> None:
        self._rows.reserve(size, written=self._saved.slots, used=self._columns.size)
        if self.index is not None:
            self.index.attach(self.matrix)

    def _write_index(self, index: ApproximateIndex | None, saves: int) -> FileState | None:
        if index is None or index is self._saved_index:
            return self.files.index if index is not None else None
        name = f"{prefix(self.number)}{index.kind}-{saves}.faiss"
        index.write(self.folder / name)
        return state_of(self.folder, name)

    def _living(self, numbers: Sequence[int]) -> NDArray[np.int64]:
        """(n,) int64: where each memory lives, NOT_THERE where it does not."""
        slots = self.ids.slots(numbers)
        return np.where(self._columns.living(slots), slots, NOT_THERE)

    def _is_current(self, slot: int, upsert: Upsert, row: NDArray[np.float16]) -> bool:
        if slot == NOT_THERE:
            return False
        arrays = self.snapshot.arrays
        return bool(
            arrays["version"][slot] == upsert.memory.version
            and arrays["mark"][slot] == upsert.mark
            and arrays["has_vector"][slot] == isinstance(upsert.vector, Embedded)
            and np.array_equal(self.matrix[slot].view(np.uint16), row.view(np.uint16))
        )

    def _half_precision(self, upserts: Sequence[Upsert]) -> NDArray[np.float16]:
        """(n, d) float16: the vectors, zeros where one is pending."""
        vectors = np.zeros((len(upserts), self.matrix.shape[1]), np.float32)
        for place, upsert in enumerate(upserts):
            if isinstance(upsert.vector, Embedded):
                vectors[place] = upsert.vector.vector
        return prepared(vectors, self._metric).astype(np.float16)


def prefix(number: int) -> str:
    """How the names of a generation's files start."""
    return f"g{number}-"


def numbers_of(columns: Snapshot, slots: NDArray[np.int64]) -> list[int]:
    """The ids at `slots`, as 128-bit integers."""
    return as_numbers(columns.column("id_high", slots), columns.column("id_low", slots))


def as_numbers(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> list[int]:
    """Ids as 128-bit integers, from their halves."""
    return [above << 64 | below for above, below in zip(high.tolist(), low.tolist(), strict=True)]


def prepared(vectors: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """(n, d) float32 as the metric compares them: of unit length for cosine. A zero vector stays zero."""
    if metric is not Metric.COSINE:
        return vectors
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    lengths[lengths == 0] = 1
    return vectors / lengths


def asked(vector: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """(1, d) float32: one vector `prepared`, in a fifth of the time that the general way takes for a single row."""
    row = np.ascontiguousarray(vector, np.float32).reshape(1, -1)
    if metric is not Metric.COSINE:
        return row
    length = math.sqrt(float(np.vdot(row, row)))
    return row / np.float32(length or 1.0)


def _load_columns(folder: Path, files: Files, slots: int) -> tuple[Columns, Saved]:
    try:
        log = memoryview((folder / files.columns.name).read_bytes())[: files.columns.size]
        bits = np.frombuffer((folder / files.ended.name).read_bytes(), np.uint8)
        ended = np.unpackbits(bits, count=slots, bitorder="little").astype(np.bool_)
        return load_columns(log, ended)
    except (OSError, ValueError, KeyError, struct.error, StopIteration, orjson.JSONDecodeError) as error:
        raise IndexDamaged(path=str(folder / files.columns.name), reason="it cannot be read") from error
