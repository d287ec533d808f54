"""What becomes of a cluster's answers: failed legs, partial ones, scores and ties."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.ids import TenantId
from mnemata.domain.query import Mode, Words
from mnemata.domain.vector import Metric
from mnemata.index.cluster.answers import legs_of, of_one_index
from mnemata.index.cluster.conditions import compiled
from mnemata.index.cluster.texts import CLUSTER, OWN, analysis_for, texts_of
from mnemata.index.protocol import IndexQuery

NORTH = np.array([1.0, 0.0], np.float32)
FAILED: dict[str, Any] = {"status": 500, "error": {"type": "search_phase_execution_exception"}}


def hit(
    number: int, *, score: float = 1.0, vector: list[float] | None = None, index: str = "i"
) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": [str(UUID(int=number))]}
    if vector is not None:
        fields["vector_half"] = [
            base64.b64encode(np.array(vector, np.float16).tobytes()).decode().rstrip("=")
        ]
    return {"_index": index, "_score": score, "fields": fields}


def answer(*hits: dict[str, Any], total: int = 0, failed: int = 0, timed_out: bool = False) -> dict[str, Any]:
    found = {"hits": list(hits), "total": {"value": total}}
    return {"took": 3, "timed_out": timed_out, "_shards": {"failed": failed}, "hits": found}


def asking(depth: int = 10) -> IndexQuery:
    return IndexQuery(
        tenant=TenantId("t"), mode=Mode.HYBRID, words=Words(text="a"), vector=NORTH, depth=depth
    )


def legs(metric: Metric = Metric.COSINE, *, depth: int = 10, **answers: dict[str, Any]):
    return legs_of(answers, asking(depth), metric=metric)


def numbers(leg) -> list[int]:
    return [one.memory_id.int for one in leg]


def test_a_leg_that_failed_is_named_and_the_other_is_given():
    told = legs(lexical=FAILED, vector=answer(hit(1, vector=[1, 0])), count=answer(total=7))
    assert (numbers(told.lexical), numbers(told.vector), told.total) == ([], [1], 7)
    assert told.degraded == ("lexical",)
    assert set(told.took_ms) == {"vector"}


def test_no_leg_is_no_answer():
    with pytest.raises(IndexUnavailable, match="search_phase_execution_exception"):
        legs(lexical=FAILED, vector=FAILED, count=answer(total=7))


@pytest.mark.parametrize("how", [{"failed": 1}, {"timed_out": True}])
def test_a_leg_of_which_a_part_is_missing_is_given_and_named(how):
    told = legs(lexical=answer(hit(1), **how), vector=answer(hit(2, vector=[1, 0])))
    assert (numbers(told.lexical), told.degraded) == ([1], ("lexical",))


def test_scores_of_the_graph_are_replaced_by_exact_ones_and_ties_go_by_id():
    told = legs(vector=answer(hit(3, score=0.1, vector=[0, 1]), hit(2, vector=[1, 0]), hit(1, vector=[1, 0])))
    assert numbers(told.vector) == [1, 2, 3]
    assert [one.score for one in told.vector] == [1.0, 1.0, 0.0]


def test_what_words_found_has_its_vector_score_whatever_the_depth():
    worded, pending = hit(8, vector=[0, -1]), hit(9)
    nearest = answer(*(hit(n, vector=[1, 0]) for n in (1, 2, 3)))
    told = legs(depth=2, lexical=answer(worded, pending), vector=nearest)
    assert numbers(told.vector) == [1, 2, 8]


def test_distance_counts_against_a_memory_where_the_metric_is_one():
    told = legs(Metric.L2, vector=answer(hit(1, vector=[0, 1]), hit(2, vector=[1, 0])))
    assert [(one.memory_id.int, one.score) for one in told.vector] == [(2, 0.0), (1, -2.0)]


def test_answers_of_two_indices_are_told_apart():
    assert of_one_index({"lexical": answer(hit(1)), "vector": answer(hit(2)), "count": FAILED})
    assert not of_one_index({"lexical": answer(hit(1)), "vector": answer(hit(2, index="j"))})


def test_the_cluster_takes_text_apart_only_where_every_module_is_there():
    assert analysis_for(["analysis-common", "lang-painless"]) == CLUSTER
    assert analysis_for(["x-pack-security"]) == analysis_for([]) == OWN


def test_text_is_sent_as_words_or_as_it_is():
    assert texts_of(OWN).indexed("content_en", "The Ships, sailing!") == "ship sail"
    assert texts_of(OWN).indexed("content", "The Ships, sailing!") == "the ships sailing"
    assert texts_of(CLUSTER).indexed("content", "The Ships, ﬁne") == "The Ships, fine"


def test_more_values_than_a_cluster_takes_at_once_are_asked_in_parts():
    from mnemata.domain.filter import AnyOf, Field

    condition = AnyOf(field=Field(name="user_id"), values=tuple(f"u{n}" for n in range(70_000)))
    parts = compiled(condition)["bool"]["should"]
    assert [len(part["terms"]["user_id"]) for part in parts] == [65_536, 4_464]
