"""`python -m benchmarks.speed`: beside engines and peers in one run, and through HTTP."""

from __future__ import annotations

from typing import Any

from benchmarks.report.markdown import paragraphs, stages, table

_TIMES = ("p10_ms", "p50_ms", "p95_ms")


def section(figures: dict[str, Any]) -> str:
    parts = [_goals(figures["summary"])]
    if "contestants" in figures:
        scenarios = figures["contestants"]["mnemata_index"]["scenarios"]
        parts += [_scenario(figures, name) for name in scenarios]
    if "http" in figures:
        parts.append(_http(figures["http"]))
    return paragraphs(*parts)


def _goals(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    head = ("goal, for two cores that do nothing else", "measured", "unit", "goal", "met")
    told = ((row["name"], row["value"], row["unit"], row["goal"], row["met"]) for row in rows)
    return table(head, told)


def _scenario(figures: dict[str, Any], name: str) -> str:
    rows = []
    for contestant in figures["contestants"].values():
        found = contestant.get("scenarios", {}).get(name)
        if found is None:
            rows.append((contestant["name"], contestant["skipped"]))
            continue
        times = (found[key] for key in _TIMES)
        rows.append(
            (
                contestant["name"],
                *times,
                found["times_the_floor"],
                found["processor_ms"],
                found["vector_recall"],
            )
        )
    head = (
        f"in process: {name}",
        "p10 ms",
        "p50 ms",
        "p95 ms",
        "x floor",
        "processor ms",
        "vector recall@10",
    )
    return paragraphs(f"{figures['turns']:,} memories, searched in process, {name}:", table(head, rows))


def _http(http: dict[str, Any]) -> str:
    rows = [
        (f"{scenario}, {kind.replace('_', ' ')}", *(row[key] for key in _TIMES), stages(row))
        for scenario, kinds in http["searches"].items()
        for kind, row in kinds.items()
    ]
    searches = table(("search over HTTP", "p10 ms", "p50 ms", "p95 ms", "inside, p50 ms by stage"), rows)
    others = [
        (
            name.replace("_", " "),
            ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in http[name].items()),
        )
        for name in ("single_writes", "bulk", "bulk_after", "model", "start", "memory")
    ]
    return paragraphs(
        f"A server with {http['bulk']['memories']:,} memories:", searches, table(("what", "measured"), others)
    )
