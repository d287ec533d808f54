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
    return [*_in_process(figures["contestants"]), *_over_http(figures["http"])]


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


def _over_http(http: dict[str, Any]) -> Iterator[Row]:
    everything = http["searches"]["everything"]
    yield _below(
        "HTTP hybrid search, question not seen before: p50", everything["unseen"]["p50_ms"], 10.0, "ms"
    )
    yield _below(
        "HTTP hybrid search, question not seen before: p95", everything["unseen"]["p95_ms"], 25.0, "ms"
    )
    yield _plain("HTTP hybrid search, vector cached: p50", everything["vector_cached"]["p50_ms"], "ms")
    yield _below("single write, found on return: p50", http["single_writes"]["p50_ms"], 25.0, "ms")
    yield _above("bulk write with vectors", http["bulk"]["memories_per_s"], 5_000.0, "a second")
    yield _above("bulk write with the model, of the bare model's rate", http["model"]["ratio"], 0.9, "x")
    yield _below("start with memories on disk: ready", http["start"]["ready_s"], 3.0, "s")
    yield _below(
        "resident memory beyond the base", http["memory"]["bytes_per_memory"], 2_000.0, "bytes a memory"
    )


def _below(name: str, value: float | None, goal: float, unit: str) -> Row:
    return _row(name, value, unit, f"< {goal:,g}", lambda found: found < goal)


def _above(name: str, value: float | None, goal: float, unit: str) -> Row:
    return _row(name, value, unit, f"> {goal:,g}", lambda found: found > goal)


def _plain(name: str, value: float, unit: str) -> Row:
    return Row(name=name, value=value, unit=unit, goal="", met=None)


def _row(name: str, value: float | None, unit: str, goal: str, holds: Callable[[float], bool]) -> Row:
    return Row(name=name, value=value, unit=unit, goal=goal, met=None if value is None else holds(value))
