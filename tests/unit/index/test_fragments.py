"""Fragments: marks stand where the query's words are, fragments are bounded, and parts joined are the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemata.domain.fragment import FRAGMENTS, FragmentShape
from mnemata.domain.query import Words
from mnemata.index.local.analysis import plain_tokens
from mnemata.index.local.highlighting import MAX_CHARACTERS, highlighted
from mnemata.index.local.spans import spans

LONG = " ".join(f"word{n}" for n in range(400))


def marked(words: Words, text: str, shape: FragmentShape = FRAGMENTS) -> list[list[str]]:
    (fragments,) = highlighted(words, [text], shape)
    return [[part.text for part in fragment.parts if part.marked] for fragment in fragments]


@pytest.mark.parametrize(
    ("query", "text", "found"),
    [
        ("ski", "Skiing, skis and a sky", ["Skiing", "skis"]),
        ("the lake", "The lake in the rain", ["lake"]),
        ("the", "The lake", ["The"]),
        ("cafe", "Das Café.", ["Café"]),
        ("東京", "東京都に行きました", ["東京"]),
        ("東京都", "昨日東京都に", ["東京都"]),
        ("ก๋วย", "ฉันชอบก๋วยเตี๋ยว", ["ก๋วย"]),
        ("हिन्दी", "मुझे हिन्दी पसंद है", ["हिन्दी"]),
        ("fine", "a ﬁne day", ["ﬁne"]),
        ("🎉", "party 🎉 now", ["🎉"]),
        ("kanji", "kanji漢字", ["kanji"]),
        ("字", "字 a", ["字"]),
        ("°", "20 ° here", ["°"]),
        ("©", "© 2026 and ® beside", ["©"]),
    ],
)
def test_words_are_marked_as_they_stand(query, text, found):
    assert marked(Words(text=query), text) == [found]


def test_words_that_begin_so_and_phrases_are_marked():
    words = Words(prefixes=("aero",), phrases=("new york city",))
    assert marked(words, "Aeroplanes over New York City") == [["Aeroplanes", "New York City"]]


def test_words_in_a_row_are_parts_of_their_own():
    assert marked(Words(text="red tea"), "red tea") == [["red", "tea"]]


def test_a_text_without_the_words_has_no_fragment():
    assert marked(Words(text="tea"), LONG) == []
    assert marked(Words(text=""), "tea") == []
    assert marked(Words(text="tea"), "") == []


def test_the_best_fragments_are_chosen_and_stand_in_the_order_of_the_text():
    text = f"tea {LONG} red tea with milk {LONG} tea {LONG} milk"
    shape = FragmentShape(count=2, characters=60)
    (fragments,) = highlighted(Words(text="red tea milk"), [text], shape)
    assert [[part.text for part in one.parts if part.marked] for one in fragments] == [
        ["tea"],
        ["red", "tea", "milk"],
    ]
    assert [fragment.start for fragment in fragments] == sorted(fragment.start for fragment in fragments)


def test_fragments_end_between_words():
    (fragments,) = highlighted(Words(text="word200"), [LONG])
    (fragment,) = fragments
    assert all(word in LONG.split() for word in fragment.text.split())
    assert fragment.text == fragment.text.strip()
    assert 100 < len(fragment.text) <= FRAGMENTS.characters


def test_one_word_longer_than_a_fragment_is_shown_whole():
    long = "x" * 200
    assert marked(Words(text=long), f"before {long} after") == [[long]]


def test_a_short_text_is_shown_whole():
    text = "x " * 70 + "tea"
    assert highlighted(Words(text="tea"), [text])[0][0].text == text


def test_fragments_that_would_touch_do_not_overlap():
    text = "tea " + "x " * 30 + "tea " + "x " * 30 + "tea"
    (fragments,) = highlighted(Words(text="tea"), [text], FragmentShape(count=3, characters=60))
    ends = [fragment.start + len(fragment.text) for fragment in fragments]
    assert len(fragments) == 3
    assert all(end <= later.start for end, later in zip(ends, fragments[1:], strict=False))


def test_what_a_long_phrase_covers_is_no_fragment_of_its_own():
    words = Words(phrases=("the red tea pot",))
    found = marked(words, "the red tea pot", FragmentShape(count=3, characters=4))
    assert found == [["the red tea pot"]]


def test_a_fragment_does_not_end_with_spaces():
    (fragments,) = highlighted(Words(text="tea"), ["tea   " + "x" * 300])
    assert fragments[0].text == "tea"


def test_a_text_without_spaces_is_cut_anywhere():
    text = "京" * 400 + "東" + "京" * 400
    (fragments,) = highlighted(Words(text="東京"), [text], FragmentShape(count=1, characters=50))
    assert [part.text for part in fragments[0].parts if part.marked] == ["東京"]
    assert len(fragments[0].text) <= 50


def test_what_is_far_behind_is_not_looked_at():
    assert marked(Words(text="tea"), "x " * MAX_CHARACTERS + "tea") == []


TEXTS = st.text(alphabet=st.sampled_from("ab é-_.<日本ก 🎉ﬁ\n½"), max_size=80)


@given(st.text(max_size=20) | TEXTS, st.text(max_size=300) | TEXTS, st.integers(1, 4), st.integers(1, 60))
def test_fragments_are_pieces_of_the_text_and_do_not_overlap(query, text, count, characters):
    shape = FragmentShape(count=count, characters=characters)
    words = Words(text=query, phrases=(query[:7],), prefixes=(query[:2],))
    (fragments,) = highlighted(words, [text], shape)
    assert len(fragments) <= count
    end = 0
    for fragment in fragments:
        assert text[fragment.start :].startswith(fragment.text)
        assert fragment.start >= end
        assert any(part.marked for part in fragment.parts)
        end = fragment.start + len(fragment.text)


@given(TEXTS | st.text(alphabet=st.sampled_from("abc .,é日本"), max_size=60))
def test_spans_have_the_tokens_of_the_text(text):
    assert {token for span in spans(text) for token in span.tokens} == set(plain_tokens(text))
