from __future__ import annotations

import pytest
from benchmarks.load.knee import exhausted, is_over, knee


@pytest.mark.parametrize(
    ("throughput", "place"),
    [
        ([10.0, 20.0, 39.0, 41.0, 40.0], 2),
        ([10.0, 10.5, 10.9, 10.2], 0),
        ([10.0, 20.0, 40.0], 2),
        # One step that had bad luck is no knee.
        ([10.0, 20.0, 19.0, 40.0, 41.0], 3),
        ([10.0], 0),
    ],
)
def test_knee_is_the_first_step_behind_which_none_brings_a_tenth_more(throughput: list, place: int) -> None:
    assert knee(throughput) == place


def test_climb_is_over_after_two_steps_that_brought_nothing() -> None:
    assert not is_over([10.0, 20.0, 21.0])
    assert is_over([10.0, 20.0, 21.0, 20.0])


def test_whole_machine_in_use_is_told_with_the_largest_user_first() -> None:
    told = exhausted({"api": 0.7, "postgres": 0.3, "load generator": 0.2, "others": 0.75}, 2)

    assert told == "the machine's 2 cores: others 0.75, api 0.70, postgres 0.30, load generator 0.20"


def test_process_that_fills_one_core_is_named_while_others_are_free() -> None:
    assert exhausted({"api-1": 0.97, "postgres": 0.4, "load generator": 0.2, "others": 0.1}, 4).startswith(
        "one core of api-1"
    )


def test_machine_with_cores_to_spare_is_said_to_wait() -> None:
    assert exhausted({"api": 0.3, "load generator": 0.1, "others": 0.1}, 2).startswith("no core")
