"""What every Embedder promises, held against each engine."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mnemata.embedding.protocol import Embedder
from mnemata.embedding.registry import build, known_spaces

# Padding and batch neighbours change sums in the last bits of a float32 and nothing else.
SAME = 1 - 1e-5

TEXTS = [
    "Ana moved to Lisbon in March.",
    "ok",
    "The quarterly report was late because the supplier had changed its invoicing system twice.",
    "She plays the cello on Thursdays.",
    "Mein Hund heißt Bello und mag keine Katzen.",
]

ODD_TEXTS = {
    "empty": "",
    "blank": " \n\t ",
    "zero width": "\u200b\u200b",
    "emoji": "😀🎉👩‍👩‍👧",
    "right to left": "שלום עולם",
    "punctuation": "?!... --- ;;",
    "NUL": "a\x00b",
    "lone surrogate": "a\ud83db",
    "one endless word": "x" * 20_000,
}


@pytest.fixture(scope="module", params=sorted(known_spaces()))
def embedder(request):
    engine = build(request.param, model_path=None)
    assert engine is not None
    yield engine
    engine.close()


def assert_unit_rows(vectors: np.ndarray, embedder: Embedder, rows: int) -> None:
    assert vectors.shape == (rows, embedder.space.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("method", ["embed_documents", "embed_queries"])
def test_rows_are_unit_vectors_of_the_space(embedder, method):
    assert_unit_rows(getattr(embedder, method)(TEXTS), embedder, len(TEXTS))


@pytest.mark.parametrize("method", ["embed_documents", "embed_queries"])
def test_no_texts_give_no_rows(embedder, method):
    assert_unit_rows(getattr(embedder, method)([]), embedder, 0)


def test_rows_are_in_the_order_of_the_texts(embedder):
    forwards = embedder.embed_documents(TEXTS)
    backwards = embedder.embed_documents(TEXTS[::-1])[::-1]
    assert (forwards * backwards).sum(axis=1).min() >= SAME


def test_a_text_has_the_same_vector_whatever_its_neighbours_are(embedder):
    alone = np.vstack([embedder.embed_documents([text]) for text in TEXTS])
    filler = [f"{'filler ' * (number % 60)}{number}" for number in range(60)]
    together = embedder.embed_documents([*filler, *TEXTS, "word " * 600])[60:65]
    assert (alone * together).sum(axis=1).min() >= SAME


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts_have_a_unit_vector_that_is_always_the_same(embedder, text):
    first, second = embedder.embed_documents([text]), embedder.embed_documents([text])
    assert_unit_rows(first, embedder, 1)
    np.testing.assert_array_equal(first, second)


def test_ten_thousand_words_have_one_vector_to_which_the_last_words_count(embedder):
    body = "the weather was calm and nothing happened on the ship " * 1_000
    end = "a kraken rose from the sea and swallowed the captain " * 60
    vectors = embedder.embed_documents([body, body + end, end])
    assert_unit_rows(vectors, embedder, 3)
    without, ending_with, alone = vectors
    assert ending_with @ alone > without @ alone + 0.01


def test_threads_that_embed_at_once_get_what_one_thread_gets(embedder):
    expected = [embedder.embed_documents([text]) for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(embedder.embed_documents, [[text] for text in TEXTS * 8]))
    for place, vectors in enumerate(found):
        assert float((vectors * expected[place % len(TEXTS)]).sum()) >= SAME


def test_texts_that_share_words_are_nearer_than_texts_that_do_not(embedder):
    question, answer, other = embedder.embed_documents(
        ["where does Ana live now", "Ana moved to Lisbon; she lives there now", "invoice 4711 is overdue"]
    )
    assert question @ answer > question @ other + 0.1


def test_closing_twice_is_harmless():
    for name in known_spaces():
        engine = build(name, model_path=None)
        assert engine is not None
        engine.close()
        engine.close()
