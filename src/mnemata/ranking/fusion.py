"""Two rankings made one: by a weighted sum of scores, or by reciprocal ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import neg
from typing import NamedTuple, TypeAlias, overload
from uuid import UUID

from mnemata.domain.found import Found
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate, Explanation, Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Convex:
    """`(1 - w) * lexical + w * vector`, each score as a share of its leg's best.

    A convex combination with a theoretical minimum (Bruch, Gai & Ingber 2023).

    Zero is the floor of both legs: no word matches, no likeness. So the order of two memories that both legs have depends
    neither on how many candidates were asked for nor on the poorest of them. One that a leg has not yet gets nothing from
    it: `ranking.tiers` keeps pages the same however deep one reads.
    """

    vector_weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReciprocalRank:
    """The sum of `weight / (k + rank)` over the legs (Cormack, Clarke & Büttcher 2009)."""

    k: int = 60
    vector_weight: float = 0.5


Fusion: TypeAlias = "Convex | ReciprocalRank"


Place: TypeAlias = "tuple[Leg, int, float]"
"""Where a leg has a memory: the leg, its rank from 1, its score there."""


class Personal(NamedTuple):
    """What became of a score with regard to one user: `fused` was it before; `parts` were added, by their reason."""

    fused: float
    parts: Mapping[str, float]


class Fused(NamedTuple):
    """A memory's place in the joined ranking, and in each leg that found it. `earned`: the score, where it is shown with less."""

    memory_id: MemoryId
    score: float
    places: Sequence[Place] = ()
    personal: Personal | None = None
    earned: float | None = None

    def at_most(self, ceiling: float) -> Fused:
        """The same hit, shown with no more than that."""
        return self if self.score <= ceiling else self._replace(score=ceiling, earned=self.score)

    @property
    def explanation(self) -> Explanation:
        earned = self.score if self.earned is None else self.earned
        return Explanation(
            scores={leg.value: score for leg, _, score in self.places},
            ranks={leg.value: rank for leg, rank, _ in self.places},
            fused=earned if self.personal is None else self.personal.fused,
            personal={} if self.personal is None else self.personal.parts,
        )


def unranked(memory_id: MemoryId) -> Fused:
    """A memory that no leg was asked for: it is there, with a score of 0."""
    return Fused(memory_id=memory_id, score=0.0)


class Ranking(Sequence[Fused]):
    """Every candidate of either leg, best first, ties by memory id.

    A hit becomes an object when it is read: of some two hundred candidates a page shows ten.
    """

    def __init__(self, numbers: list[int], scores: Mapping[int, float], legs: Mapping[Leg, Found]) -> None:
        self._numbers = numbers
        self._scores = scores
        self._legs = legs

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Fused: ...
    @overload
    def __getitem__(self, place: slice) -> list[Fused]: ...
    def __getitem__(self, place: int | slice) -> Fused | list[Fused]:
        chosen = self._numbers[place]
        return list(map(self._hit, chosen)) if isinstance(chosen, list) else self._hit(chosen)

    def __iter__(self) -> Iterator[Fused]:
        return map(self._hit, self._numbers)

    @property
    def numbers(self) -> Sequence[int]:
        """The hits' ids as 128-bit integers."""
        return self._numbers

    def without(self, others: Sequence[Ranking]) -> Ranking:
        """The hits that none of the others has, in the same order, with the same scores and places."""
        if not others:
            return self
        known = set[int]().union(*(other.numbers for other in others))
        return Ranking([number for number in self._numbers if number not in known], self._scores, self._legs)

    def _hit(self, number: int) -> Fused:
        return Fused(MemoryId(UUID(int=number)), self._scores[number], _Places(self._legs, number))


class _Places(Sequence[Place]):
    """Where the legs have one memory. Looked for when it is asked for, which an explanation does and a search does not."""

    __slots__ = ("_legs", "_number")

    def __init__(self, legs: Mapping[Leg, Found], number: int) -> None:
        self._legs = legs
        self._number = number

    def __len__(self) -> int:
        return len(self._found())

    @overload
    def __getitem__(self, place: int) -> Place: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Place]: ...
    def __getitem__(self, place: int | slice) -> Place | Sequence[Place]:
        return self._found()[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._found() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._number)

    def _found(self) -> tuple[Place, ...]:
        ranked = ((leg, found) for leg, found in self._legs.items() if self._number in found.numbers)
        return tuple(
            (leg, (place := found.numbers.index(self._number)) + 1, found.scores[place])
            for leg, found in ranked
        )


def fuse(lexical: Sequence[Candidate], vector: Sequence[Candidate], fusion: Fusion) -> Ranking:
    """Every candidate of either leg, best first, ties by memory id.

    The legs come best first. Where one leg is empty, the other's own scores stand; a memory that one leg does not
    have gets nothing from it.
    """
    both = ((Leg.LEXICAL, Found.of(lexical)), (Leg.VECTOR, Found.of(vector)))
    legs = {leg: found for leg, found in both if found}
    weights = _weights(fusion, legs)
    parts = {
        leg: _parts(fusion, found.scores, weight=weights[leg], alone=len(legs) == 1)
        for leg, found in legs.items()
    }
    # The larger leg first: a dictionary is made of a list in a fraction of the time that adding one by one takes.
    order = sorted(legs, key=lambda leg: len(legs[leg]), reverse=True)
    total = dict[int, float]()
    for leg in order:
        pairs = zip(legs[leg].numbers, parts[leg], strict=True)
        total = _added(total, pairs) if total else dict(pairs)
    return Ranking(_ordered(total), total, legs)


def _ordered(total: dict[int, float]) -> list[int]:
    """Best first, ties by id. By scores alone that takes half the time, and equal ones are rare."""
    if len(set(total.values())) == len(total):
        return sorted(total, key=total.__getitem__, reverse=True)
    return [number for _, number in sorted(zip(map(neg, total.values()), total, strict=True))]


def _added(total: dict[int, float], pairs: Iterable[tuple[int, float]]) -> dict[int, float]:
    known = total.get
    for number, part in pairs:
        total[number] = known(number, 0.0) + part
    return total


def _weights(fusion: Fusion, legs: Mapping[Leg, Found]) -> dict[Leg, float]:
    if len(legs) == 1:
        return dict.fromkeys(legs, 1.0)
    return {Leg.LEXICAL: 1.0 - fusion.vector_weight, Leg.VECTOR: fusion.vector_weight}


def _parts(fusion: Fusion, scores: list[float], *, weight: float, alone: bool) -> list[float]:
    if isinstance(fusion, ReciprocalRank):
        return [weight / (fusion.k + rank) for rank in range(1, len(scores) + 1)]
    if alone:
        return scores
    return _shares(scores, weight)


def _shares(scores: list[float], weight: float) -> list[float]:
    """Each score, best first, as a share of the way from the floor to the best, times the weight."""
    best, least = scores[0], scores[-1]
    # Negated distances have no zero to stand on: there the poorest candidate is the floor.
    floor = 0.0 if best > 0.0 else least
    span = best - floor
    if not span > 0.0:
        return [weight] * len(scores)
    return [weight * ((score - floor) / span) for score in scores]
