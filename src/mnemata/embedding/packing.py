"""Length-sorted batches: texts of like length go through the model together, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

RUN_TOKENS = 8
"""What a run of the model costs whatever is in it, in tokens: 1.4 ms where a token takes 0.17 ms."""


def length_sorted_batches(lengths: Sequence[int], *, token_budget: int) -> Iterator[list[int]]:
    """Places in `lengths`, shortest first, in batches of at most `token_budget` tokens, padding included.

    A text above the budget is a batch of its own. Every place appears once. Of all ways to cut the sorted texts
    it is the one that takes the fewest tokens, with their padding and RUN_TOKENS for each batch.
    """
    places = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start, end in pairwise(_cuts([lengths[place] for place in places], token_budget)):
        yield places[start:end]


def _cuts(ascending: Sequence[int], token_budget: int) -> list[int]:
    """Where batches start, and the end: the shortest path through the places between texts."""
    cost, start_of = [0], [0]
    for end, longest in enumerate(ascending, start=1):
        least = max(0, end - max(1, token_budget // longest))
        best, start = min((cost[start] + longest * (end - start), start) for start in range(least, end))
        cost.append(best + RUN_TOKENS)
        start_of.append(start)
    cuts = [len(ascending)]
    while cuts[-1]:
        cuts.append(start_of[cuts[-1]])
    return cuts[::-1]
