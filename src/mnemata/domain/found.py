"""What a leg of a search found, as two lists of numbers: an object is made only of a candidate that is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload
from uuid import UUID

from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate


class Found(Sequence[Candidate]):
    """Candidates, best first, ties by memory id; never changed.

    `numbers`: the ids as 128-bit integers (`MemoryId.int`); `scores`: one for each. A search compares some two hundred
    candidates and shows ten, and the objects of all of them would take as long as the comparison.
    """

    __slots__ = ("numbers", "scores")

    def __init__(self, numbers: list[int], scores: list[float]) -> None:
        self.numbers = numbers
        self.scores = scores

    @classmethod
    def of(cls, candidates: Sequence[Candidate]) -> Found:
        """The same candidates as numbers."""
        if isinstance(candidates, Found):
            return candidates
        return cls(
            [candidate.memory_id.int for candidate in candidates],
            [candidate.score for candidate in candidates],
        )

    @classmethod
    def sorted(cls, costs: Iterable[tuple[float, int]]) -> Found:
        """Of pairs of a score negated and an id's number: their natural order is best first, ties by id."""
        ordered = sorted(costs)
        return cls([number for _, number in ordered], [-cost for cost, _ in ordered])

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Candidate: ...
    @overload
    def __getitem__(self, place: slice) -> Found: ...
    def __getitem__(self, place: int | slice) -> Candidate | Found:
        if isinstance(place, slice):
            return Found(self.numbers[place], self.scores[place])
        return _candidate(self.numbers[place], self.scores[place])

    def __iter__(self) -> Iterator[Candidate]:
        return map(_candidate, self.numbers, self.scores)

    def __eq__(self, other: object) -> bool:
        """Whether the other is a sequence of the same candidates."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Found({list(self)!r})"


NOTHING_FOUND = Found([], [])


def _candidate(number: int, score: float) -> Candidate:
    return Candidate(memory_id=MemoryId(UUID(int=number)), score=score)
