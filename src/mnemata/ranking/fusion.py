"""Two rankings made one: by a weighted sum of scores, or by reciprocal ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate, Explanation, Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Convex:
    """`(1 - w) * lexical + w * vector`, each score as a share of its leg's best.

    A convex combination with a theoretical minimum (Bruch, Gai & Ingber 2023).

    Zero is the floor of both legs: no word matches, no likeness. So the order of two memories depends neither on how
    many candidates were asked for nor on the poorest of them, and pages stay the same however deep one reads.
    """

    vector_weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReciprocalRank:
    """The sum of `weight / (k + rank)` over the legs (Cormack, Clarke & Büttcher 2009)."""

    k: int = 60
    vector_weight: float = 0.5


Fusion: TypeAlias = "Convex | ReciprocalRank"


class Place(NamedTuple):
    """Where a leg has a memory: its rank from 1, and its score there."""

    leg: Leg
    rank: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """A memory's place in the joined ranking, and in each leg that found it."""

    memory_id: MemoryId
    score: float
    places: tuple[Place, ...] = ()

    @property
    def explanation(self) -> Explanation:
        return Explanation(
            scores={place.leg.value: place.score for place in self.places},
            ranks={place.leg.value: place.rank for place in self.places},
            fused=self.score,
        )


def unranked(memory_id: MemoryId) -> Fused:
    """A memory that no leg was asked for: it is there, with a score of 0."""
    return Fused(memory_id=memory_id, score=0.0)


def fuse(lexical: Sequence[Candidate], vector: Sequence[Candidate], fusion: Fusion) -> list[Fused]:
    """Every candidate of either leg, best first, ties by memory id.

    The legs come best first. Where one leg is empty, the other's own scores stand; a memory that one leg does not
    have gets nothing from it.
    """
    legs = {leg: found for leg, found in ((Leg.LEXICAL, lexical), (Leg.VECTOR, vector)) if found}
    weights = _weights(fusion, legs)
    # Integers are hashed and compared far faster than UUIDs, and this runs for some two hundred candidates a search.
    joined = dict[int, tuple[MemoryId, float, tuple[Place, ...]]]()
    for leg, found in legs.items():
        parts = _parts(fusion, found, weight=weights[leg], alone=len(legs) == 1)
        for rank, (candidate, part) in enumerate(zip(found, parts, strict=True), start=1):
            memory_id, place = candidate.memory_id, Place(leg, rank, candidate.score)
            _, score, places = joined.get(memory_id.int, (memory_id, 0.0, ()))
            joined[memory_id.int] = (memory_id, score + part, (*places, place))
    order = sorted(joined, key=lambda number: (-joined[number][1], number))
    return [Fused(memory_id=joined[n][0], score=joined[n][1], places=joined[n][2]) for n in order]


def _weights(fusion: Fusion, legs: Mapping[Leg, Sequence[Candidate]]) -> dict[Leg, float]:
    if len(legs) == 1:
        return dict.fromkeys(legs, 1.0)
    return {Leg.LEXICAL: 1.0 - fusion.vector_weight, Leg.VECTOR: fusion.vector_weight}


def _parts(fusion: Fusion, found: Sequence[Candidate], *, weight: float, alone: bool) -> list[float]:
    if isinstance(fusion, ReciprocalRank):
        return [weight / (fusion.k + rank) for rank in range(1, len(found) + 1)]
    if alone:
        return [candidate.score for candidate in found]
    return [weight * share for share in _shares([candidate.score for candidate in found])]


def _shares(scores: Sequence[float]) -> list[float]:
    """Each score as a share of the way from the floor to the best."""
    best, least = max(scores), min(scores)
    # Negated distances have no zero to stand on: there the poorest candidate is the floor.
    floor = 0.0 if best > 0.0 else least
    span = best - floor
    return [(score - floor) / span if span > 0.0 else 1.0 for score in scores]
