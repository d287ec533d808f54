"""What was measured, as tables for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.relevance.asking import MODES, Asked
from benchmarks.relevance.sets import RetrievalSet
from mnemata import __version__
from mnemata.index.weights import FIELD_WEIGHTS, NEIGHBOUR_VECTOR_WEIGHT
from mnemata.quality.bootstrap import Interval, paired_difference
from mnemata.quality.runs import ALL, MEASURES, Score, scores, table
from mnemata.ranking.defaults import DEPTH, FUSION

SEED = 20_260_501
SHOWN = ("ndcg@10", "recall@10", "mrr@10")


def judged(chosen: RetrievalSet, stages: dict[str, Asked], *, import_s: float) -> dict[str, Any]:
    """One set's figures."""
    runs = {stage: asked.run for stage, asked in stages.items()}
    cells = table(runs, chosen.judgements, categories=chosen.categories, seed=SEED)
    return {
        "memories": len(chosen.memories),
        "empty_documents": chosen.empty,
        "questions": len(chosen.questions),
        "import_s": round(import_s, 1),
        "ms_per_query": {stage: _times(asked.took_ms) for stage, asked in stages.items()},
        "scores": [_cell(cell) for cell in cells],
        "hybrid_minus": _differences(chosen, runs),
    }


def whole(sets: dict[str, Any]) -> dict[str, Any]:
    """All sets, with what they were measured on."""
    return {
        "version": __version__,
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "configuration": {
            "fusion": repr(FUSION),
            "depth": DEPTH,
            "field_weights": dict(FIELD_WEIGHTS),
            "neighbour_vector_weight": NEIGHBOUR_VECTOR_WEIGHT,
        },
        "seed": SEED,
        "sets": sets,
    }


def show(console: Console, name: str, figures: dict[str, Any]) -> None:
    """One set's tables: stages beside each other, the whole and by category."""
    console.print(
        f"\n[bold]{name}[/bold]: {figures['memories']:,} memories (imported and indexed in {figures['import_s']} s), "
        f"{figures['questions']:,} questions"
    )
    console.print(_stage_table(figures))
    categories = [cell["category"] for cell in figures["scores"] if cell["category"] != ALL]
    if categories:
        console.print(_category_table(figures, list(dict.fromkeys(categories))))


def mean(figures: dict[str, Any], stage: str, measure: str, category: str = ALL) -> float:
    return _find(figures, stage, measure, category)["mean"]


def _stage_table(figures: dict[str, Any]) -> Table:
    shown = Table("stage", *SHOWN, "p50 ms", "p95 ms")
    for stage, times in figures["ms_per_query"].items():
        shown.add_row(
            stage,
            *(_with_interval(_find(figures, stage, measure, ALL)) for measure in SHOWN),
            f"{times['p50']:.1f}",
            f"{times['p95']:.1f}",
        )
    for other, by_measure in figures["hybrid_minus"].items():
        shown.add_row(f"hybrid - {other}", *(_signed(by_measure[measure]) for measure in SHOWN), "", "")
    return shown


def _category_table(figures: dict[str, Any], categories: list[str]) -> Table:
    stages = list(figures["ms_per_query"])
    shown = Table("category", "questions", *(f"{measure} {stage}" for measure in SHOWN for stage in stages))
    for category in categories:
        cells = [_find(figures, stage, measure, category) for measure in SHOWN for stage in stages]
        shown.add_row(category, str(cells[0]["queries"]), *(f"{cell['mean']:.3f}" for cell in cells))
    return shown


def _differences(chosen: RetrievalSet, runs: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    found = dict[str, Any]()
    if "hybrid" not in runs:
        return found
    for other in [mode for mode in MODES if mode in runs and mode != "hybrid"]:
        found[other] = {}
        for measure in SHOWN:
            after = scores(runs["hybrid"], chosen.judgements, MEASURES[measure])
            before = scores(runs[other], chosen.judgements, MEASURES[measure])
            change = paired_difference(
                list(after.values()), list(before.values()), np.random.default_rng(SEED)
            )
            found[other][measure] = _rounded(change)
    return found


def _cell(score: Score) -> dict[str, Any]:
    return {
        "stage": score.stage,
        "measure": score.measure,
        "category": score.category,
        "queries": score.queries,
        **_rounded(score.interval),
    }


def _rounded(found: Interval) -> dict[str, float]:
    return {"mean": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def _times(took_ms: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(took_ms, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _find(figures: dict[str, Any], stage: str, measure: str, category: str) -> dict[str, Any]:
    (cell,) = (
        cell
        for cell in figures["scores"]
        if (cell["stage"], cell["measure"], cell["category"]) == (stage, measure, category)
    )
    return cell


def _with_interval(cell: dict[str, Any]) -> str:
    return f"{cell['mean']:.3f} [dim][{cell['low']:.3f}, {cell['high']:.3f}][/dim]".replace(
        "[dim][", "[dim]\\["
    )


def _signed(change: dict[str, float]) -> str:
    return f"{change['mean']:+.3f} [dim]\\[{change['low']:+.3f}, {change['high']:+.3f}][/dim]"
