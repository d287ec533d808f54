from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate
from mnemata.ranking.defaults import FUSION, LIFT
from mnemata.ranking.fusion import Convex, Fused, Fusion, Ranking, ReciprocalRank, fuse
from mnemata.ranking.personal import personalize, span_of
from mnemata.ranking.tiers import Tier, cut, in_tiers, windows

# How busy the machine is must not decide.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HALF = Convex(vector_weight=0.5)
ALL = 1_000


def leg(scores: Mapping[int, float]) -> list[Candidate]:
    """Candidates as a leg gives them: best first, ties by id."""
    found = [Candidate(memory_id=MemoryId(UUID(int=n)), score=score) for n, score in scores.items()]
    return sorted(found, key=lambda candidate: (-candidate.score, candidate.memory_id))


def order(hits: Sequence[Fused]) -> list[int]:
    return [hit.memory_id.int for hit in hits]


def ranked(*depths: tuple[Mapping[int, float], Mapping[int, float]], fusion: Fusion = HALF) -> list[Tier]:
    """The tiers of what the legs gave at each depth, by words and by meaning."""
    added = list[Ranking]()
    for by_words, by_meaning in depths:
        added.append(fuse(leg(by_words), leg(by_meaning), fusion).without(added))
    return in_tiers(added)


# The words find 1 first and 2 next; the meanings of 2 and 4 are near, that of 3 is far.
SHALLOW = {1: 10.0}, {4: 0.8, 1: 0.2}
DEEP = {1: 10.0, 2: 9.0}, {4: 0.8, 2: 0.8, 3: 0.4, 1: 0.2}


def test_what_a_deeper_search_finds_stands_below_even_where_it_is_better():
    assert order(cut(ranked(DEEP), 0, ALL)) == [2, 1, 4, 3]
    assert order(cut(ranked(SHALLOW, DEEP), 0, ALL)) == [1, 4, 2, 3]


def test_score_of_a_better_hit_below_is_shown_as_no_more_than_the_last_above():
    shown = cut(ranked(SHALLOW, DEEP), 0, ALL)

    assert [hit.score for hit in shown] == pytest.approx([0.625, 0.5, 0.5, 0.25])


def test_explanation_tells_the_sum_and_the_places_that_led_to_it_also_where_less_is_shown():
    _, _, held, _ = cut(ranked(SHALLOW, DEEP), 0, ALL)

    assert held.explanation.fused == pytest.approx(0.95)
    assert held.explanation.scores == {"lexical": 9.0, "vector": 0.8}
    assert held.explanation.ranks == {"lexical": 2, "vector": 1}


def test_explanation_of_a_personal_hit_that_shows_less_still_adds_up():
    (_, lower) = ranked(SHALLOW, DEEP)
    own = {hit.memory_id: {"own": 1.0} for hit in lower.hits}
    held = personalize(lower.hits, own, LIFT)[0].at_most(lower.ceiling)

    assert held.score == lower.ceiling
    assert held.explanation.fused == pytest.approx(0.95)
    assert set(held.explanation.personal) == {"own"}


def test_one_depth_gives_the_ranking_itself():
    ranking = fuse(leg({1: 3.0, 2: 2.0}), leg({2: 0.9}), HALF)

    assert ranking.without([]) is ranking
    assert cut(in_tiers([ranking]), 0, ALL) == list(ranking)


def test_depth_that_adds_nothing_lowers_no_ceiling():
    tiers = ranked(SHALLOW, SHALLOW, DEEP)

    assert [len(tier.hits) for tier in tiers] == [2, 0, 2]
    assert tiers[1].ceiling == tiers[2].ceiling == 0.5
    assert cut([], 0, ALL) == []


def test_windows_are_the_places_within_each_tier():
    tiers = ranked(SHALLOW, DEEP)

    def places(start: int, stop: int) -> list[list[int]]:
        return [list(within) for _, within in windows(tiers, start, stop)]

    assert places(0, 2) == [[0, 1], []]
    assert places(1, 3) == [[1], [0]]
    assert places(3, 9) == [[], [1]]


def test_lift_in_a_lower_tier_is_a_share_of_the_best_score_of_all():
    first, lower = ranked(({1: 10.0}, {1: 1.0}), ({1: 10.0, 2: 1.0}, {1: 1.0, 2: 0.1}))
    (hit,) = personalize(lower.hits, {lower.hits[0].memory_id: {"own": 1.0}}, LIFT, span=span_of(first.hits))

    assert hit.explanation.personal == {"own": pytest.approx(LIFT.own)}


numbers = st.integers(1, 25)
found = st.dictionaries(numbers, st.floats(0.01, 100.0), max_size=20)
fusions = st.sampled_from([FUSION, ReciprocalRank()])


@patient
@given(st.lists(st.tuples(found, found), min_size=1, max_size=5), fusions, st.integers(1, 7))
def test_deeper_search_only_appends_whatever_its_legs_give(depths, fusion, limit):
    above = list[Fused]()
    for deepest in range(1, len(depths) + 1):
        tiers = ranked(*depths[:deepest], fusion=fusion)
        whole = cut(tiers, 0, ALL)

        assert whole[: len(above)] == above
        assert sorted(order(whole)) == sorted({n for pair in depths[:deepest] for leg in pair for n in leg})
        scores = [hit.score for hit in whole]
        assert scores == sorted(scores, reverse=True)
        assert [hit for at in range(0, len(whole), limit) for hit in cut(tiers, at, at + limit)] == whole
        above = whole


@patient
@given(found, found, st.integers(1, 5))
def test_ranking_of_a_smaller_depth_begins_that_of_a_larger_one(by_words, by_meaning, first):
    """Legs as an index gives them: the first of each, and the likeness of all that the words found."""

    def at(depth: int) -> tuple[dict[int, float], dict[int, float]]:
        words = {c.memory_id.int: c.score for c in leg(by_words)[:depth]}
        near = {c.memory_id.int: c.score for c in leg(by_meaning)[:depth]}
        return words, near | {n: by_meaning[n] for n in words if n in by_meaning}

    depths = [at(first * 2**doubled) for doubled in range(6)]
    orders = [order(cut(ranked(*depths[:deepest]), 0, ALL)) for deepest in range(1, 7)]

    assert all(lower[: len(upper)] == upper for upper, lower in pairwise(orders))
    assert sorted(orders[-1]) == sorted({*by_words, *by_meaning})
