import math
from array import array

import numpy as np
import pytest

from mnemata.domain.memory import GivenVector
from mnemata.services.directions import direction

LARGE, SMALL = 1e300, 1e-300


def of(*values: float, kind: str = "d") -> np.ndarray | None:
    return direction(GivenVector(space="s", values=array(kind, values)))


@pytest.mark.parametrize("kind", ["f", "d"])
def test_a_direction_has_unit_length(kind: str) -> None:
    found = of(3.0, 4.0, kind=kind)
    assert found is not None
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([0.6, 0.8])


def test_any_sequence_of_numbers_is_scaled() -> None:
    found = direction(GivenVector(space="s", values=(0.0, 2.0)))
    assert found is not None
    assert found.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("values", [(LARGE, LARGE), (SMALL, SMALL)])
def test_very_large_and_very_small_numbers_keep_their_direction(values: tuple[float, float]) -> None:
    found = of(*values)
    assert found is not None
    assert found.tolist() == pytest.approx([math.sqrt(0.5)] * 2)


@pytest.mark.parametrize("kind", ["f", "d"])
@pytest.mark.parametrize("values", [(0.0, 0.0), (math.nan, 1.0), (math.inf, 1.0), (-math.inf, math.inf)])
def test_what_is_zero_or_not_finite_has_no_direction(values: tuple[float, float], kind: str) -> None:
    assert of(*values, kind=kind) is None


def test_small_numbers_of_single_precision_keep_their_digits() -> None:
    found = of(3e-22, 4e-22, kind="f")
    assert found is not None
    assert found.tolist() == pytest.approx([0.6, 0.8])
