"""All contestants in one run: same vectors, same questions, in turn, so that the machine's other work hits all alike."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.corpus import CROWD, Corpus
from benchmarks.speed.ours import OurIndex, OurRecall
from benchmarks.speed.peers.chroma import Chroma
from benchmarks.speed.peers.contestant import HITS, Ask, Contestant
from benchmarks.speed.peers.floor import Floor
from benchmarks.speed.peers.lance import Lance
from benchmarks.speed.peers.postgres import PgVector

BLOCK = 10
WARM = 20
_NEAR_ENOUGH = 2e-3
"""Half precision: a memory whose score is this close to the tenth best is as good as that one."""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    asks: Sequence[Ask]


_CONTESTANTS: tuple[tuple[str, str | None, Callable[[], Contestant]], ...] = (
    ("floor_hnsw", None, lambda: Floor("HNSW fp16")),
    ("floor_flat", None, lambda: Floor("flat fp16")),
    ("mnemata_index", None, OurIndex),
    ("mnemata_recall", None, OurRecall),
    ("lancedb", "lancedb", Lance),
    ("chroma", "chromadb", Chroma),
    ("pgvector", "pgvector", PgVector),
)
"""Key, the package that it needs beyond the project's own, and how to make it."""

OURS = ("mnemata_index", "mnemata_recall")
FLOORS = ("floor_hnsw", "floor_flat")
VECTORS_ONLY = ("chroma",)
"""Timed at less than a hybrid search: shown beside the others, and not what they are measured against."""


async def compare(corpus: Corpus, folder: Path, *, questions: int, told: Told) -> dict[str, Any]:
    """For each contestant its times and its quality in every scenario, in milliseconds."""
    scenarios = _scenarios(corpus, questions)
    there: dict[str, Contestant] = {}
    figures: dict[str, Any] = {}
    try:
        for key, package, make in _CONTESTANTS:
            if package is not None and importlib.util.find_spec(package) is None:
                figures[key] = {"name": key, "skipped": f"{package} is not installed"}
                continue
            there[key] = make()
            figures[key] = {**await _prepared(there[key], corpus, folder / key, told), "scenarios": {}}
        for scenario in scenarios:
            told(f"asking: {scenario.name}")
            for key, row in (await _asked(there, scenario, corpus)).items():
                figures[key]["scenarios"][scenario.name] = row
    finally:
        for contestant in there.values():
            await contestant.close()
    return {"turns": len(corpus.vectors), "questions": questions, "contestants": _with_ratios(figures)}


async def _prepared(contestant: Contestant, corpus: Corpus, folder: Path, told: Told) -> dict[str, Any]:
    told(f"preparing {contestant.name}")
    await asyncio.to_thread(_make_reachable, folder)
    started = time.perf_counter()
    await contestant.prepare(corpus, folder)
    return {
        "name": contestant.name,
        "about": contestant.about,
        "prepared_s": round(time.perf_counter() - started, 1),
    }


def _make_reachable(folder: Path) -> None:
    """An embedded PostgreSQL that root starts runs as another user, who must reach its folder."""
    folder.mkdir()
    folder.chmod(0o755)


def _scenarios(corpus: Corpus, questions: int) -> list[Scenario]:
    """The same questions: of everything, of one user's dialogue (another user each time), of the large user."""
    chance = np.random.default_rng(5)
    users = chance.choice(corpus.small_users, len(corpus.questions)).tolist()
    chosen: dict[str, Callable[[int], str | None]] = {
        "everything": lambda _: None,
        "one user": lambda n: users[n],
        "large user": lambda _: CROWD,
    }
    total = min(questions + WARM, len(corpus.questions))
    return [
        Scenario(
            name=name,
            asks=[
                Ask(text=corpus.questions[n], vector=corpus.question_vectors[n], user=user(n))
                for n in range(total)
            ],
        )
        for name, user in chosen.items()
    ]


async def _asked(there: dict[str, Contestant], scenario: Scenario, corpus: Corpus) -> dict[str, Any]:
    took: dict[str, list[float]] = {key: [] for key in there}
    busy: dict[str, list[float]] = {key: [] for key in there}
    answers: dict[str, list[Any]] = {key: [] for key in there}
    warm, asks = scenario.asks[:WARM], scenario.asks[WARM:]
    for contestant in there.values():
        await contestant.introduce(scenario.asks)
        for ask in warm:
            await contestant.ask(ask)
    load = [os.getloadavg()[0]]
    for start in range(0, len(asks), BLOCK):
        for key, contestant in there.items():
            # One more, not timed: what the others left in the processor's caches is not this one's fault.
            await contestant.ask(warm[start % WARM])
            worked, block = time.process_time(), asks[start : start + BLOCK]
            for ask in block:
                since = time.perf_counter()
                answer = await contestant.ask(ask)
                took[key].append((time.perf_counter() - since) * 1e3)
                answers[key].append(answer)
            busy[key].append((time.process_time() - worked) * 1e3 / len(block))
        load.append(os.getloadavg()[0])
    exact = _exactly_nearest(asks, corpus)
    return {
        key: {
            **_times(took[key]),
            # Does not grow while others wait for the same cores; PostgreSQL's own processes are not in it.
            "processor_ms": round(float(np.median(busy[key])), 3),
            "load": round(float(np.median(load)), 1),
            **await _quality(contestant, asks, answers[key], exact),
        }
        for key, contestant in there.items()
    }


def _times(took: Sequence[float]) -> dict[str, float]:
    return {
        "p50_ms": round(float(np.percentile(took, 50)), 3),
        "p95_ms": round(float(np.percentile(took, 95)), 3),
        "p10_ms": round(float(np.percentile(took, 10)), 3),
    }


def _exactly_nearest(asks: Sequence[Ask], corpus: Corpus) -> list[NDArray[np.float32]]:
    """For each question the score of every turn, minus infinity where it is another user's."""
    users = np.array([turn.user for turn in corpus.turns[: len(corpus.vectors)]])
    scores = np.array([ask.vector for ask in asks]) @ corpus.vectors.T
    return [
        row if ask.user is None else np.where(users == ask.user, row, -np.inf)
        for ask, row in zip(asks, scores, strict=True)
    ]


async def _quality(
    contestant: Contestant,
    asks: Sequence[Ask],
    answers: Sequence[Any],
    exact: Sequence[NDArray[np.float32]],
) -> dict[str, float]:
    """Whether it found what there is: nobody is quick by being wrong.

    `vector_recall`: the part of the ten exactly nearest that it finds by meaning; `own`: the part of its hits that
    the filter allows; `hits`: how many it gives on average.
    """
    recalls: list[float] = []
    for ask, scores in zip(asks, exact, strict=True):
        best = np.sort(np.partition(scores, -HITS)[-HITS:])
        best = best[np.isfinite(best)]
        found = list(dict.fromkeys(await contestant.nearest(ask)))[:HITS]
        good = sum(scores[number] >= best[0] - _NEAR_ENOUGH for number in found)
        recalls.append(min(good / len(best), 1.0))
    named = [contestant.numbers(answer) for answer in answers]
    allowed = [
        bool(np.isfinite(scores[number]))
        for scores, numbers in zip(exact, named, strict=True)
        for number in numbers
    ]
    return {
        "vector_recall": round(float(np.mean(recalls)), 3),
        "own": round(float(np.mean(allowed)), 3),
        "hits": round(float(np.mean([len(numbers) for numbers in named])), 1),
    }


def _with_ratios(figures: dict[str, Any]) -> dict[str, Any]:
    """Each median beside the floor's: the quicker of the two floors that finds what an exact search finds."""
    for scenario in figures[FLOORS[0]]["scenarios"]:
        rows = {key: row["scenarios"][scenario] for key, row in figures.items() if "scenarios" in row}
        floor = min(rows[key]["p50_ms"] for key in FLOORS if rows[key]["vector_recall"] >= _FLOOR_RECALL)
        for row in rows.values():
            row["times_the_floor"] = round(row["p50_ms"] / floor, 2)
    return figures


_FLOOR_RECALL = 0.95
