from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate, Explanation, Leg
from mnemata.ranking.defaults import DEPTH, FUSION
from mnemata.ranking.fusion import Convex, Fused, ReciprocalRank, fuse, unranked

# How busy the machine is must not decide.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HALF = Convex(vector_weight=0.5)


def memory(number: int) -> MemoryId:
    return MemoryId(UUID(int=number))


def leg(**scores: float) -> list[Candidate]:
    """Candidates as a leg gives them: best first, ties by id. `m7=0.5` is memory 7 with the score 0.5."""
    found = [Candidate(memory_id=memory(int(name[1:])), score=score) for name, score in scores.items()]
    return sorted(found, key=lambda candidate: (-candidate.score, candidate.memory_id))


def order(ranked: Sequence[Fused]) -> list[int]:
    return [fused.memory_id.int for fused in ranked]


def scores(ranked: Sequence[Fused]) -> dict[int, float]:
    return {fused.memory_id.int: fused.score for fused in ranked}


def test_convex_sum_takes_each_score_as_a_share_of_its_leg_s_best():
    ranked = fuse(leg(m1=8.0, m2=4.0), leg(m2=0.8, m1=0.4, m3=0.2), Convex(vector_weight=0.25))

    assert scores(ranked) == pytest.approx({1: 0.75 + 0.125, 2: 0.375 + 0.25, 3: 0.0625})
    assert order(ranked) == [1, 2, 3]


def test_reciprocal_ranks_are_summed_over_the_legs():
    ranked = fuse(leg(m1=8.0, m2=4.0), leg(m2=0.8, m3=0.4), ReciprocalRank(k=60))

    assert scores(ranked) == pytest.approx({1: 0.5 / 61, 2: 0.5 / 62 + 0.5 / 61, 3: 0.5 / 62})
    assert order(ranked) == [2, 1, 3]


def test_memory_that_only_the_words_found_still_has_a_place():
    assert order(fuse(leg(m1=2.0, m2=1.9), leg(m2=0.9), HALF)) == [2, 1]


@pytest.mark.parametrize("fusion", [HALF, ReciprocalRank()])
def test_equal_hits_stand_in_the_order_of_their_ids(fusion):
    assert order(fuse(leg(m9=1.0, m3=1.0), [], HALF)) == [3, 9]
    assert order(fuse(leg(m5=1.0), leg(m4=1.0), fusion)) == [4, 5]


@pytest.mark.parametrize("fusion", [HALF, ReciprocalRank()])
def test_missing_leg_leaves_the_other_s_order(fusion):
    lexical = leg(m1=3.0, m2=2.0, m3=1.0)

    assert order(fuse(lexical, [], fusion)) == order(fuse([], lexical, fusion)) == [1, 2, 3]
    assert not fuse([], [], fusion)


def test_leg_alone_keeps_its_own_scores():
    assert scores(fuse([], leg(m1=0.83, m2=-0.1), HALF)) == {1: 0.83, 2: -0.1}


def test_negated_distances_are_shares_of_the_way_from_the_poorest():
    ranked = fuse(leg(m1=1.0), leg(m2=-0.2, m3=-0.6, m1=-1.0), HALF)

    assert scores(ranked) == pytest.approx({1: 0.5, 2: 0.5, 3: 0.25})


def test_leg_of_equal_scores_gives_each_the_whole_share():
    assert scores(fuse(leg(m1=1.0), leg(m1=-1.0, m2=-1.0), HALF)) == pytest.approx({1: 1.0, 2: 0.5})


def test_explanation_tells_score_and_rank_of_every_leg_that_found_the_hit():
    best, other = fuse(leg(m1=8.0), leg(m1=0.8, m2=0.4), HALF)

    assert best.explanation == Explanation(
        scores={"lexical": 8.0, "vector": 0.8}, ranks={"lexical": 1, "vector": 1}, fused=1.0
    )
    assert other.explanation == Explanation(scores={"vector": 0.4}, ranks={"vector": 2}, fused=0.25)


def test_ranking_is_read_by_place_by_page_and_in_order():
    ranked = fuse(leg(m1=3.0, m2=2.0, m3=1.0), leg(m3=0.9), HALF)

    assert len(ranked) == 3
    assert [ranked[0], ranked[1], ranked[2]] == ranked[:] == list(ranked)
    assert order(ranked[1:]) == order(ranked)[1:]
    assert ranked[-1] in ranked


def test_places_of_a_hit_read_like_a_tuple_of_them():
    ranked = fuse(leg(m1=8.0), leg(m1=0.8, m2=0.4), HALF)
    best, other = ranked[0].places, ranked[1].places

    assert best == ((Leg.LEXICAL, 1, 8.0), (Leg.VECTOR, 1, 0.8))
    assert (len(best), best[1], best[1:]) == (2, (Leg.VECTOR, 1, 0.8), ((Leg.VECTOR, 1, 0.8),))
    assert tuple(other) == ((Leg.VECTOR, 2, 0.4),)
    assert best != other
    assert best != 5
    assert {ranked[0], ranked[1], *ranked} == set(ranked)


def test_unranked_memory_has_no_score_and_no_place():
    assert unranked(memory(1)) == Fused(memory_id=memory(1), score=0.0)
    assert unranked(memory(1)).explanation == Explanation(scores={}, ranks={}, fused=0.0)


positive = st.floats(0.01, 100.0)
legs = st.dictionaries(st.integers(1, 20), positive, min_size=1)


def as_leg(found: dict[int, float]) -> list[Candidate]:
    return leg(**{f"m{number}": score for number, score in found.items()})


@patient
@given(legs, legs)
def test_every_candidate_is_ranked_once(lexical, vector):
    assert sorted(order(fuse(as_leg(lexical), as_leg(vector), FUSION))) == sorted({*lexical, *vector})


@patient
@given(legs, st.integers(1, 5))
def test_deeper_search_does_not_reorder_what_both_legs_had(found, cut):
    lexical, vector = as_leg(found), as_leg({number: 1.0 / score for number, score in found.items()})
    deep = order(fuse(lexical, vector, FUSION))
    both = {candidate.memory_id.int for candidate in lexical[:cut]} & {c.memory_id.int for c in vector[:cut]}

    shallow = order(fuse(lexical[:cut], vector[:cut], FUSION))

    assert [n for n in shallow if n in both] == [n for n in deep if n in both]


def test_default_configuration_hears_both_legs():
    assert isinstance(FUSION, Convex)
    assert 0.0 < FUSION.vector_weight < 1.0
    assert DEPTH >= 10
