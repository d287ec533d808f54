"""The same hits with regard to one user: what is the user's own, or like what they stored lately, rises by a bounded share.

Three steps, so that a learned ranker can take the place of the last: a profile of the user, the affinity of each hit to
it as named numbers from 0 to 1, and a blend of these with the score.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.ids import MemoryId
from mnemata.ranking.fusion import Fused, Personal

OWN, MEANING, TAGS = "own", "meaning", "tags"

Vector: TypeAlias = NDArray[np.float32]
"""(d,) float32, of unit length."""

Affinity: TypeAlias = Mapping[str, float]
"""How near a memory is to a user, from 0 to 1, in each way in which it is near at all."""


class Traits(Protocol):
    """What a memory is like, as far as a profile and an affinity need it."""

    @property
    def user_id(self) -> str | None: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def vector(self) -> Vector | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a user stored lately, newer memories counting more.

    `centroid`: the direction of the mean of their vectors; None where none has one. `tags`: how often each occurs, as a
    share of the most frequent one, up to 1.
    """

    user_id: str
    centroid: Vector | None
    tags: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """By how much a hit may rise, as shares of the best hit's score: a memory of the user's own, and one that is like them.

    What is like them in every way rises by `meaning + tags`; where that is below `own`, the user's own come first.
    """

    own: float
    meaning: float
    tags: float

    @property
    def most(self) -> float:
        return max(self.own, self.meaning + self.tags)

    def of(self, affinity: Affinity) -> dict[str, float]:
        """The shares that an affinity is worth, by the way in which it is near. Own memories get `own` and nothing else."""
        if OWN in affinity:
            return {OWN: self.own * affinity[OWN]}
        weights = {MEANING: self.meaning, TAGS: self.tags}
        return {way: weights[way] * near for way, near in affinity.items()}


def profile_of(user_id: str, stored: Sequence[Traits], *, half_life_s: float) -> Profile | None:
    """The profile that the user's latest memories make, or None where there are none.

    A memory stored `half_life_s` seconds before the newest counts half. Only how far they lie apart counts, so that a profile
    does not change by growing old.
    """
    if not stored:
        return None
    weights = _recency([traits.created_at for traits in stored], half_life_s)
    weighed = list(zip(stored, weights, strict=True))
    tags = _sums((tag, weight) for traits, weight in weighed for tag in traits.tags)
    return Profile(
        user_id=user_id,
        centroid=_direction([(traits.vector, w) for traits, w in weighed if traits.vector is not None]),
        tags={tag: weight / max(tags.values()) for tag, weight in tags.items()},
    )


def affinity(profile: Profile, traits: Traits) -> Affinity:
    """How near a memory is to the user. Ways in which it is not near at all are absent."""
    if traits.user_id == profile.user_id:
        return {OWN: 1.0}
    ways = {
        MEANING: _cosine(profile.centroid, traits.vector),
        TAGS: max((profile.tags.get(tag, 0.0) for tag in traits.tags), default=0.0),
    }
    return {way: near for way, near in ways.items() if near > 0.0}


def within_reach(ranked: Sequence[Fused], lift: Lift, *, top: int, span: float | None = None) -> int:
    """How many of the first hits can come among the first `top`: affinities of the others need not be known.

    `ranked`: best first. Whatever is further behind the last of the top than the greatest lift stays behind it. `span`: as
    for `personalize`.
    """
    if len(ranked) <= top:
        return len(ranked)
    least = ranked[top - 1].score - lift.most * (span_of(ranked) if span is None else span)
    return bisect_right(ranked, -least, key=lambda fused: -fused.score)


def personalize(
    ranked: Sequence[Fused],
    affinities: Mapping[MemoryId, Affinity],
    lift: Lift,
    *,
    span: float | None = None,
) -> list[Fused]:
    """Every hit, best first, ties by the score before and by memory id: each score raised by what its affinity is worth.

    `ranked`: best first. A lift is a share of the way from the floor to the best score (the floor is zero, or the poorest hit
    where no score is above it), so that no hit overtakes another that is further ahead, in whatever kind of score. `span`:
    that way, where `ranked` is a part of a ranking (`span_of` its top).
    """
    span = span_of(ranked) if span is None else span
    lifted = [
        (_lifted(fused, lift.of(affinities[fused.memory_id]), span), fused.score)
        if fused.memory_id in affinities
        else (fused, fused.score)
        for fused in ranked
    ]
    # The score before decides between equals: a sum may have rounded a small difference away.
    return [
        fused for fused, _ in sorted(lifted, key=lambda pair: (-pair[0].score, -pair[1], pair[0].memory_id))
    ]


def _lifted(fused: Fused, shares: Mapping[str, float], span: float) -> Fused:
    parts = {way: share * span for way, share in shares.items()}
    score = fused.score + sum(parts.values())
    return fused._replace(score=score, personal=Personal(fused=fused.score, parts=parts))


def span_of(ranked: Sequence[Fused]) -> float:
    """The way from the floor to the best score, of which a lift is a share."""
    if not ranked:
        return 0.0
    best = ranked[0].score
    return best if best > 0.0 else best - ranked[-1].score


def _recency(moments: Sequence[datetime], half_life_s: float) -> list[float]:
    newest = max(moments)
    return [0.5 ** ((newest - moment).total_seconds() / half_life_s) for moment in moments]


def _sums(found: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums = defaultdict[str, float](float)
    for name, weight in found:
        sums[name] += weight
    return dict(sums)


def _direction(rows: Sequence[tuple[Vector, float]]) -> Vector | None:
    if not rows:
        return None
    vectors = np.stack([vector for vector, _ in rows])
    mean = np.array([weight for _, weight in rows], np.float32) @ vectors
    length = float(np.linalg.norm(mean))
    return None if length == 0.0 else mean / np.float32(length)


def _cosine(centroid: Vector | None, vector: Vector | None) -> float:
    if centroid is None or vector is None:
        return 0.0
    return min(1.0, max(0.0, float(centroid @ vector)))
