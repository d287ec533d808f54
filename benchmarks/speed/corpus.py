"""What is stored and asked: turns of real dialogues and their real vectors, or synthetic ones where there is no data."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CROWD = "everyone"
"""The large user: every fifth dialogue is this user's. All other users have one dialogue each, of some twenty turns."""

CROWD_SHARE = 5
MOST_QUESTIONS = 3_000
FEWEST_WORDS = 5
CHUNK = 1_000
NOISE = 0.35
"""Length of the random vector that is added to a real one to make another of its kind."""

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one speaker said. `number`: the row of its vector."""

    number: int
    text: str
    user: str
    session: str
    sequence: int
    speaker: str

    @property
    def spoken(self) -> str:
        """What the platform embeds: who speaks counts as text."""
        return f"{self.speaker}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """`vectors`: (n, d) float32 of unit length, a row a turn for the first n turns; more are derived from those.

    `questions` stand in no turn; `question_vectors` has a row for each.
    """

    name: str
    turns: list[Turn]
    vectors: Vectors
    questions: list[str]
    question_vectors: Vectors

    @property
    def small_users(self) -> list[str]:
        """Users of one dialogue, in order."""
        embedded = self.turns[: len(self.vectors)]
        return list(dict.fromkeys(turn.user for turn in embedded if turn.user != CROWD))

    def vector_rows(self, first: int, last: int) -> Vectors:
        """(last - first, d): real vectors, and beyond them real ones with seeded noise, of unit length again."""
        numbers = np.arange(first, last)
        rows = self.vectors[numbers % len(self.vectors)].copy()
        derived = numbers >= len(self.vectors)
        if derived.any():
            chance = np.random.default_rng(first)
            noise = chance.standard_normal((int(derived.sum()), rows.shape[1]), np.float32)
            rows[derived] += noise * (NOISE / np.sqrt(rows.shape[1]))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def dialogues(folder: Path, *, turns: int, embedded: int, embed: Embed, space: str, cache: Path) -> Corpus:
    """Turns of `dialogues/corpus.jsonl.gz`; the first `embedded` ones and the questions have vectors of their own."""
    everything = list(_turns(folder / "dialogues" / "corpus.jsonl.gz"))
    stored = everything[:turns]
    questions = _questions(stored, everything[::-1])
    texts = [turn.spoken for turn in stored[:embedded]] + questions
    rows = _embedded(texts, embed, space=space, cache=cache)
    count = min(embedded, len(stored))
    return Corpus(
        name="dialogue turns, real sentence vectors",
        turns=stored,
        vectors=rows[:count],
        questions=questions,
        question_vectors=rows[count:],
    )


def synthetic(*, turns: int, embedded: int, dimensions: int = 384) -> Corpus:
    """Sentences of made-up words, in topics; vectors around the topics' centres. For where there is no data folder."""
    chance = np.random.default_rng(11)
    words = np.array([a + b + c for a in _STARTS for b in _MIDDLES for c in _ENDS])
    topics = 200
    vocabulary = chance.integers(0, len(words), (topics, 60))
    centres = chance.standard_normal((topics, dimensions), np.float32)
    subjects = chance.integers(0, topics, turns + MOST_QUESTIONS)
    texts = [
        f"{' '.join(words[vocabulary[subject, chance.integers(0, 60, 9)]])} {number}"
        for number, subject in enumerate(subjects)
    ]
    rows = centres[subjects] + chance.standard_normal((len(texts), dimensions), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    stored = [
        _turn(number, text, f"dialogue-{number // 20}", number % 20, ("USER", "SYSTEM")[number % 2])
        for number, text in enumerate(texts[:turns])
    ]
    return Corpus(
        name="synthetic",
        turns=stored,
        vectors=rows[:embedded],
        questions=texts[turns:],
        question_vectors=rows[turns:],
    )


def _turns(path: Path) -> Iterator[Turn]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        said = (row for row in map(json.loads, lines) if row["text"].strip())
        for number, row in enumerate(said):
            about = row["metadata"]
            yield _turn(number, row["text"], about["namespace"], about["turn"], about["speaker"])


def _turn(number: int, text: str, session: str, sequence: int, speaker: str) -> Turn:
    crowded = int(hashlib.sha256(session.encode()).hexdigest(), 16) % CROWD_SHARE == 0
    user = CROWD if crowded else session
    return Turn(number=number, text=text, user=user, session=session, sequence=sequence, speaker=speaker)


def _questions(stored: Sequence[Turn], others: Sequence[Turn]) -> list[str]:
    known = {turn.text for turn in stored}
    fresh = dict.fromkeys(
        turn.text
        for turn in others
        if turn.speaker == "USER" and turn.text not in known and len(turn.text.split()) >= FEWEST_WORDS
    )
    return list(islice(fresh, MOST_QUESTIONS))


def _embedded(texts: Sequence[str], embed: Embed, *, space: str, cache: Path) -> Vectors:
    """A row per text; what was embedded once stays in the cache folder, also where the run is cut short."""
    folder = cache / space.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    known = _cached(folder)
    missing = sorted({text for text in texts if _key(text) not in known}, key=len)
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        rows = embed(chunk)
        _save(folder, chunk, rows)
        known.update(zip(map(_key, chunk), rows, strict=True))
        print(f"\rembedded {start + len(chunk):,} of {len(missing):,}", end="", flush=True)
    return np.array([known[_key(text)] for text in texts], np.float32)


def _cached(folder: Path) -> dict[bytes, NDArray[np.float32]]:
    known = dict[bytes, NDArray[np.float32]]()
    for path in folder.glob("*.npz"):
        with np.load(path) as saved:
            known.update(zip((key.tobytes() for key in saved["keys"]), saved["rows"], strict=True))
    return known


def _save(folder: Path, texts: Sequence[str], rows: Vectors) -> None:
    unfinished = folder / "unfinished"
    with unfinished.open("wb") as file:
        np.savez(file, keys=np.array([_key(text) for text in texts], "V16"), rows=rows)
    unfinished.rename(folder / f"{_key(texts[0]).hex()}.npz")


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8")).digest()[:16]


_STARTS = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va")
_MIDDLES = ("l", "m", "n", "r", "s", "t", "k", "b", "d", "g")
_ENDS = ("an", "el", "in", "or", "us", "ade", "ice", "ome", "ute", "ish", "ary", "ent")
