from __future__ import annotations

from typing import Any

from benchmarks.report.load import section


def run(api: int, throughput: float, *, reached: bool) -> dict[str, Any]:
    step = {
        "label": "",
        "clients": 8,
        "throughput": throughput,
        **{kind: {} for kind in ("refused", "failures", "degraded", "cores", "operations")},
    }
    knee = {"clients": 8, "throughput": throughput, "reached": reached, "exhausted": "the cores"}
    scenario = {"unit": "requests", "steps": [step], "knee": knee}
    return {"api": api, "scenarios": {"chat": scenario}}


def test_a_run_that_came_to_no_knee_has_none_in_the_table() -> None:
    runs = [run(1, 100.0, reached=False), run(2, 90.0, reached=True)]
    text = section({"memories": 10, "think_s": 0.5, "runs": runs})

    assert "| 1 | 100 | 1.00 |  |  |" in text
    assert "| 2 | 90.0 | 0.90 | 8 | the cores |" in text
