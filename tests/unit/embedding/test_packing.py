from hypothesis import given
from hypothesis import strategies as st

from mnemata.embedding.packing import length_sorted_batches

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
