"""A ranking that only grows downwards: what a deeper search adds stands below everything that shallower ones gave.

A hit that a leg's first hundred do not have gets nothing from that leg, and something once two hundred are asked for. So one
ranking of as many candidates as a page needs would put the hits in another order for every page. In tiers a page stays
what it was, however deep one reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mnemata.ranking.fusion import Fused, Ranking


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What one depth adds, in its order. `ceiling`: the least score above it, which none of its hits is shown to exceed."""

    hits: Sequence[Fused]
    ceiling: float = math.inf


def in_tiers(added: Iterable[Ranking]) -> list[Tier]:
    """A tier for each depth, of what each adds to those before (`Ranking.without`)."""
    tiers, ceiling = list[Tier](), math.inf
    for ranking in added:
        tiers.append(Tier(hits=ranking, ceiling=ceiling))
        ceiling = min(ceiling, ranking[-1].score) if ranking else ceiling
    return tiers


def cut(tiers: Iterable[Tier], start: int, stop: int) -> list[Fused]:
    """The hits at the places from `start` up to `stop`, both counted from the top of the first tier; scores never rise."""
    return [
        hit.at_most(tier.ceiling)
        for tier, within in windows(tiers, start, stop)
        for hit in tier.hits[within.start : within.stop]
    ]


def windows(tiers: Iterable[Tier], start: int, stop: int) -> list[tuple[Tier, range]]:
    """For every tier the places within it that lie between two places of the whole: none, where the range is empty."""
    found = list[tuple[Tier, range]]()
    before = 0
    for tier in tiers:
        size = len(tier.hits)
        found.append((tier, range(max(start - before, 0), min(max(stop - before, 0), size))))
        before += size
    return found
