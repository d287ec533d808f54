from __future__ import annotations

from mnemata.quality.runs import ALL, MEASURES, Score, scores, table

JUDGED = {"q1": {"a": 1.0}, "q2": {"b": 1.0, "c": 1.0}, "q3": {"d": 0.0}}
RUN = {"q1": ["a", "b"], "q2": ["x", "b"], "unasked": ["a"]}
CATEGORIES = {"q1": "short", "q2": "long", "q3": "long"}


def cell(found: list[Score], stage: str, measure: str, category: str) -> Score:
    (score,) = [s for s in found if (s.stage, s.measure, s.category) == (stage, measure, category)]
    return score


def test_queries_without_anything_relevant_are_left_out():
    assert scores(RUN, JUDGED, MEASURES["recall@10"]) == {"q1": 1.0, "q2": 0.5}


def test_query_that_the_run_lacks_found_nothing():
    assert scores({}, JUDGED, MEASURES["recall@10"]) == {"q1": 0.0, "q2": 0.0}


def test_table_has_every_stage_measure_and_category():
    found = table({"fused": RUN, "none": {}}, JUDGED, categories=CATEGORIES, seed=1)

    assert len(found) == 2 * len(MEASURES) * 3
    assert cell(found, "fused", "recall@10", ALL).interval.mean == 0.75
    assert cell(found, "fused", "mrr@10", "long").interval.mean == 0.5
    assert cell(found, "none", "hit@10", "short").interval.mean == 0.0
    assert cell(found, "fused", "recall@10", ALL).queries == 2


def test_cell_does_not_depend_on_what_else_is_in_the_table():
    whole = table({"none": {}, "fused": RUN}, JUDGED, categories=CATEGORIES, seed=1)
    alone = table({"fused": RUN}, JUDGED, categories=CATEGORIES, seed=1)

    assert cell(whole, "fused", "ndcg@10", ALL) == cell(alone, "fused", "ndcg@10", ALL)


def test_queries_without_a_category_count_in_the_whole():
    found = table({"fused": RUN}, JUDGED, categories={}, seed=1)

    assert {score.category for score in found} == {ALL}
    assert table({"fused": RUN}, {}, categories={}, seed=1) == []
