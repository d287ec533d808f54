import numpy as np

from mnemata.embedding.onnx import MINILM


def test_a_paraphrase_is_nearer_than_shared_words_about_something_else(minilm):
    question, paraphrase, shared_words = minilm.embed_queries(
        [
            "How do I get my money back?",
            "I would like a refund for my order.",
            "How do I get my back straight?",
        ]
    )
    assert question @ paraphrase > question @ shared_words


def test_vectors_stay_what_they_were_when_the_space_got_its_name(minilm):
    texts = ["A man is eating food.", "A man is eating a piece of bread.", "A man is eating pasta."]
    food, bread, pasta = minilm.embed_documents(texts)
    found = [float(food @ bread), float(food @ pasta), float(bread @ pasta)]
    # Another treatment of text is another space: change the space's name with these numbers.
    np.testing.assert_allclose(found, [0.7535, 0.7007, 0.5241], atol=0.001)


def test_the_last_token_of_a_window_counts_and_the_first_of_the_next_too(minilm):
    size = MINILM.window - 2
    for before in (size - 1, size):
        base = ["calm"] * before
        plain, marked = minilm.embed_documents([" ".join([*base, "calm"]), " ".join([*base, "volcano"])])
        assert float(plain @ marked) < 0.9999


def test_a_text_that_fits_the_window_is_one_pass_of_the_model(minilm):
    short = " ".join(["calm"] * (MINILM.window - 2))
    first, second = minilm.embed_documents([short, short + " "])
    np.testing.assert_array_equal(first, second)
