"""The graph of integers, beside the file's own graph, which multiplies floats."""

import numpy as np
import pytest

from mnemata.embedding.files import checked_content
from mnemata.embedding.onnx import MINILM, OnnxEmbedder
from mnemata.embedding.onnx_session import multiplies_integers_right, open_session

TEXTS = [
    "ok",
    "",
    "😀🎉👩‍👩‍👧",
    "Ana moved to Lisbon in March.",
    "Mein Hund heißt Bello und mag keine Katzen.",
    "?!... --- ;;",
    "x" * 300,
    "The quarterly report was late because the supplier had changed its invoicing system twice. " * 12,
    "0 1 2 3 4 5 6 7 8 9 " * 20,
]


@pytest.fixture(scope="module")
def floats():
    embedder = OnnxEmbedder(threads=1, integers=False)
    yield embedder
    embedder.close()


def test_integers_give_the_vectors_that_floats_give(minilm, floats):
    cosines = (minilm.embed_documents(TEXTS) * floats.embed_documents(TEXTS)).sum(axis=1)
    # Below this it would be another space, and its name would have to say so.
    assert cosines.min() >= 0.999


def test_a_token_out_of_place_is_seen_by_integers_as_by_floats(minilm, floats):
    pair = ["the dog bites the man", "the man bites the dog"]
    found = [float(np.dot(*embedder.embed_documents(pair))) for embedder in (minilm, floats)]
    assert found[0] == pytest.approx(found[1], abs=0.002)
    assert found[0] < 0.999


def test_integers_are_multiplied_where_the_processor_does_it_right():
    session = open_session(checked_content(MINILM.weights), threads=1)
    assert session.integers is multiplies_integers_right()
