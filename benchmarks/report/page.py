"""The page: what was measured when and on what, then a section for each file of figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import load, plain, scale, speed
from benchmarks.report.markdown import paragraphs, table

Section = Callable[[dict[str, Any]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A file of figures: what it is about, what writes it, and how it is shown."""

    title: str
    command: str
    section: Section = plain.section


BENCHES = {
    "speed": Bench(
        title="Speed beside engines and peers", command="make bench DATA=folder", section=speed.section
    ),
    "load-embedded": Bench(
        title="Load on the embedded platform",
        command="python -m benchmarks.load --data folder --target embedded",
        section=load.section,
    ),
    "load-fleet": Bench(
        title="Load on a fleet",
        command="python -m benchmarks.load --data folder --target fleet --api 1,2,4",
        section=load.section,
    ),
    "load-fleet-tenants": Bench(
        title="Load on a fleet: bulk loaders, and a heavy tenant among light ones",
        command="python -m benchmarks.load --data folder --target fleet",
        section=load.section,
    ),
    "scale-local": Bench(
        title="Many memories, local index",
        command="python -m benchmarks.scale --data folder --folder memories",
        section=scale.section,
    ),
    "scale-elasticsearch": Bench(
        title="Many memories, Elasticsearch",
        command="python -m benchmarks.scale --data folder --folder memories --engine elasticsearch",
        section=scale.section,
    ),
    "vectors": Bench(
        title="The vector leg beside bare FAISS",
        command="python -m benchmarks.vectors --data folder/dialogues",
    ),
    "facets": Bench(
        title="Facets, fragments and suggestions",
        command="python -m benchmarks.facets --data folder/dialogues",
    ),
    "cache": Bench(title="The cache beside none", command="python -m benchmarks.cache"),
    "embedding": Bench(
        title="Embedding beside a bare loop", command="python -m benchmarks.embedding --data folder"
    ),
    "chaos": Bench(title="Chaos", command="make chaos"),
}
"""In the order of the page, by the names of their files."""

_INTRODUCTION = """# Performance report

Written by `make report` from the files in `benchmarks/results`, which the benches leave there; do not edit. [Speed](performance.md) tells what the figures
mean and what was done about them.

Loads are averages over a minute of processes that run or wait to: above the number of cores, times on the clock are longer than on a machine that does
nothing else. The clients of a bench, PostgreSQL, search nodes and the platform share the cores that are named."""


def page(results: Path) -> str:
    """The whole page of the figures in a folder. A file that no bench is known for has a section behind the others."""
    files = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(results.glob("*.json"))}
    known = [name for name in BENCHES if name in files]
    names = [*known, *(name for name in files if name not in BENCHES)]
    sections = [_section(name, files[name]) for name in names]
    return paragraphs(_INTRODUCTION, _overview(names, files), *sections) + "\n"


def _bench(name: str) -> Bench:
    return BENCHES.get(name) or Bench(title=name.capitalize(), command="")


def _command(name: str, figures: dict[str, Any]) -> str:
    """What was called, where the figures tell it; else what writes such figures."""
    return str(figures.get("command", _bench(name).command))


def _overview(names: list[str], files: dict[str, Any]) -> str:
    rows = [
        (_bench(name).title, f"`{_command(name, files[name])}`", *_machine(files[name])) for name in names
    ]
    return table(("measured", "by", "on", "version", "cores", "processor", "load"), rows)


def _machine(figures: dict[str, Any]) -> tuple[object, ...]:
    about = figures.get("machine", {})
    if not isinstance(about, dict):
        return ("", "", figures.get("cores"), about, "")
    version = " ".join(str(about[key]) for key in ("version", "commit") if about.get(key))
    load_of = about.get("load", about.get("load_before"))
    return (about.get("date"), version, about.get("cores"), about.get("processor"), load_of)


def _section(name: str, figures: dict[str, Any]) -> str:
    shown = {key: value for key, value in figures.items() if key not in {"command", "machine"}}
    return paragraphs(f"## {_bench(name).title}", _bench(name).section(shown))
