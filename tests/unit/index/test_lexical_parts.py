"""The small parts of the lexical leg: ids made in bulk, ranges as terms, scores, words."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import tantivy
from hypothesis import given
from hypothesis import strategies as st

from mnemata.domain.attributes import attribute_terms
from mnemata.domain.filter import Field, Range
from mnemata.domain.query import Words
from mnemata.index.local import bm25, trie
from mnemata.index.local.analysis import plain_tokens, stemmed_tokens
from mnemata.index.local.main_segment import missing_for_a_merge
from mnemata.index.local.words import analysed_words


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_blocks_cover_the_range_and_nothing_else(low, high, value):
    blocks = list(trie.blocks(low, high))
    assert any(f"{value:016x}".startswith(block) for block in blocks) == (low <= value <= high)
    assert len(blocks) <= 2 * 15 * trie.DIGITS


def test_whole_numbers_need_few_blocks():
    field = Field(name="metadata", path=("score",))
    assert len(trie.covering(Range(field=field, low=3, high=5, include_high=False))) < 20


def test_only_numbers_and_dates_have_beginnings():
    terms = attribute_terms({"a": "text", "b": True, "c": 1, "d": "2026-01-01"})
    starts = {term.split("\x1f")[0] for term in trie.beginnings(terms)}
    assert starts == {"c", "d"}


def explained(text: str, others: list[str]) -> tuple[float, float]:
    """What tantivy scores 'fox' in the text among the others, and the length that it takes it to have."""
    schema = tantivy.SchemaBuilder().add_text_field("t").build()
    index = tantivy.Index(schema)
    writer = index.writer(15_000_000, 1)
    for each in (text, *others):
        writer.add_document(tantivy.Document(t=each))
    writer.commit()
    index.reload()
    searcher = index.searcher()
    query = tantivy.Query.term_query(schema, "t", "fox", "freq")
    explanation = json.loads(query.explain(searcher, tantivy.DocAddress(0, 0)).to_json())
    writer.wait_merging_threads()
    return explanation["value"], explanation["details"][2]["details"][3]["value"]


@pytest.mark.parametrize("length", [1, 2, 39, 40, 41, 57, 100, 1_000, 20_000])
def test_score_is_tantivys_to_the_last_digit_that_counts(length):
    text = " ".join(["fox", *["word"] * (length - 1)])
    others = ["word word", "fox fox", "word"]
    value, kept = explained(text, others)
    assert bm25.kept_length(length) == kept
    average = sum(len(each.split()) for each in (text, *others)) / 4
    norm = bm25.length_norm(length, average)
    assert bm25.score(weight=bm25.idf(4, 2), frequency=1, norm=norm) == pytest.approx(value, rel=1e-5)


def test_text_is_folded_stemmed_and_split():
    assert plain_tokens("Crème BRÛLÉE, 3rd") == ["creme", "brulee", "3rd"]
    assert stemmed_tokens("The running dogs") == ["run", "dog"]
    assert plain_tokens("東京都 x 山") == ["東京", "京都", "x", "山"]
    assert plain_tokens("हिन्दी") == plain_tokens("हिन्दी")
    assert len(plain_tokens("हिन्दी")) == 1
    assert plain_tokens("x" * 300) == []


def test_stop_words_do_not_score_beside_others_but_do_alone():
    scored = [group[0].token for group in analysed_words(Words(text="where is the lighthouse")).groups]
    alone = [group[0].token for group in analysed_words(Words(text="where is it")).groups]
    assert scored == ["lighthouse"]
    assert alone == ["where", "is", "it"]


def test_repeated_word_weighs_as_often_as_it_is_said():
    (group,) = analysed_words(Words(text="tea tea tea")).groups
    (single,) = analysed_words(Words(text="tea")).groups
    assert [term.weight for term in group] == [pytest.approx(3 * term.weight) for term in single]


def test_unfinished_word_of_a_hyphenated_prefix_is_the_last():
    constraints = analysed_words(Words(prefixes=("well-kno",))).constraints
    assert constraints.phrases == (("well",),)
    assert constraints.prefixes == ("kno",)


def test_range_over_dates_uses_date_terms():
    field = Field(name="metadata", path=("due",))
    blocks = set(trie.covering(Range(field=field, low=datetime(2026, 1, 1, tzinfo=UTC))))
    inside = set(trie.beginnings(attribute_terms({"due": "2026-01-01"})))
    outside = set(trie.beginnings(attribute_terms({"due": "2025-12-31"})))
    assert blocks & inside
    assert not blocks & outside


@pytest.mark.parametrize(
    ("sizes", "missing"),
    [
        ([], 0),
        ([1, 1, 1], 0),
        ([1, 1, 1, 1], 4),
        ([5_000, 9_000, 1, 1, 1, 1, 1], 1),
        # A segment that is not much larger than small ones is merged with them; much larger ones are not.
        ([16_000, 1_000, 1_000, 1_000], 4),
        ([22_000, 15_000, 8_000, 1_000, 1_000, 1_000, 1_000, 1_000], 2),
        ([90_000, 80_000, 70_000, 60_000], 0),
    ],
)
def test_small_segments_are_worth_a_merge_where_there_are_some(sizes, missing):
    assert missing_for_a_merge(sizes) == missing
