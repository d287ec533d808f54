from hypothesis import given
from hypothesis import strategies as st

from mnemata.embedding.packing import RUN_TOKENS, length_sorted_batches

LENGTHS = st.lists(st.integers(2, 256), max_size=200)


@given(lengths=LENGTHS)
def test_every_place_is_in_one_batch(lengths):
    batches = list(length_sorted_batches(lengths, token_budget=128))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))


@given(lengths=LENGTHS)
def test_a_batch_of_several_fits_the_budget_with_its_padding(lengths):
    for batch in length_sorted_batches(lengths, token_budget=128):
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 128


@given(lengths=LENGTHS)
def test_batches_go_from_short_to_long(lengths):
    order = [lengths[place] for batch in length_sorted_batches(lengths, token_budget=128) for place in batch]
    assert order == sorted(order)


def test_texts_of_one_length_are_not_padded_for_a_longer_one():
    assert list(length_sorted_batches([4, 60, 4, 4], token_budget=1_000)) == [[0, 2, 3], [1]]


def test_a_little_padding_is_cheaper_than_another_run():
    assert list(length_sorted_batches([5, 4, 5, 4], token_budget=1_000)) == [[1, 3, 0, 2]]


@given(lengths=st.lists(st.integers(2, 40), min_size=1, max_size=9))
def test_no_other_cut_of_the_sorted_texts_is_cheaper(lengths):
    ascending = sorted(lengths)

    def cost(batches):
        return sum(len(batch) * max(batch) + RUN_TOKENS for batch in batches)

    def every_cut(texts):
        if not texts:
            yield []
        for size in range(1, len(texts) + 1):
            if size == 1 or size * texts[size - 1] <= 64:
                for rest in every_cut(texts[size:]):
                    yield [texts[:size], *rest]

    found = [[lengths[place] for place in batch] for batch in length_sorted_batches(lengths, token_budget=64)]
    assert cost(found) == min(map(cost, every_cut(ascending)))
