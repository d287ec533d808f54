"""More memories than there are turns: the dialogues again and again, each time on another day and in other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import overload

import numpy as np

from benchmarks.speed.corpus import Corpus, Turn

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
APART = timedelta(minutes=1)
"""Between two turns: a million of them take two years."""

_PRIME = 7_919
"""Steps through the vocabulary, so that the same turn gets another word each time."""


@dataclass(frozen=True, slots=True)
class Repeated(Sequence[Turn]):
    """The n-th memory of as many as wanted.

    In the first round every turn is as it was said. In a later round a user has the same dialogues again, in sessions of
    another name, and each turn has one more word, which stands in the dialogues: no text comes twice because of the rounds.
    """

    said: Sequence[Turn]
    vocabulary: Sequence[str]
    count: int

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, place: int) -> Turn: ...

    @overload
    def __getitem__(self, place: slice) -> list[Turn]: ...

    def __getitem__(self, place: int | slice) -> Turn | list[Turn]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(self.count))]
        if not 0 <= place < self.count:
            raise IndexError(place)
        round_, number = divmod(place, len(self.said))
        turn = self.said[number]
        if round_ == 0:
            return turn
        words = turn.text.split()
        word = self.vocabulary[(number + round_ * _PRIME) % len(self.vocabulary)]
        words.insert(number % (len(words) + 1), f"{word} {round_}")
        return replace(turn, number=place, text=" ".join(words), session=f"{turn.session}#{round_}")


def multiplied(corpus: Corpus, count: int) -> Corpus:
    """The corpus with `count` memories made of its turns."""
    vocabulary = sorted(
        {word.strip(".,?!").lower() for turn in corpus.turns[:20_000] for word in turn.text.split()}
    )
    np.random.default_rng(3).shuffle(vocabulary)
    repeated = Repeated(said=corpus.turns, vocabulary=vocabulary, count=count)
    return replace(corpus, name=f"{corpus.name}, {count:,} memories", turns=repeated)


def said_at(number: int) -> datetime:
    """When the n-th memory was true."""
    return FIRST_DAY + number * APART
