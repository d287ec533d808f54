"""The half over HTTP: a real server with its defaults and the real model, part by part."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from benchmarks.speed import door, startup
from benchmarks.speed.corpus import Corpus
from benchmarks.speed.serving import Server
from benchmarks.speed.sizes import Sizes

PARTS = ("model", "bulk", "searches", "writes", "start", "memory")
"""In the order in which they run. What comes behind `bulk` is measured on what that has stored, so it always runs then."""

_ON_A_FULL_STORE = frozenset({"bulk", "searches", "writes", "start", "memory"})

Told = Callable[[str], None]


def measure(
    corpus: Corpus, data_dir: Path, sizes: Sizes, *, parts: Collection[str], told: Told
) -> dict[str, Any]:
    """The figures of the parts that were asked for, by name."""
    server = Server(data_dir)
    server.start()
    try:
        return _measured(server, corpus, sizes, parts=parts, told=told)
    finally:
        server.stop()


def _measured(
    server: Server, corpus: Corpus, sizes: Sizes, *, parts: Collection[str], told: Told
) -> dict[str, Any]:
    # Last first: their texts stand in no memory that is stored with a vector.
    fresh = list(dict.fromkeys(turn.spoken for turn in corpus.turns[::-1]))
    figures = dict[str, Any]()
    if "model" in parts:
        texts = fresh[: sizes.model_texts]
        figures["model"] = door.with_the_model(server, texts, rounds=sizes.model_rounds, told=told)
    if not _ON_A_FULL_STORE & set(parts):
        return figures
    base = startup.footprint(server, corpus, still_s=sizes.still_s) if "memory" in parts else None
    figures["bulk"] = door.load(server, corpus, 0, sizes.served, told)
    if "searches" in parts:
        questions = corpus.questions[-sizes.searches :]
        figures["searches"] = door.searches(server, corpus, questions, told, still_s=sizes.still_s)
    if "writes" in parts:
        texts = fresh[sizes.model_texts : sizes.model_texts + sizes.writes]
        figures["single_writes"] = door.single_writes(server, texts, told, still_s=sizes.still_s)
    if "start" in parts:
        told("starting again")
        figures["start"] = startup.restarts(server, corpus, times=sizes.starts)
    if base is not None:
        figures["bulk_after"] = door.load(server, corpus, sizes.served, sizes.full, told)
        told("reading off memory")
        full = startup.footprint(server, corpus, still_s=sizes.still_s)
        figures["memory"] = startup.memory(base, full, sizes.full)
    return figures
