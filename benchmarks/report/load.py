"""`python -m benchmarks.load`: throughput and latency as clients grow, by target and number of API processes."""

from __future__ import annotations

from typing import Any

from benchmarks.load.processor import LOAD, OTHERS
from benchmarks.report.markdown import number, paragraphs, table

_ABOUT = {
    "chat": "Agents that chat. A turn is three requests: what was said is stored, with the model, and found on return; it is "
    "looked for among what its user said; one of the hits is read. Between two turns an agent rests for {think_s} s.",
    "bulk": "Bulk loaders: batches of memories with their vectors, one after another, without a pause and without waiting until "
    "they are found.",
    "tenants": "Light tenants, one agent each, alone and beside a heavy tenant that stores batches and searches all it has, without "
    "a pause.",
}


def section(figures: dict[str, Any]) -> str:
    before = (
        f"{figures['memories']:,} memories were there before. A step has more clients than the one before, and the knee is the step "
        "behind which no later one brings a tenth more. *Refused* counts 429 and 503, which tell the client to come later; any "
        "other answer but a good one is *failed*."
    )
    parts = [before]
    for name, about in _ABOUT.items():
        runs = [run for run in figures["runs"] if name in run["scenarios"]]
        if runs:
            parts.append(f"### {name.capitalize()}")
            parts.append(about.format(think_s=figures["think_s"]))
            parts += [_climb(run, run["scenarios"][name], several=len(runs) > 1) for run in runs]
            parts.append(_growth(name, runs))
    return paragraphs(*parts)


def _climb(run: dict[str, Any], scenario: dict[str, Any], *, several: bool) -> str:
    title = f"**{run['api']} API process{'es' if run['api'] > 1 else ''}**" if several else ""
    return paragraphs(title, _steps(scenario), _operations(scenario), _knee(scenario))


def _steps(scenario: dict[str, Any]) -> str:
    names = _groups(scenario)
    rows = [
        (
            step["label"] or step["clients"],
            step["throughput"],
            *(sum(step[kind].values()) for kind in ("refused", "failures", "degraded")),
            _spent_ms(step),
            *(_cores(step, name) for name in names),
        )
        for step in scenario["steps"]
    ]
    head = (
        "clients",
        f"{scenario['unit']} a second",
        "refused",
        "failed",
        "degraded",
        f"processor ms for {_EACH[scenario['unit']]}",
    )
    return table((*head, *(f"cores: {name}" for name in names)), rows)


_EACH = {"requests": "a request", "memories": "a memory"}


def _spent_ms(step: dict[str, Any]) -> float | None:
    """Of all the platform's processes: what depends least on what else runs."""
    spent = sum(value for name, value in step["cores"].items() if name not in {LOAD, OTHERS})
    return round(1e3 * spent / step["throughput"], 2) if step["throughput"] else None


def _groups(scenario: dict[str, Any]) -> list[str]:
    """Processes of one kind under one name: api-1 and api-2 are `api`."""
    names = dict.fromkeys(_kind(name) for name in scenario["steps"][0]["cores"])
    return [*(name for name in names if name not in {LOAD, OTHERS}), LOAD, OTHERS]


def _kind(name: str) -> str:
    return name.rstrip("0123456789").rstrip("-")


def _cores(step: dict[str, Any], group: str) -> float:
    return round(sum(value for name, value in step["cores"].items() if _kind(name) == group), 2)


def _operations(scenario: dict[str, Any]) -> str:
    rows = [
        (
            step["label"] or step["clients"],
            name,
            *(row[key] for key in ("per_s", "p50_ms", "p95_ms", "p99_ms", "max_ms")),
        )
        for step in scenario["steps"]
        for name, row in step["operations"].items()
    ]
    return table(("clients", "operation", "a second", "p50 ms", "p95 ms", "p99 ms", "max ms"), rows)


def _knee(scenario: dict[str, Any]) -> str:
    if "knee" not in scenario:
        return ""
    at = scenario["knee"]
    reached = f"{at['clients']} clients and {number(at['throughput'])} {scenario['unit']} a second"
    if not at["reached"]:
        return f"No knee was reached up to {reached}."
    return f"The knee is at {reached}. What is exhausted there: {at['exhausted']}."


def _where(knee: dict[str, Any]) -> tuple[object, object]:
    """At how many clients, and what is exhausted there; nothing where no step was one too many."""
    return (knee["clients"], knee["exhausted"]) if knee["reached"] else (None, None)


def _growth(name: str, runs: list[dict[str, Any]]) -> str:
    """How much more several processes answer than one."""
    if len(runs) < 2 or "knee" not in runs[0]["scenarios"][name]:
        return ""
    best = [max(step["throughput"] for step in run["scenarios"][name]["steps"]) for run in runs]
    rows = [
        (
            run["api"],
            most,
            round(most / best[0], 2),
            *_where(run["scenarios"][name]["knee"]),
        )
        for run, most in zip(runs, best, strict=True)
    ]
    unit = runs[0]["scenarios"][name]["unit"]
    head = (
        "API processes",
        f"most {unit} a second",
        "of one process",
        "clients at the knee",
        "exhausted there",
    )
    return paragraphs("**How throughput grows with processes**", table(head, rows))
