"""What every contestant does, so that one loop can time them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.corpus import Corpus

HITS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question: its words, its vector and, where it is narrowed, the user whose memories count."""

    text: str
    vector: NDArray[np.float32]
    user: str | None


class Contestant(Protocol):
    """`about`: what it was asked to do where that is not all of a hybrid search; its settings."""

    name: str
    about: str

    async def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Store every turn that has a vector, build every index, and come to rest."""
        ...

    async def introduce(self, asks: Sequence[Ask]) -> None:
        """Learn of the questions to come, where their vectors would otherwise be part of the time."""
        ...

    async def ask(self, ask: Ask) -> Any:
        """The ten best by words and meaning: this call is timed."""
        ...

    def numbers(self, answer: Any) -> Sequence[int]:
        """The turns of an answer, best first: not timed."""
        ...

    async def nearest(self, ask: Ask) -> Sequence[int]:
        """The ten nearest by meaning alone, to compare with exact search: not timed."""
        ...

    async def close(self) -> None: ...
