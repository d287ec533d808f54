"""`docs/performance-report.md` says what the committed figures say, and nothing else."""

from __future__ import annotations

import json

from benchmarks.figures import RESULTS, ROOT
from benchmarks.report.page import BENCHES, page


def test_report_page_is_what_the_committed_figures_give() -> None:
    written = (ROOT / "docs" / "performance-report.md").read_text("utf-8")

    assert written == page(RESULTS), "run: make report"


def test_every_file_of_figures_is_of_a_known_bench_and_names_its_machine() -> None:
    for path in RESULTS.glob("*.json"):
        about = json.loads(path.read_text("utf-8"))["machine"]
        assert path.stem in BENCHES
        assert {"cores", "processor", "python", "version", "date"} <= about.keys(), path.name
