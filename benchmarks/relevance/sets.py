"""Retrieval sets on disk: a folder each, with corpus.jsonl, queries.jsonl and qrels.tsv."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnemata.cli.importing.mapping import PRESETS, preset_for

FILES = ("corpus.jsonl", "queries.jsonl", "qrels.tsv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`filter` narrows the search to the conversation that the question is about, where there is one."""

    id: str
    text: str
    category: str | None
    filter: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSet:
    """`memories` as the API takes them; `judgements`: question id -> external id -> gain.

    `empty`: documents without any text. They cannot be memories, and no search could find them.
    """

    name: str
    empty: int
    memories: list[dict[str, Any]]
    questions: list[Question]
    judgements: dict[str, dict[str, float]]

    @property
    def categories(self) -> dict[str, str]:
        return {question.id: question.category for question in self.questions if question.category}


def names_in(folder: Path) -> list[str]:
    """The folders in it that hold a retrieval set."""
    return sorted(
        inside.name for inside in folder.iterdir() if all((inside / name).is_file() for name in FILES)
    )


def load(folder: Path, *, questions: int | None = None) -> RetrievalSet:
    """The set in the folder, mapped to memories as `mnemata import` maps it; the first `questions` that are judged."""
    judgements = _judgements(folder / "qrels.tsv")
    asked = [_question(line) for line in _lines(folder / "queries.jsonl")]
    judged = [question for question in asked if question.id in judgements][:questions]
    documents = _memories(folder / "corpus.jsonl")
    memories = [memory for memory in documents if memory["content"].strip()]
    return RetrievalSet(
        name=folder.name,
        empty=len(documents) - len(memories),
        memories=memories,
        questions=judged,
        judgements={question.id: judgements[question.id] for question in judged},
    )


def _memories(path: Path) -> list[dict[str, Any]]:
    lines = list(_lines(path))
    mapping = PRESETS[preset_for(lines[0])]
    return [mapping.memory(line) for line in lines]


def _question(line: dict[str, Any]) -> Question:
    about = line.get("metadata") or {}
    conversation = about.get("namespace")
    return Question(
        id=str(line["_id"]),
        text=line["text"],
        category=about.get("category_name"),
        filter={} if conversation is None else {"user_id": conversation},
    )


def _judgements(path: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for line in path.read_text("utf-8").splitlines()[1:]:
        question, document, gain = line.split("\t")
        if float(gain) > 0:
            found[question][document] = float(gain)
    return dict(found)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())
