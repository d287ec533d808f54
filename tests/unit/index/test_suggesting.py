"""Spellings, corrections and completions, from a dictionary that is a list of texts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemata.domain.suggestion import CompletionKind, Respelling, WordCount
from mnemata.index.local.analysis import plain_tokens
from mnemata.index.local.dictionary import FirstLetter
from mnemata.index.local.spelling import allowed_edits, correctable, distance, respellings
from mnemata.index.local.suggesting import (
    MAX_CORRECTED,
    MAX_WORDS,
    completions,
    correction,
    either_case,
    spellings,
)


class Said:
    """A dictionary of texts and tags."""

    def __init__(self, *texts: str, tags: tuple[str, ...] = ()) -> None:
        self.texts = [plain_tokens(text) for text in texts]
        self.words = Counter(word for text in self.texts for word in set(text))
        self.tags = Counter(tags)

    async def counts(self, words):
        return [self.words[word] for word in words]

    async def near(self, word):
        return [one for one in self.all() if one.word[0] == word[0]]

    async def starting_with(self, prefix, limit):
        return [one for one in self.all() if one.word.startswith(prefix)][:limit]

    async def phrases(self, phrases):
        joined = [f" {' '.join(text)} " for text in self.texts]
        return [sum(f" {' '.join(phrase)} " in text for text in joined) for phrase in phrases]

    async def tags_starting_with(self, prefix, limit):
        found = [tag for tag in self.tags if tag.lower().startswith(prefix.lower())]
        return [WordCount(word=tag, count=self.tags[tag]) for tag in found][:limit]

    def all(self):
        ranked = sorted(self.words.items(), key=lambda item: (-item[1], item[0]))
        return [WordCount(word=word, count=count) for word, count in ranked]


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [
        ("tea", "tea", 0),
        ("tea", "teas", 1),
        ("tea", "ten", 1),
        ("tea", "eta", 1),
        ("kitten", "sitting", 3),
        ("ca", "abc", 3),
        ("", "ab", 2),
    ],
)
def test_distance_counts_edits_and_swaps(left, right, edits):
    assert distance(left, right, 3) == distance(right, left, 3) == edits
    assert distance(left, right, edits) == edits
    assert edits == 0 or distance(left, right, edits - 1) is None


WORDS = st.text(alphabet="abcd", min_size=1, max_size=8)


@given(WORDS, st.lists(WORDS, max_size=30), st.integers(1, 2))
def test_the_quick_look_finds_every_word_that_is_near(word, others, edits):
    expected = sorted(other for other in others if distance(word, other, edits) is not None)
    assert sorted(FirstLetter(others).near(word, edits)) == expected


def test_short_words_numbers_and_very_long_words_are_not_corrected():
    assert [correctable(word) for word in ("ab", "abc", "ab1", "x" * 41)] == [False, True, False, False]
    assert [allowed_edits(word) for word in ("abcde", "abcdef")] == [1, 2]


def test_the_nearest_come_first_then_the_most_frequent_then_by_the_alphabet():
    known = [WordCount(word=word, count=n) for word, n in (("cast", 1), ("cost", 9), ("cart", 1), ("cat", 5))]
    found = respellings("catt", [*known, WordCount(word="catt", count=3)], limit=3)
    assert [(one.word, one.distance) for one in found] == [("cat", 1), ("cart", 1), ("cast", 1)]
    assert respellings("catt", known, limit=1) == (Respelling(word="cat", distance=1, count=5),)


async def test_no_more_words_are_corrected_than_the_bound():
    said = Said("harbour")
    assert len(await spellings(said, "harbor " * 20)) == MAX_CORRECTED
    late = "the " * MAX_WORDS + "harbor"
    assert await spellings(said, late) == ()
    assert await spellings(said, "") == ()


async def test_neighbours_decide_between_words_that_are_as_near():
    said = Said("cheese market", "chess club", "chess club")
    assert (await correction(said, "cheess market")).text == "cheese market"
    assert (await correction(said, "cheess club")).text == "chess club"
    assert (await correction(said, "chess clb cheess")).text.startswith("chess club ")


async def test_what_is_known_stays_and_what_has_no_option_stays():
    said = Said("a harbour at night")
    told = await correction(said, "½ Night—xylophone, Harbuor!")
    assert told.text == "½ Night—xylophone, harbour!"
    assert await correction(said, "night harbour") is None


async def test_completions_of_one_text_are_told_once():
    said = Said("red wine", "red", tags=("Red", "Red", "Red"))
    found = await completions(said, "re")
    assert [(one.text, one.kind, one.count) for one in found] == [("Red", CompletionKind.TAG, 3)]


async def test_a_phrase_goes_on_after_what_was_typed():
    said = Said("the red bicycle", "red bird")
    for typed, whole in {
        "  THE Red bi": ["THE Red bicycle"],
        "Your the red bi": ["Your the red bicycle"],
    }.items():
        assert [one.text for one in await completions(said, typed)] == whole
    # Only the last words decide, and they must have been said one after the other.
    assert await completions(said, "a red bi") == ()


async def test_a_text_that_ends_between_words_goes_on_with_tags_only():
    said = Said("red wine", tags=("red wine from Spain",))
    assert await completions(said, " ") == ()
    assert [one.kind for one in await completions(said, "red ")] == [CompletionKind.TAG]
    assert [one.kind for one in await completions(said, "red w")] == [
        CompletionKind.PHRASE,
        CompletionKind.TAG,
    ]


def test_either_case_leaves_out_what_is_several_characters():
    assert either_case("aß1") == ["Aa", "ß", "1"]
