import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemata.embedding.windows import Window, pool, split, unit_rows


@given(count=st.integers(0, 2_000), size=st.integers(2, 300), overlap=st.integers(0, 100))
def test_windows_cover_every_token_in_order_and_share_the_overlap(count, size, overlap):
    overlap = min(overlap, size - 1)
    tokens = list(range(count))
    windows = list(split(3, tokens, size=size, overlap=overlap))
    rebuilt = list(windows[0].tokens)
    for window in windows[1:]:
        assert len(window.tokens) > overlap
        assert list(window.tokens[:overlap]) == rebuilt[len(rebuilt) - overlap :]
        rebuilt.extend(window.tokens[overlap:])
    assert rebuilt == tokens
    assert all(len(window.tokens) <= size and window.text == 3 for window in windows)


def test_a_text_without_tokens_has_one_empty_window():
    assert [list(window.tokens) for window in split(0, [], size=10, overlap=2)] == [[]]


def test_a_text_as_long_as_the_window_is_not_split():
    assert len(list(split(0, [1] * 254, size=254, overlap=32))) == 1


def test_windows_are_pooled_by_their_number_of_tokens():
    vectors = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    windows = [Window(text=0, tokens=[1] * 3), Window(text=0, tokens=[1]), Window(text=1, tokens=[1])]
    expected = [[3 / 10**0.5, 1 / 10**0.5], [0, 1]]
    np.testing.assert_allclose(pool(vectors, windows, texts=2), expected, atol=1e-6)


def test_vectors_of_texts_in_one_window_are_left_as_they_are():
    vectors = np.array([[0.6, 0.8]], np.float32)
    assert pool(vectors, [Window(text=0, tokens=[1, 2])], texts=1) is vectors


@pytest.mark.parametrize("row", [[3.0, 4.0], [1e-12, 0.0]])
def test_rows_get_unit_length(row):
    assert np.linalg.norm(unit_rows(np.array([row], np.float32))) == pytest.approx(1.0)
