import numpy as np

from mnemata.embedding.hashing import HashingEmbedder

PLACES = [48, 55, 186, 197, 202]
VALUES = [-0.780869, -0.312348, -0.312348, 0.312348, -0.312348]


def similarity(left: str, right: str) -> float:
    first, second = HashingEmbedder().embed_documents([left, right])
    return float(first @ second)


def test_the_same_text_has_the_same_vector_on_every_machine():
    vector = HashingEmbedder().embed_documents(["memory"])[0]
    places = np.flatnonzero(vector)
    assert places.tolist() == PLACES
    np.testing.assert_allclose(vector[places], VALUES, atol=1e-6)


def test_case_and_compatibility_forms_do_not_count():
    assert similarity("Straße ﬁn", "STRASSE fin") > 0.999


def test_a_misspelt_word_is_nearer_than_another_word():
    assert similarity("restaurant", "restaraunt") > similarity("restaurant", "umbrella") + 0.2


def test_emoji_differ_from_one_another():
    assert similarity("😀", "🎉") < 0.9


def test_texts_without_words_share_one_direction():
    assert similarity("", " \n") == 1.0
