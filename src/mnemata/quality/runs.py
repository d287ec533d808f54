"""Runs judged: for every stage of a search, every category of queries and every measure, a mean with its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from mnemata.quality import metrics
from mnemata.quality.bootstrap import Interval, interval

Run: TypeAlias = Mapping[str, Sequence[str]]
"""What a search gave: query id -> document ids, best first."""

Judgements: TypeAlias = Mapping[str, Mapping[str, float]]
"""What is right: query id -> document id -> gain."""

Measure: TypeAlias = Callable[[Sequence[str], Mapping[str, float]], float]

ALL = "all"
"""The category of every query."""

MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "ndcg@10": partial(metrics.ndcg, k=10),
        "recall@10": partial(metrics.recall, k=10),
        "mrr@10": partial(metrics.reciprocal_rank, k=10),
        "precision@10": partial(metrics.precision, k=10),
        "hit@10": partial(metrics.hit, k=10),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One cell of the table: the mean of a measure over the queries of a category, at one stage."""

    stage: str
    category: str
    measure: str
    queries: int
    interval: Interval


def scores(run: Run, judgements: Judgements, measure: Measure) -> dict[str, float]:
    """The measure of every query that has something relevant; a query that the run lacks scores as found nothing."""
    return {
        query: measure(run.get(query, ()), gains)
        for query, gains in judgements.items()
        if any(gain > 0.0 for gain in gains.values())
    }


def table(
    stages: Mapping[str, Run],
    judgements: Judgements,
    *,
    categories: Mapping[str, str],
    seed: int,
    measures: Mapping[str, Measure] = MEASURES,
) -> list[Score]:
    """All scores, by stage, measure and category, ALL first. The same seed gives the same intervals."""
    return [
        score
        for stage, run in stages.items()
        for name, measure in measures.items()
        for score in _by_category(scores(run, judgements, measure), categories, stage, name, seed)
    ]


def _by_category(
    values: Mapping[str, float], categories: Mapping[str, str], stage: str, measure: str, seed: int
) -> Iterator[Score]:
    named = sorted({categories[query] for query in values if query in categories})
    for category in (ALL, *named):
        chosen = [
            value for query, value in values.items() if category == ALL or categories.get(query) == category
        ]
        if chosen:
            # Each cell draws from its own generator, so that a cell does not depend on what else is in the table.
            found = interval(chosen, np.random.default_rng(seed))
            yield Score(stage=stage, category=category, measure=measure, queries=len(chosen), interval=found)
