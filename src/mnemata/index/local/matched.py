"""Which slots a query matches: exactly the memories that the total of its search counts."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from mnemata.domain.filter import Everything, Filter
from mnemata.index.local.column_filter import Slots, select
from mnemata.index.local.columns import Snapshot
from mnemata.index.local.lexical import LexicalLeg
from mnemata.index.local.vector_search import Live
from mnemata.index.local.words import analysed_words, asks_by_words
from mnemata.index.protocol import IndexQuery

Matched: TypeAlias = tuple[Snapshot, Slots]


def matched(lexical: LexicalLeg, live: Live, query: IndexQuery) -> Matched:
    """The columns and the slots in them that match. A query without words and vector matches what its filter does."""
    words = analysed_words(query.words)
    if asks_by_words(query, words):
        return live.columns, _slots_of(live, lexical.view.having(words, query.filter))
    if words.constraints.any:
        return live.columns, _slots_of(live, lexical.matching(query.filter, words.constraints))
    return live.columns, _within(live.columns, query.filter)


def _slots_of(live: Live, keys: frozenset[int]) -> Slots:
    slots = live.ids.slots(list(keys))
    # Another version may have come in between: it is in neither snapshot.
    slots = np.sort(slots[(slots >= 0) & (slots < live.columns.size)])
    return slots[live.columns.lives(slots)]


def _within(columns: Snapshot, condition: Filter) -> Slots:
    if isinstance(condition, Everything):
        return np.flatnonzero(columns.alive)
    return select(columns, condition).numbers()
