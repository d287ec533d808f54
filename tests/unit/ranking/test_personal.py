from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.domain.ids import MemoryId
from mnemata.ranking.defaults import LIFT
from mnemata.ranking.fusion import Fused
from mnemata.ranking.personal import Lift, Profile, affinity, personalize, profile_of, within_reach

# How busy the machine is must not decide.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY_S = 86_400.0
EAST, NORTH = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
FLAT = Lift(own=0.1, meaning=0.05, tags=0.03)


@dataclass(frozen=True, kw_only=True)
class Stored:
    user_id: str | None = "ana"
    tags: tuple[str, ...] = ()
    created_at: datetime = NOW
    vector: Any = None


def memory(number: int) -> MemoryId:
    return MemoryId(UUID(int=number))


def hits(*scores: float) -> list[Fused]:
    return [
        Fused(memory_id=memory(number), score=score, places=())
        for number, score in enumerate(scores, start=1)
    ]


def order(ranked: list[Fused]) -> list[int]:
    return [fused.memory_id.int for fused in ranked]


def ana(*stored: Stored, half_life_s: float = DAY_S) -> Profile:
    profile = profile_of("ana", stored, half_life_s=half_life_s)
    assert profile is not None
    return profile


def test_user_without_memories_has_no_profile():
    assert profile_of("ana", [], half_life_s=DAY_S) is None


def test_newer_memories_draw_the_centroid_more():
    profile = ana(Stored(vector=EAST), Stored(vector=NORTH, created_at=NOW - timedelta(days=1)))

    assert profile.centroid == pytest.approx(np.array([2.0, 1.0]) / np.sqrt(5.0))


def test_profile_does_not_change_by_growing_old():
    stored = [Stored(vector=EAST, tags=("tea",)), Stored(vector=NORTH, created_at=NOW - timedelta(days=3))]
    older = [
        Stored(vector=item.vector, tags=item.tags, created_at=item.created_at - timedelta(days=900))
        for item in stored
    ]

    assert ana(*stored).centroid == pytest.approx(ana(*older).centroid)
    assert ana(*stored).tags == pytest.approx(ana(*older).tags)


def test_tags_count_beside_the_most_frequent_one():
    assert ana(Stored(tags=("tea", "home")), Stored(tags=("tea",)), Stored()).tags == pytest.approx(
        {"tea": 1.0, "home": 0.5}
    )


def test_profile_without_vectors_has_no_centroid():
    assert ana(Stored()).centroid is None


def test_vectors_that_cancel_out_have_no_direction():
    assert ana(Stored(vector=EAST), Stored(vector=-EAST)).centroid is None


def test_own_memory_is_near_as_such_and_not_by_likeness():
    profile = ana(Stored(vector=EAST, tags=("tea",)))

    assert affinity(profile, Stored(vector=EAST, tags=("tea",))) == {"own": 1.0}


def test_memory_of_another_is_near_by_meaning_and_tags():
    profile = ana(Stored(vector=EAST, tags=("tea", "home")), Stored(vector=EAST, tags=("tea",)))
    other = Stored(user_id=None, vector=np.array([0.6, 0.8], np.float32), tags=("home", "work"))

    assert affinity(profile, other) == pytest.approx({"meaning": 0.6, "tags": 0.5})


@pytest.mark.parametrize("vector", [-EAST, NORTH, None])
def test_what_is_unlike_in_every_way_is_not_near(vector):
    profile = ana(Stored(vector=EAST, tags=("tea",)))

    assert affinity(profile, Stored(user_id="bo", tags=("war",), vector=vector)) == {}


def test_meaning_does_not_count_without_a_centroid():
    assert affinity(ana(Stored()), Stored(user_id=None, vector=EAST)) == {}


def test_own_memory_rises_above_one_that_is_slightly_better():
    ranked = personalize(hits(1.0, 0.95), {memory(2): {"own": 1.0}}, FLAT)

    assert order(ranked) == [2, 1]
    assert ranked[0].score == pytest.approx(1.05)


def test_own_memory_stays_below_one_that_is_much_better():
    assert order(personalize(hits(1.0, 0.85), {memory(2): {"own": 1.0}}, FLAT)) == [1, 2]


def test_explanation_tells_what_was_added_to_which_score():
    (best,) = personalize(hits(0.8), {memory(1): {"meaning": 0.5, "tags": 1.0}}, FLAT)

    assert best.explanation.fused == 0.8
    assert best.explanation.personal == pytest.approx({"meaning": 0.02, "tags": 0.024})
    assert best.score == pytest.approx(best.explanation.fused + sum(best.explanation.personal.values()))


def test_hit_that_nothing_is_known_of_stays_as_it_is():
    assert personalize(hits(0.8), {}, FLAT) == hits(0.8)


def test_only_hits_within_the_lift_of_the_last_place_can_reach_it():
    ranked = hits(1.0, 0.8, 0.75, 0.701, 0.699, 0.1)

    assert within_reach(ranked, FLAT, top=2) == 4
    assert within_reach(ranked, FLAT, top=6) == within_reach(ranked, FLAT, top=10) == 6
    assert within_reach([], FLAT, top=10) == 0


def test_negated_distances_rise_by_a_share_of_the_way_from_the_poorest():
    ranked = personalize(hits(-1.0, -1.1, -3.0), {memory(2): {"own": 1.0}}, FLAT)

    assert [fused.score for fused in ranked] == pytest.approx([-0.9, -1.0, -3.0])
    assert order(ranked) == [2, 1, 3]


def test_nothing_found_stays_nothing():
    assert personalize([], {}, FLAT) == []


def test_equal_hits_stand_in_the_order_of_their_ids():
    ranked = personalize([*reversed(hits(1.0, 1.0, 1.0))], {memory(3): {"own": 1.0}}, FLAT)

    assert order(ranked) == [3, 1, 2]


def test_likeness_in_every_way_is_worth_less_than_being_one_s_own():
    assert 0.0 < LIFT.meaning + LIFT.tags < LIFT.own


shares = st.floats(0.0, 1.0)
near = st.one_of(
    st.just({"own": 1.0}),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("meaning", "tags"), shares)),
)


@patient
@given(st.lists(st.tuples(st.floats(0.0, 30.0), near), min_size=1, max_size=20))
def test_same_hits_come_back_and_none_overtakes_one_that_is_further_ahead_than_the_lift(found):
    ranked = sorted(hits(*(score for score, _ in found)), key=lambda fused: -fused.score)
    affinities = {memory(number): near for number, (_, near) in enumerate(found, start=1)}

    personal = personalize(ranked, affinities, LIFT)

    assert sorted(order(personal)) == sorted(order(ranked))
    greatest = LIFT.own * ranked[0].score
    before = [fused.personal.fused for fused in personal if fused.personal is not None]
    assert all(
        later <= earlier + greatest * (1.0 + 1e-9)
        for place, earlier in enumerate(before)
        for later in before[place:]
    )


@patient
@given(st.lists(st.tuples(st.floats(-30.0, 30.0), near), min_size=1, max_size=30), st.integers(1, 30))
def test_the_top_is_the_same_when_only_what_is_within_reach_is_known(found, top):
    scored = hits(*(score for score, _ in found))
    ranked = sorted(scored, key=lambda fused: (-fused.score, fused.memory_id))
    affinities = {memory(number): near for number, (_, near) in enumerate(found, start=1)}
    known = {
        hit.memory_id: affinities[hit.memory_id] for hit in ranked[: within_reach(ranked, LIFT, top=top)]
    }

    whole, part = personalize(ranked, affinities, LIFT), personalize(ranked, known, LIFT)

    assert order(part)[:top] == order(whole)[:top]
    assert len(part) == len(ranked)


@patient
@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=20))
def test_order_is_the_same_where_every_hit_is_the_user_s_own(scores):
    ranked = sorted(hits(*scores), key=lambda fused: (-fused.score, fused.memory_id))

    assert order(personalize(ranked, {hit.memory_id: {"own": 1.0} for hit in ranked}, LIFT)) == order(ranked)
