from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.domain.ids import MemoryId
from mnemata.ranking.diversity import diversify
from mnemata.ranking.fusion import Fused

# How busy the machine is must not decide.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

EAST, NORTH = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
NEAR_EAST = np.array([0.8, 0.6], np.float32)


def ranked(*scores: float) -> list[Fused]:
    return [Fused(memory_id=MemoryId(UUID(int=n)), score=score) for n, score in enumerate(scores)]


def vectors(*rows: np.ndarray | None) -> dict[MemoryId, np.ndarray]:
    return {MemoryId(UUID(int=n)): row for n, row in enumerate(rows) if row is not None}


def order(found: list[Fused]) -> list[int]:
    return [fused.memory_id.int for fused in found]


def test_hit_that_repeats_the_best_makes_room_for_another():
    found = diversify(ranked(1.0, 0.9, 0.5), vectors(EAST, EAST, NORTH), diversity=0.5)

    assert order(found) == [0, 2, 1]


def test_order_follows_marginal_relevance_worked_by_hand():
    # relevance 1, .8, .6, 0; after the first (east): .5*.8-.5*1=-.1, .5*.6-.5*.8=-.1, 0-.5*0=0 -> the fourth;
    # then the second and the third are level again: the better ranked one comes first.
    found = diversify(ranked(1.0, 0.8, 0.6, 0.0), vectors(EAST, EAST, NEAR_EAST, NORTH), diversity=0.5)

    assert order(found) == [0, 3, 1, 2]


def test_no_diversity_changes_nothing():
    assert order(diversify(ranked(1.0, 0.9, 0.5), vectors(EAST, EAST, NORTH), diversity=0.0)) == [0, 1, 2]


def test_full_diversity_still_starts_with_the_best():
    assert order(diversify(ranked(1.0, 0.9, 0.5), vectors(EAST, EAST, NORTH), diversity=1.0))[0] == 0


def test_hit_without_a_vector_is_like_no_other():
    assert order(diversify(ranked(1.0, 0.9, 0.5), vectors(EAST, EAST, None), diversity=0.5)) == [0, 2, 1]


def test_without_any_vectors_the_order_stands():
    assert order(diversify(ranked(1.0, 0.9, 0.5), {}, diversity=0.7)) == [0, 1, 2]


def test_equal_scores_are_all_as_relevant():
    assert order(diversify(ranked(0.5, 0.5, 0.5), vectors(EAST, EAST, NORTH), diversity=0.5)) == [0, 2, 1]


def test_hits_behind_the_pool_keep_their_places():
    found = diversify(ranked(1.0, 0.9, 0.5, 0.4), vectors(EAST, EAST, NORTH, NORTH), diversity=0.5, pool=2)

    assert order(found) == [0, 1, 2, 3]


@pytest.mark.parametrize("scores", [(), (1.0,)])
def test_fewer_than_two_hits_need_no_order(scores):
    assert order(diversify(ranked(*scores), {}, diversity=0.9)) == list(range(len(scores)))


@patient
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 6.28)), min_size=1, max_size=20),
    st.floats(0, 1),
    st.integers(1, 25),
)
def test_nothing_is_lost_or_doubled_and_the_best_stays_first(hits, diversity, pool):
    scores = sorted((score for score, _ in hits), reverse=True)
    rows = [np.array([np.cos(angle), np.sin(angle)], np.float32) for _, angle in hits]

    found = order(diversify(ranked(*scores), vectors(*rows), diversity=diversity, pool=pool))

    assert sorted(found) == list(range(len(hits)))
    assert found[0] == 0
    assert found[pool:] == list(range(len(hits)))[pool:]
