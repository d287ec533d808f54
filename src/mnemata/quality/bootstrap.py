"""How sure a mean over queries is: percentile intervals by resampling queries (Efron & Tibshirani 1993, ch. 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
BLOCK = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean, and the bounds between which it falls in the given share of resamples."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0.0 or self.high < 0.0


def interval(
    values: Sequence[float],
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """The interval of the mean of one value per query. Raises ValueError without values."""
    if not values:
        raise ValueError("an interval needs at least one value")
    sample = np.asarray(values, np.float64)
    means = np.concatenate([_means(sample, size, generator) for size in _blocks(resamples)])
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(mean=float(sample.mean()), low=float(low), high=float(high))


def paired_difference(
    after: Sequence[float],
    before: Sequence[float],
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> Interval:
    """The 95% interval of the mean of `after - before`, query by query: zero outside it tells a real change.

    Raises ValueError where the two are not of the same queries.
    """
    if len(after) != len(before):
        raise ValueError(f"{len(after)} values cannot be paired with {len(before)}")
    return interval(
        [new - old for new, old in zip(after, before, strict=True)], generator, resamples=resamples
    )


def _means(
    sample: NDArray[np.float64], resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """(resamples,) float64: the mean of as many draws with replacement as there are values, again and again."""
    return sample[generator.integers(0, len(sample), size=(resamples, len(sample)))].mean(axis=1)


def _blocks(resamples: int) -> list[int]:
    # All draws at once would take memory by the product of queries and resamples.
    whole, rest = divmod(resamples, BLOCK)
    return [BLOCK] * whole + ([rest] if rest else [])
