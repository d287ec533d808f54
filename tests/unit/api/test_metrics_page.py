"""The page of metrics and the inventory are the same."""

from __future__ import annotations

import re
from pathlib import Path

from mnemata.observability.metrics import Metrics

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text("utf-8")


def test_the_page_lists_every_metric_with_its_kind_and_no_other() -> None:
    listed = set(re.findall(r"^\| `(mnemata_\w+)` \| (\w+) \|", PAGE, re.MULTILINE))

    assert listed == {(metric.name, metric.type) for metric in Metrics().registry.collect()}


def test_the_page_lists_every_label() -> None:
    listed = {
        name: re.findall(r"`(\w+)`", labels)
        for name, labels in re.findall(r"^\| `(mnemata_\w+)` \| \w+ \|([^|]*)\|", PAGE, re.MULTILINE)
    }
    declared = {
        metric.name: list(vars(metric_object)["_labelnames"])
        for metric_object in vars(Metrics()).values()
        if hasattr(metric_object, "_labelnames")
        for metric in metric_object.describe()
    }

    assert listed == declared
