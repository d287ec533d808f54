from __future__ import annotations

import numpy as np
import pytest

from mnemata.quality.bootstrap import Interval, interval, paired_difference


def generator(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_same_seed_gives_the_same_interval():
    values = [n / 97 for n in range(97)]

    assert interval(values, generator()) == interval(values, generator())
    assert interval(values, generator()) != interval(values, generator(8))


def test_interval_holds_the_mean_and_narrows_with_more_queries():
    few = interval([0.0, 1.0] * 10, generator())
    many = interval([0.0, 1.0] * 1_000, generator())

    assert few.low < few.mean == 0.5 < few.high
    assert many.high - many.low < few.high - few.low


def test_interval_has_the_width_that_theory_gives():
    found = interval([0.0, 1.0] * 200, generator(), resamples=4_000)

    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(400), rel=0.1)


def test_lower_level_gives_a_narrower_interval():
    values = [0.0, 1.0] * 50

    wide, narrow = interval(values, generator()), interval(values, generator(), level=0.5)

    assert narrow.high - narrow.low < wide.high - wide.low


@pytest.mark.parametrize("resamples", [50, 100, 250])
def test_any_number_of_resamples_is_drawn(resamples):
    found = interval([0.0, 1.0] * 20, generator(), resamples=resamples)

    assert 0.0 < found.low < 0.5 < found.high < 1.0


def test_equal_values_leave_no_doubt():
    assert interval([0.25] * 5, generator()) == Interval(mean=0.25, low=0.25, high=0.25)


def test_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        interval([], generator())


def test_steady_gain_is_told_from_noise():
    before = list(np.linspace(0.0, 0.9, 50))
    gained = paired_difference([value + 0.05 for value in before], before, generator())
    lost = paired_difference(before, [value + 0.05 for value in before], generator())
    noise = paired_difference(before, before[::-1], generator())

    assert gained.excludes_zero
    assert lost.excludes_zero
    assert gained.mean == pytest.approx(0.05)
    assert not noise.excludes_zero


def test_values_of_other_queries_are_not_paired():
    with pytest.raises(ValueError, match="2 values cannot be paired with 1"):
        paired_difference([0.1, 0.2], [0.1], generator())
