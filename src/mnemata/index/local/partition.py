"""One tenant's index: a lexical and a vector leg over the same memories. Tenants share nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mnemata.domain.change import Position
from mnemata.domain.facet import Facet, FacetRequest
from mnemata.domain.filter import Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Leg
from mnemata.domain.vector import Metric, Space
from mnemata.index.local.columns import microseconds
from mnemata.index.local.dictionary import LocalDictionary, WordLists
from mnemata.index.local.document import memory_id
from mnemata.index.local.facets import Counter
from mnemata.index.local.failures import taking, translated
from mnemata.index.local.graph import Halted
from mnemata.index.local.lexical import LexicalLeg
from mnemata.index.local.matched import matched
from mnemata.index.local.search import LegSearch
from mnemata.index.local.vectors import VectorLeg, VectorOptions
from mnemata.index.protocol import Action, IndexQuery, Legs, Vector
from mnemata.observability.logging import get_logger

log = get_logger("index")

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionCounts:
    """`deleted`: versions that are masked and not compacted away yet, in both legs.

    `compared`: vectors that are in no graph or list yet: a search that is not narrowed much compares them one by one.
    """

    documents: int = 0
    vectors: int = 0
    deleted: int = 0
    segments: int = 0
    unfolded: int = 0
    compared: int = 0


class Partition:
    """All calls block; any thread may search while one applies and another folds."""

    def __init__(
        self, path: Path, *, space: Space, metric: Metric, vectors: VectorOptions, fold_changes: int
    ) -> None:
        self.path = path
        self.lexical = LexicalLeg(path / "lexical", fold_changes=fold_changes)
        with translated("open", path / "vectors"):
            self.vectors = VectorLeg.open(path / "vectors", space=space, metric=metric, options=vectors)
        self._words = WordLists()
        self._saving = threading.Lock()
        self._applied = 0
        self._saved = 0

    @property
    def dirty(self) -> bool:
        """Whether something was applied since the last `save`."""
        return self._applied != self._saved

    @property
    def position(self) -> Position:
        """How far both legs are."""
        return min(self.lexical.position, self.vectors.position)

    def apply(self, actions: Sequence[Action], *, position: Position) -> None:
        try:
            self.lexical.apply(actions, position=position)
            with taking():
                self.vectors.apply(actions, position=max(position, self.vectors.position))
        finally:
            # Counted at the end: a `save` that began before must not take this for saved.
            self._applied += 1

    def save(self) -> Position:
        """Bring everything applied so far to disk; the position that both legs have reached there."""
        with self._saving:
            applied, reached = self._applied, self.position
            self.lexical.fold()
            with translated("save"):
                self.vectors.save()
            self._saved = applied
            return reached

    def maintain(self, halted: Halted, *, patient: bool = False) -> bool:
        """One step of what makes searches faster and files smaller, and may take long; whether there was one."""
        with translated("maintain"):
            done = self.vectors.maintain(halted, patient=patient)
        # A graph that was built is to be saved like any change.
        self._applied += done
        return done

    def counts(self) -> PartitionCounts:
        vectors, view = self.vectors.statistics(), self.lexical.view
        return PartitionCounts(
            documents=vectors.documents,
            vectors=vectors.vectors,
            deleted=vectors.deleted + view.main.documents - view.main.live,
            segments=view.main.searcher.num_segments,
            unfolded=self.lexical.unfolded,
            compared=vectors.documents + vectors.deleted - vectors.indexed,
        )

    def close(self) -> None:
        self.lexical.close()
        with translated("close"):
            self.vectors.close()

    def search(self, query: IndexQuery, beside: Executor | None = None) -> Legs:
        """Both legs, or those that the mode asks for; one that fails is named in `degraded`. See LegSearch."""
        return LegSearch(self.lexical, self.vectors, self._timely(query), beside).run()

    def matching(self, condition: Filter, leg: Leg) -> frozenset[MemoryId]:
        if leg is Leg.LEXICAL:
            return frozenset(map(memory_id, self.lexical.matching(condition)))
        with translated("search"):
            return self.vectors.matching(condition)

    def facets(self, query: IndexQuery, requests: Sequence[FacetRequest]) -> tuple[Facet, ...]:
        with translated("search"):
            counter = Counter(*matched(self.lexical, self.vectors.live, self._timely(query)))
            return tuple(map(counter.count, requests))

    def _timely(self, query: IndexQuery) -> IndexQuery:
        """The query with the filter alone: what has expired is filtered out only where there is such a memory."""
        if query.at is None or microseconds(query.at) < self.vectors.live.columns.first_expiry:
            return query
        return replace(query, filter=query.condition, at=None)

    def ask_dictionary(self, question: Callable[[LocalDictionary], Found]) -> Found:
        """Ask the words of this tenant, as searches see them now."""
        with translated("search"):
            return question(LocalDictionary(self.lexical.view, self.vectors.live.columns, self._words))

    def vectors_of(self, ids: Sequence[MemoryId]) -> Mapping[MemoryId, Vector]:
        with translated("search"):
            return self.vectors.vectors(ids)
