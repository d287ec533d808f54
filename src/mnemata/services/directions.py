"""The vectors that callers bring, as directions."""

from __future__ import annotations

import math
from array import array

import numpy as np
from numpy.typing import NDArray

from mnemata.domain.memory import GivenVector

_SMALL = 1e-15
"""The squares of shorter vectors lose digits in single precision."""


def direction(given: GivenVector) -> NDArray[np.float32] | None:
    """(d,) float32 of unit length; None for a vector without a direction: zero, or not finite."""
    values = given.values if isinstance(given.values, array) else array("d", given.values)
    # A view of the array's own numbers. Single precision is squared as it came: its errors are as small as what is kept.
    row = np.frombuffer(values, values.typecode)
    with np.errstate(over="ignore"):
        length = math.sqrt(row.dot(row))
    if not _SMALL < length < math.inf:
        row, length = _within_range(row)
    return (row / length).astype(np.float32, copy=False) if 0 < length < math.inf else None


def _within_range(row: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """The same direction and its length, by numbers whose squares are neither too large nor too small."""
    wide = row.astype(np.float64)
    largest = float(np.abs(wide).max(initial=0.0))
    if not 0 < largest < math.inf:
        return wide, 0.0
    wide /= largest
    return wide, math.sqrt(wide.dot(wide))
