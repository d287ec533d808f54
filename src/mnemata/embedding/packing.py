"""Length-sorted batches: texts of like length go through the model together, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def length_sorted_batches(lengths: Sequence[int], *, token_budget: int) -> Iterator[list[int]]:
    """Places in `lengths`, shortest first, in batches of at most `token_budget` tokens, padding included.

    A text above the budget is a batch of its own. Every place appears once.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[place] * (len(batch) + 1) > token_budget:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
