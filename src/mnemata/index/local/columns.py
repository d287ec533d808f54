"""What the vector leg knows of every memory besides its vector: one row (slot) a version, column by column.

Slots are append-only. A change of a memory takes a new slot and ends the old one: `ended[slot]` is the batch that did.
A reader holds a Snapshot (batch, number of slots) and sees exactly the slots that live in it, without a lock,
while the writer goes on behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.attributes import attribute_terms
from mnemata.domain.memory import Memory
from mnemata.index.local.column_terms import ABSENT, Terms

STRINGS: Final = ("kind", "user_id", "agent_id", "session_id", "role", "source", "external_id")
TIMES: Final = ("occurred_at", "created_at", "updated_at", "expires_at")
LISTS: Final = ("tags", "attributes")
NO_NUMBER: Final = -(1 << 63)
"""Stands in integer columns for 'no value'. No time and no sequence is as low."""

NEVER: Final = (1 << 63) - 1
"""Later than any time in a column."""

LIVING: Final = (1 << 32) - 1
"""In `ended`: not ended yet."""

ROW: Final = np.dtype(
    [("id_high", "<u8"), ("id_low", "<u8")]
    + [(name, "<i4") for name in STRINGS]
    + [(name, "<i8") for name in (*TIMES, "sequence", "version")]
    + [
        ("importance", "<f8"),
        ("mark", "<u8"),
        ("tags_end", "<u4"),
        ("attributes_end", "<u4"),
        ("has_vector", "?"),
    ]
)
"""One slot, as it is written to disk. `tags_end`: where its postings end, and the next slot's start."""

Scalar = TypeVar("Scalar", bound=np.generic)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_CAPACITY = 1_024
_LOW = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Postings:
    """(m,) int32 each: `codes[i]` is a term of slot `slots[i]`; slots ascend."""

    slots: NDArray[np.int32]
    codes: NDArray[np.int32]


@dataclass(frozen=True)
class Snapshot:
    """The columns as of one batch. Arrays may be longer than `size`: what lies behind is not of this snapshot."""

    batch: int
    size: int
    arrays: dict[str, NDArray[Any]]
    ended: NDArray[np.uint32]
    postings: dict[str, Postings]
    terms: dict[str, Terms]
    living: int
    vectors: int
    first_expiry: int
    """When the first of the living expires, in microseconds since 1970; NEVER where none does."""

    def column(self, name: str, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """The column at `rows`, or of every slot."""
        array = self.arrays[name]
        return array[: self.size] if rows is None else array[rows]

    def posting_places(
        self, name: str, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the postings of `rows` stand, row by row: (m,) which of `rows` each is of, and (m,) its place."""
        ends = self.arrays[f"{name}_end"]
        starts = np.where(rows == 0, 0, ends[np.maximum(rows - 1, 0)]).astype(np.int64)
        counts = ends[rows].astype(np.int64) - starts
        owners = np.repeat(np.arange(len(rows)), counts)
        return owners, np.arange(len(owners)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)

    def lives(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
        """Which of `rows` (or of all slots) are the current version of a memory that is here."""
        return self.alive if rows is None else self.ended[rows] > self.batch

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        return self.ended[: self.size] > self.batch

    @cached_property
    def comparable(self) -> NDArray[np.bool_]:
        """The living slots that have a vector."""
        return self.alive & self.column("has_vector")

    @property
    def whole(self) -> bool:
        """Every slot lives and has a vector."""
        return self.vectors == self.size


class Columns:
    """The growing columns. One writer (append, end, publish); readers take `snapshot`."""

    def __init__(self) -> None:
        self._capacity = _FIRST_CAPACITY
        self._arrays: dict[str, NDArray[Any]] = {
            name: np.zeros(_FIRST_CAPACITY, ROW[name]) for name in ROW.names or ()
        }
        self._ended = np.full(_FIRST_CAPACITY, LIVING, np.uint32)
        self._lists = {name: _GrowingPostings() for name in LISTS}
        self._batch = 0
        self._size = 0
        self._living = 0
        self._vectors = 0
        self._first_expiry = NEVER
        self.terms = {name: Terms() for name in (*STRINGS, *LISTS)}
        self.snapshot = self._frozen()

    @property
    def size(self) -> int:
        """Slots in use, published or not."""
        return self._size

    @property
    def id_halves(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The upper and the lower 64 bits of every slot's id, published or not."""
        arrays = self._arrays
        return arrays["id_high"], arrays["id_low"]

    def living(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the slots have not ended, published or not."""
        return self._ended[slots] == LIVING

    def postings(self, name: str) -> int:
        """How many postings the list has."""
        return self._lists[name].size

    def append(
        self, memories: Sequence[Memory], has_vector: Sequence[bool], marks: Sequence[int] | None = None
    ) -> int:
        """Write new slots behind the last one and return the first. Seen by readers after `publish`."""
        start, stop = self._size, self._size + len(memories)
        self._reserve(stop)
        self._write_scalars(memories, start, stop)
        self._arrays["has_vector"][start:stop] = has_vector
        self._arrays["mark"][start:stop] = 0 if marks is None else marks
        # Encoded first: a memory that cannot be encoded must leave no posting of a slot that another will take.
        encoded = {name: self._encode_list(name, memories) for name in LISTS}
        for name, lists in encoded.items():
            counts = np.fromiter(map(len, lists), np.int64, len(lists))
            codes = np.fromiter(chain.from_iterable(lists), np.int32)
            self._arrays[f"{name}_end"][start:stop] = self._lists[name].extend(start, counts, codes)
        self._size = stop
        self._living += len(memories)
        self._vectors += sum(has_vector)
        self._note_expiry(start, stop)
        return start

    def end(self, slots: Sequence[int] | NDArray[np.int64]) -> None:
        """Let these living slots end with the batch that is published next."""
        ending = np.asarray(slots, np.int64)
        self._ended[ending] = self._batch + 1
        self._living -= len(slots)
        self._vectors -= int(np.count_nonzero(self._arrays["has_vector"][ending]))
        if (self._arrays["expires_at"][ending] == self._first_expiry).any():
            self._first_expiry = NEVER
            self._note_expiry(0, self._size)

    def publish(self) -> None:
        """Let readers see everything written so far, at once."""
        if self._batch + 1 == LIVING - 1:
            self._restart_batches()
        self._batch += 1
        self.snapshot = self._frozen()

    def rows(self, start: int, stop: int) -> NDArray[np.void]:
        """(stop - start,) of dtype ROW: the slots as they are written to disk."""
        table = np.empty(stop - start, ROW)
        for name, array in self._arrays.items():
            table[name] = array[start:stop]
        return table

    def append_rows(self, rows: NDArray[np.void], lists: dict[str, NDArray[np.int32]]) -> None:
        """Write slots that were columns before: (n,) ROW with codes of these dictionaries, and their postings' codes.

        The ends of the postings count from the first of these rows.
        """
        start, stop = self._size, self._size + len(rows)
        self._reserve(stop)
        for name in ROW.names or ():
            self._arrays[name][start:stop] = rows[name]
        for name, codes in lists.items():
            counts = np.diff(rows[f"{name}_end"].astype(np.int64), prepend=0)
            self._arrays[f"{name}_end"][start:stop] = self._lists[name].extend(start, counts, codes)
        self._size = stop
        self._living += len(rows)
        self._vectors += int(np.count_nonzero(rows["has_vector"]))
        self._note_expiry(start, stop)

    def adopt(self, source: Snapshot, slots: NDArray[np.int64]) -> None:
        """Write the slots of other columns behind the last one, with the strings that they use."""
        rows = np.empty(len(slots), ROW)
        for name in ROW.names or ():
            rows[name] = source.column(name, slots)
        for name in STRINGS:
            rows[name] = self._recoded(name, source, rows[name])
        lists: dict[str, NDArray[np.int32]] = {}
        for name in LISTS:
            owners, places = source.posting_places(name, slots)
            rows[f"{name}_end"] = np.cumsum(np.bincount(owners, minlength=len(slots)))
            lists[name] = self._recoded(name, source, source.postings[name].codes[places])
        self.append_rows(rows, lists)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are in use, without the dictionaries of strings."""
        return self._size * (ROW.itemsize + 4) + sum(8 * self.postings(name) for name in LISTS)

    def _recoded(self, name: str, source: Snapshot, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """The codes of these columns for the same strings."""
        strings, encode = source.terms[name].since(0), self.terms[name].encode
        used, where = np.unique(codes, return_inverse=True)
        ours = [ABSENT if code == ABSENT else encode(strings[code]) for code in used.tolist()]
        return np.array(ours, np.int32)[where]

    def _frozen(self) -> Snapshot:
        return Snapshot(
            batch=self._batch,
            size=self._size,
            arrays=self._arrays,
            ended=self._ended,
            postings={name: postings.view() for name, postings in self._lists.items()},
            terms=self.terms,
            living=self._living,
            vectors=self._vectors,
            first_expiry=self._first_expiry,
        )

    def _note_expiry(self, start: int, stop: int) -> None:
        """Let the first expiry be no later than that of a living one of these slots."""
        moments = self._arrays["expires_at"][start:stop]
        moments = moments[(moments != NO_NUMBER) & (self._ended[start:stop] == LIVING)]
        self._first_expiry = min(self._first_expiry, int(moments.min(initial=NEVER)))

    def _reserve(self, size: int) -> None:
        if size <= self._capacity:
            return
        # Snapshots keep the arrays they were made with. zeros() takes memory only where it is written.
        self._capacity = max(size, 2 * self._capacity)
        self._arrays = {name: grown(array, self._capacity) for name, array in self._arrays.items()}
        ended = np.full(self._capacity, LIVING, np.uint32)
        ended[: len(self._ended)] = self._ended
        self._ended = ended

    def _restart_batches(self) -> None:
        """Batch numbers have run out: number anew, in a fresh array, since snapshots still read the old one."""
        ended = np.full(self._capacity, LIVING, np.uint32)
        ended[: self._size][self._ended[: self._size] != LIVING] = 0
        self._ended = ended
        self._batch = 0

    def _write_scalars(self, memories: Sequence[Memory], start: int, stop: int) -> None:
        arrays = self._arrays
        arrays["id_high"][start:stop] = [memory.id.int >> 64 for memory in memories]
        arrays["id_low"][start:stop] = [memory.id.int & _LOW for memory in memories]
        for name in STRINGS:
            encode = self.terms[name].encode
            arrays[name][start:stop] = [encode(getattr(memory, name)) for memory in memories]
        for name in TIMES:
            arrays[name][start:stop] = [microseconds(getattr(memory, name)) for memory in memories]
        arrays["sequence"][start:stop] = [
            NO_NUMBER if memory.sequence is None else memory.sequence for memory in memories
        ]
        arrays["version"][start:stop] = [memory.version for memory in memories]
        arrays["importance"][start:stop] = [memory.importance for memory in memories]

    def _encode_list(self, name: str, memories: Sequence[Memory]) -> list[list[int]]:
        encode = self.terms[name].encode
        if name == "tags":
            return [[encode(tag) for tag in memory.tags] for memory in memories]
        return [[encode(term) for term in attribute_terms(memory.metadata)] for memory in memories]


class _GrowingPostings:
    def __init__(self) -> None:
        self.size = 0
        self._slots: NDArray[np.int32] = np.zeros(_FIRST_CAPACITY, np.int32)
        self._codes: NDArray[np.int32] = np.zeros(_FIRST_CAPACITY, np.int32)

    def extend(self, first: int, counts: NDArray[np.int64], codes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Write the postings of the slots from `first` on; (n,) where each slot's postings end."""
        start, stop = self.size, self.size + len(codes)
        if stop > start:
            self._reserve(stop)
            self._slots[start:stop] = np.repeat(np.arange(first, first + len(counts)), counts)
            self._codes[start:stop] = codes
            self.size = stop
        return start + np.cumsum(counts)

    def view(self) -> Postings:
        return Postings(self._slots[: self.size], self._codes[: self.size])

    def _reserve(self, size: int) -> None:
        if size > len(self._slots):
            capacity = max(size, 2 * len(self._slots), _FIRST_CAPACITY)
            self._slots = grown(self._slots, capacity)
            self._codes = grown(self._codes, capacity)


def grown(array: NDArray[Scalar], capacity: int) -> NDArray[Scalar]:
    """A copy of the array with room for `capacity` elements."""
    larger = np.zeros(capacity, array.dtype)
    larger[: len(array)] = array
    return larger


def microseconds(moment: datetime | None) -> int:
    """The instant as microseconds since 1970; NO_NUMBER for None."""
    if moment is None:
        return NO_NUMBER
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
