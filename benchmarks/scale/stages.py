"""What is measured, one step after another; each is kept when it is done, so that the next call goes on behind it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.scale import ingest, rebuilding, searching
from benchmarks.scale.platforms import Measured
from benchmarks.speed import startup
from benchmarks.speed.corpus import Corpus
from benchmarks.speed.quiet import until_quiet

SETTLED_WITHIN_S = 3_600.0
COMPARED_AT_MOST = 10_000
"""Vectors behind the graph that the local index leaves there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`chunk`: memories between two looks at the clock; `still_s`: how long the process rests before it is measured."""

    count: int
    chunk: int
    searches: int
    starts: int
    still_s: float


class Record:
    """The figures so far, in a file of the folder."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self._path = path
        self.figures: dict[str, Any] = {"about": about, "ingest": []}
        if path.is_file():
            self.figures = json.loads(path.read_text("utf-8"))
        if self.figures["about"] != about:
            raise SystemExit(
                f"{path.parent} holds another run ({self.figures['about']}): name an empty folder"
            )

    @property
    def stored(self) -> int:
        return self.figures["ingest"][-1]["last"] if self.figures["ingest"] else 0

    def keep(self, name: str, figures: Any) -> None:
        if name == "ingest":
            self.figures["ingest"].append(figures)
        else:
            self.figures[name] = figures
        unfinished = self._path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.figures, indent=2) + "\n", "utf-8")
        unfinished.replace(self._path)


Step = tuple[str, str, Callable[[], Any]]
"""Its name in the record, what it does, and how."""


def steps(platform: Measured, corpus: Corpus, plan: Plan, record: Record) -> Iterator[Step]:
    """What is left to do. The platform runs whenever a step begins."""
    done, server = record.figures, platform.server
    if "base" not in done:
        yield "base", "the empty platform", lambda: _resident(platform, corpus, plan)
    for first in range(record.stored, plan.count, plan.chunk):
        last = min(first + plan.chunk, plan.count)
        yield (
            "ingest",
            f"storing memories {first:,} to {last:,} of {plan.count:,}",
            lambda first=first, last=last: ingest.store(platform, corpus, first, last),
        )
    if "settled" not in done:
        yield "settled", "waiting until the background is done", lambda: _settled(platform, plan)
    if "sizes" not in done:
        yield "sizes", "sizes", platform.sizes
    if "start" not in done:
        yield "start", "starting again", lambda: startup.restarts(server, corpus, times=plan.starts)
    if "searches" not in done:
        questions = corpus.questions[-plan.searches :]
        yield "searches", "searching", lambda: searching.search(server, corpus, questions)
    if "memory" not in done:
        yield "memory", "reading off memory", lambda: _memory(platform, corpus, plan, record)
    if "rebuild" not in done:
        yield "rebuild", "rebuilding the index", lambda: rebuilding.rebuild(platform, corpus)


def _resident(platform: Measured, corpus: Corpus, plan: Plan) -> dict[str, Any]:
    """Of a fresh process that has answered some searches and is at rest."""
    seen = startup.footprint(platform.server, corpus, still_s=plan.still_s)
    return {
        "resident": seen.resident,
        "private": seen.private,
        "database": seen.database,
        **platform.resident(),
    }


def _memory(platform: Measured, corpus: Corpus, plan: Plan, record: Record) -> dict[str, Any]:
    base, full = record.figures["base"], _resident(platform, corpus, plan)
    return {
        **full,
        "bytes_per_memory": round((full["resident"] - base["resident"]) / plan.count),
        "private_bytes_per_memory": round((full["private"] - base["private"]) / plan.count),
    }


def _settled(platform: Measured, plan: Plan) -> dict[str, Any]:
    """Graphs and merges go on behind a bulk write: how long, at what memory, and how many vectors no graph has in the end."""
    before, started, load = platform.work(), time.perf_counter(), os.getloadavg()[0]
    while True:
        with contextlib.suppress(SystemExit):
            until_quiet(platform.server.pid, still_s=plan.still_s)
        # A thread that builds with little of a busy machine looks like one at rest.
        compared = platform.server.status()["index"].get("compared", 0)
        if compared <= COMPARED_AT_MOST or time.perf_counter() - started > SETTLED_WITHIN_S:
            break
    return {
        "seconds": round(time.perf_counter() - started - plan.still_s, 1),
        "compared": compared,
        **platform.work().since(before),
        **platform.resident(),
        "swap_used_mb": round(psutil.swap_memory().used / 1e6, 1),
        "load": round((load + os.getloadavg()[0]) / 2, 1),
    }
