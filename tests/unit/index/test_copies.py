"""The same question goes to the same copy of a shard, and different ones are spread."""

from mnemata.domain.ids import TenantId
from mnemata.domain.query import Words
from mnemata.index.cluster.copies import copy_for

ANA, BEN = TenantId("ana"), TenantId("ben")


def test_every_page_of_a_question_comes_from_one_copy():
    assert copy_for(ANA, Words(text="green tea")) == copy_for(ANA, Words(text="green tea"))


def test_questions_of_one_tenant_are_spread_over_the_copies():
    copies = {copy_for(ANA, Words(text=f"tea {number}")) for number in range(100)}

    assert len(copies) == 100


def test_phrase_is_another_question_than_its_words_and_each_tenant_has_its_own():
    asked = [
        copy_for(ANA, Words(text="green tea")),
        copy_for(BEN, Words(text="green tea")),
        copy_for(ANA, Words(phrases=("green tea",))),
        copy_for(ANA, Words(text="\ud800")),
        copy_for(ANA),
    ]

    assert len(set(asked)) == len(asked)
    # One that begins with an underscore would be an order to the cluster.
    assert not any(copy.startswith("_") for copy in asked)
