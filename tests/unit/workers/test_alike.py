from uuid import UUID

import pytest

from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate
from mnemata.workers.alike import agreement


def found(*pairs):
    return [Candidate(memory_id=MemoryId(UUID(int=number)), score=score) for number, score in pairs]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (found((1, 3.0), (2, 2.0)), found((2, 2.0), (1, 1.9)), 1.0),
        (found((1, 4.0), (2, 3.0), (3, 2.0)), found((1, 4.0), (8, 3.0), (9, 2.0)), 2 / 3),
        (found((1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)), [], 0.0),
        (found((1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)), found((4, 1.0)), 1 / 4),
    ],
)
def test_agreement_is_the_part_that_both_found(before, after, expected):
    assert agreement(before, after) == pytest.approx(expected)


def test_what_scores_like_the_last_may_be_another():
    before = found((1, 9.0), (2, 1.0), (3, 1.0001), (4, 1.0))
    assert agreement(before, found((1, 9.0), (5, 1.0), (6, 1.0), (7, 1.0))) == 1.0
    assert agreement(before, found((5, 1.0), (6, 1.0), (7, 1.0))) == 3 / 4
