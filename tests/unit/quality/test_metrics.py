from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.quality import metrics

# How busy the machine is must not decide.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

GAINS = {"a": 3.0, "b": 2.0, "c": 1.0, "x": 0.0, "y": -1.0}
ALL_MEASURES = [metrics.ndcg, metrics.recall, metrics.precision, metrics.reciprocal_rank, metrics.hit]


def test_ndcg_worked_by_hand():
    found = 1.0 + 3.0 / math.log2(4)
    ideal = 3.0 + 2.0 / math.log2(3) + 1.0 / math.log2(4)

    assert metrics.ndcg(["c", "x", "a"], GAINS, 10) == pytest.approx(found / ideal)


def test_ndcg_of_the_ideal_order_is_one_and_gains_count_linearly():
    assert metrics.ndcg(["a", "b", "c"], GAINS, 10) == pytest.approx(1.0)
    assert metrics.ndcg(["b"], {"a": 4.0, "b": 1.0}, 1) == pytest.approx(0.25)


def test_ndcg_counts_no_gain_below_zero():
    assert metrics.ndcg(["y", "a"], GAINS, 2) > 0.0
    assert metrics.ndcg(["y"], GAINS, 10) == 0.0


def test_only_the_first_k_count():
    assert metrics.recall(["x", "a"], GAINS, 1) == 0.0
    assert metrics.recall(["x", "a"], GAINS, 2) == pytest.approx(1 / 3)


def test_repetition_counts_for_nothing():
    assert metrics.ndcg(["a", "a", "b", "c"], GAINS, 3) == pytest.approx(1.0)
    assert metrics.precision(["a", "a"], GAINS, 2) == 0.5


def test_precision_counts_empty_places_as_misses():
    assert metrics.precision(["a"], GAINS, 10) == pytest.approx(0.1)


def test_reciprocal_rank_is_that_of_the_first_relevant():
    assert metrics.reciprocal_rank(["x", "unjudged", "b", "a"], GAINS, 10) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(["x", "y"], GAINS, 10) == 0.0


def test_hit_is_whether_anything_was_found():
    assert metrics.hit(["x", "c"], GAINS, 10) == 1.0
    assert metrics.hit(["x", "c"], GAINS, 1) == 0.0


@pytest.mark.parametrize("measure", ALL_MEASURES)
@pytest.mark.parametrize(("ranked", "gains"), [([], GAINS), (["a"], {}), (["x"], {"x": 0.0})])
def test_nothing_found_and_nothing_to_find_score_zero(measure, ranked, gains):
    assert measure(ranked, gains, 10) == 0.0


documents = st.text("abcdxy", min_size=1, max_size=1)


@pytest.mark.parametrize("measure", ALL_MEASURES)
@patient
@given(st.lists(documents), st.dictionaries(documents, st.floats(-1, 3)), st.integers(1, 10))
def test_every_measure_lies_between_zero_and_one(measure, ranked, gains, k):
    assert 0.0 <= measure(ranked, gains, k) <= 1.0 + 1e-9
