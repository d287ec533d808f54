"""What is asked of a search and what comes back: from the door down to the index, and up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mnemata.domain.filter import EVERYTHING, Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.memory import Memory


class Mode(StrEnum):
    """Which legs look: both, words only, meaning only."""

    HYBRID = "hybrid"
    LEXICAL = "lexical"
    VECTOR = "vector"


class Leg(StrEnum):
    LEXICAL = "lexical"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a query, as a person typed them, taken apart but not yet analysed: every engine stems for itself.

    `text`: free words, any may match. `phrases`: must match, in order. `prefixes`: `aeropl*`, must match.
    `excluded`: words or phrases that must not match.
    """

    text: str = ""
    phrases: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.text.strip() or self.phrases or self.prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One search, understood: `text` is what the model embeds, `words` what the lexical leg looks for."""

    text: str
    words: Words
    filter: Filter = EVERYTHING
    mode: Mode = Mode.HYBRID
    limit: int = 10
    offset: int = 0
    context: int = 0
    diversity: float = 0.0
    explain: bool = False
    as_of: datetime | None = None
    personalize_for: str | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How a hit's score came about. Ranks start at 1; a leg that did not find the hit is absent.

    `fused`: the legs' scores joined. `personal`: what was added to it with regard to the user, by reason; empty without one.
    """

    scores: Mapping[str, float]
    ranks: Mapping[str, int]
    fused: float
    personal: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    memory: Memory
    score: float
    context: tuple[Memory, ...] = ()
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`total`: memories that match. In hybrid and vector mode every memory within the filter is one, ranked by meaning."""

    search_id: str
    hits: tuple[Hit, ...]
    total: int
    degraded: tuple[str, ...] = ()
    took_ms: Mapping[str, float] = field(default_factory=dict)
    next_cursor: str | None = None
    filters: Filter = EVERYTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The turns before and after a memory in its session."""

    previous: Memory | None = None
    next: Memory | None = None


NO_NEIGHBOURS = Neighbours()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One memory that a leg found."""

    memory_id: MemoryId
    score: float
