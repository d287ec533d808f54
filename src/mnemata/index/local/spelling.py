"""Edits between words, and the nearest of a list: optimal string alignment (Damerau 1964), as spelling errors are made."""

from __future__ import annotations

from collections.abc import Iterable

from mnemata.domain.suggestion import Respelling, WordCount

MIN_LETTERS = 3
"""Shorter words are not corrected: every other one is near them."""

_TWO_FROM = 6
"""Words from this length on may have two errors."""

MAX_LETTERS = 40


def correctable(word: str) -> bool:
    """Whether another spelling is looked for: no numbers, no very short or long words."""
    return MIN_LETTERS <= len(word) <= MAX_LETTERS and word.isalpha()


def allowed_edits(word: str) -> int:
    return 2 if len(word) >= _TWO_FROM else 1


def respellings(word: str, known: Iterable[WordCount], *, limit: int) -> tuple[Respelling, ...]:
    """Of the known words those that are near: the nearest first, then the most frequent, then by the alphabet."""
    most = allowed_edits(word)
    near: list[Respelling] = []
    for other in known:
        edits = distance(word, other.word, most)
        if edits is not None and edits > 0:
            near.append(Respelling(word=other.word, distance=edits, count=other.count))
    near.sort(key=lambda option: (option.distance, -option.count, option.word))
    return tuple(near[:limit])


def distance(left: str, right: str, most: int) -> int | None:
    """Insertions, deletions, replacements and swaps of neighbours between the words; None where more than `most`."""
    if abs(len(left) - len(right)) > most:
        return None
    before: list[int] = []
    above = list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        row = [i]
        for j, other in enumerate(right, 1):
            edits = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                edits = min(edits, before[j - 2] + 1)
            row.append(edits)
        if min(row) > most:
            return None
        before, above = above, row
    return above[-1] if above[-1] <= most else None
