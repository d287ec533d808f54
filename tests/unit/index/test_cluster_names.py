"""Names of indices in a cluster: each model, metric and format has a family of its own."""

from __future__ import annotations

import pytest

from mnemata.domain.vector import Metric, Space
from mnemata.index.cluster import generation
from mnemata.index.cluster.generation import family_in, family_of, name_of, number_of

MINILM = Space(name="all-MiniLM-L6-v2/int8/1", dimensions=384)


def test_family_names_base_and_model():
    assert family_of("mnemata", space=MINILM, metric=Metric.COSINE).startswith(
        "mnemata-all-minilm-l6-v2-int8-1-"
    )


def test_whatever_an_index_is_built_for_makes_another_family(monkeypatch):
    families = {
        family_of("mnemata", space=space, metric=metric)
        for space in (MINILM, Space(name=MINILM.name, dimensions=128), Space(name="other", dimensions=384))
        for metric in (Metric.COSINE, Metric.L2)
    }
    assert len(families) == 6
    monkeypatch.setattr(generation, "FORMAT", generation.FORMAT + 1)
    assert family_of("mnemata", space=MINILM, metric=Metric.COSINE) not in families


def test_name_of_a_model_may_be_long_or_hold_anything():
    space = Space(name="Größe/" + "x" * 300, dimensions=3)
    family = family_of("mnemata", space=space, metric=Metric.DOT)
    assert len(family) < 80
    assert family.isascii()
    assert family == family.lower()


@pytest.mark.parametrize("family", ["mnemata", "mnemata-a-1-0a1b2c3d", "mnemata-000001-x-0a1b2c3d"])
def test_family_is_read_from_the_names_of_its_indices(family):
    name = name_of(family, 12)
    assert number_of(family, name) == 12
    assert family_in("mnemata", name) == family
    assert family_in("mnemata", f"{name}-own-00ff") == family


@pytest.mark.parametrize("name", ["mnemata", "mnemata-logs", "other-000001", "mnemata2-a-000001"])
def test_other_indices_of_the_cluster_are_of_no_family(name):
    assert family_in("mnemata", name) is None
