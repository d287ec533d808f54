"""Candidates kept as numbers read like the candidates themselves."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemata.domain.found import NOTHING_FOUND, Found
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate

_NUMBERS = st.integers(0, 2**128 - 1)
_PAIRS = st.lists(st.tuples(_NUMBERS, st.floats(allow_nan=False)))


def candidate(number: int, score: float) -> Candidate:
    return Candidate(memory_id=MemoryId(UUID(int=number)), score=score)


@given(_PAIRS, st.slices(6))
def test_candidates_come_back_as_they_were(pairs, part):
    candidates = [candidate(*pair) for pair in pairs]
    found = Found.of(candidates)
    assert list(found) == candidates
    assert len(found) == len(candidates)
    assert [found[place] for place in range(len(found))] == candidates
    assert list(found[part]) == candidates[part]
    assert Found.of(found) is found


@given(_PAIRS)
def test_sorted_costs_are_best_first_and_ties_by_id(pairs):
    found = Found.sorted((-score, number) for number, score in pairs)
    ordered = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
    assert found == [candidate(*pair) for pair in ordered]


def test_found_equals_any_sequence_of_the_same_candidates():
    found = Found([1, 2], [0.5, 0.25])
    assert found == [candidate(1, 0.5), candidate(2, 0.25)]
    assert found == Found([1, 2], [0.5, 0.25])
    assert found != Found([1, 2], [0.5, 0.3])
    assert found != 5
    assert not NOTHING_FOUND
    assert repr(Found([1], [0.5])) == f"Found({[candidate(1, 0.5)]!r})"


def test_place_behind_the_last_is_an_error():
    with pytest.raises(IndexError):
        Found([1], [0.5])[1]
