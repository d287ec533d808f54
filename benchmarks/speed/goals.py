"""What each figure should be on two cores that do nothing else, and whether it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.speed.compare import FLOORS, OURS, VECTORS_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the summary. `value` is None where it was not measured."""

    name: str
    value: float | None
    unit: str
    goal: str
    met: bool | None


def summary(figures: dict[str, Any]) -> list[Row]:
    """A row for each goal of the parts that were measured."""
    rows = list(_in_process(figures["contestants"])) if "contestants" in figures else []
    http = figures.get("http", {})
    for part, goals in _OVER_HTTP.items():
        rows += goals(http[part]) if part in http else []
    return rows


def _in_process(contestants: dict[str, Any]) -> Iterator[Row]:
    others = {*OURS, *FLOORS, *VECTORS_ONLY}
    peers = [row for key, row in contestants.items() if key not in others and "scenarios" in row]
    for scenario, ours in contestants["mnemata_index"]["scenarios"].items():
        about = f"hybrid search in process, {scenario}"
        yield _below(f"{about}: p50", ours["p50_ms"], 1.5, "ms")
        yield _below(f"{about}: times the floor", ours["times_the_floor"], 3.0, "x")
        quickest = min((peer["scenarios"][scenario]["p50_ms"] for peer in peers), default=None)
        lead = None if quickest is None else round(quickest / ours["p50_ms"], 2)
        yield _above(f"{about}: times as quick as the quickest hybrid peer", lead, 1.0, "x")


def _searches(scenarios: dict[str, Any]) -> Iterator[Row]:
    everything = scenarios["everything"]
    about = "HTTP hybrid search"
    yield _below(f"{about}, question not seen before: p50", everything["unseen"]["p50_ms"], 10.0, "ms")
    yield _below(f"{about}, question not seen before: p95", everything["unseen"]["p95_ms"], 25.0, "ms")
    yield _plain(f"{about}, its vector known: p50", everything["vector_known"]["p50_ms"], "ms")
    yield _below("HTTP search, its answer cached: p50", everything["cached"]["p50_ms"], 2.0, "ms")


def _writes(writes: dict[str, Any]) -> Iterator[Row]:
    yield _below("single write, found on return: p50", writes["p50_ms"], 25.0, "ms")


def _bulk(bulk: dict[str, Any]) -> Iterator[Row]:
    yield _above("bulk write with vectors", bulk["memories_per_s"], 5_000.0, "a second")


def _model(model: dict[str, Any]) -> Iterator[Row]:
    yield _above("bulk write with the model, of a bare loop's rate", model["ratio"], 0.9, "x")
    yield _plain("bulk write with the model, of the quickest bare way's", model["ratio_to_quickest"], "x")


def _start(start: dict[str, Any]) -> Iterator[Row]:
    yield _below("start with memories on disk: ready", start["ready_s"], 3.0, "s")


def _memory(memory: dict[str, Any]) -> Iterator[Row]:
    yield _below("resident memory beyond the base", memory["bytes_per_memory"], 2_000.0, "bytes a memory")


_OVER_HTTP: dict[str, Callable[[Any], Iterator[Row]]] = {
    "searches": _searches,
    "single_writes": _writes,
    "bulk": _bulk,
    "model": _model,
    "start": _start,
    "memory": _memory,
}


def _below(name: str, value: float | None, goal: float, unit: str) -> Row:
    return _row(name, value, unit, f"< {goal:,g}", lambda found: found < goal)


def _above(name: str, value: float | None, goal: float, unit: str) -> Row:
    return _row(name, value, unit, f"> {goal:,g}", lambda found: found > goal)


def _plain(name: str, value: float, unit: str) -> Row:
    return Row(name=name, value=value, unit=unit, goal="", met=None)


def _row(name: str, value: float | None, unit: str, goal: str, holds: Callable[[float], bool]) -> Row:
    return Row(name=name, value=value, unit=unit, goal=goal, met=None if value is None else holds(value))
