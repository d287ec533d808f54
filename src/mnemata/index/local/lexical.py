"""The lexical leg of one tenant: writes are visible at once in fresh layers, and folded to disk by the background."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from mnemata.domain.change import Position
from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.filter import Filter
from mnemata.domain.found import Found
from mnemata.index.local.document import TEXT_FIELDS, IndexedMemory, analysed, tantivy_document
from mnemata.index.local.failures import taking
from mnemata.index.local.fresh import FreshView
from mnemata.index.local.lexical_view import LexicalView
from mnemata.index.local.main_segment import MainStore, Replacement
from mnemata.index.local.words import AnalysedWords, Constraints
from mnemata.index.protocol import Action, Upsert

_SAMPLE = 64
_NO_CONSTRAINTS = Constraints()
_AT_ONCE = 512
"""So many changes that come together go to disk at once: analysing them for memory too would cost more than it saves."""

_FULL = 2
"""Times `fold_changes` that may wait in memory before a writer folds for itself."""


class LexicalLeg:
    """One writer (`apply`), one folder at a time (`fold`), any number of readers. All calls block.

    Raises IndexDamaged where the files cannot be opened, StorageFull and IndexUnavailable elsewhere, and
    IndexRefused, before anything is applied, where the index cannot take a memory.
    """

    def __init__(self, path: Path, *, fold_changes: int) -> None:
        self._store = MainStore(path)
        self._fold_changes = fold_changes
        self._view = LexicalView.over(self._store.snapshot(), (FreshView.empty(),))
        self._position = self._store.position
        self._swap = threading.Lock()
        self._folding = threading.Lock()
        self._busy = False
        self._rested_at: Position | None = None

    @property
    def position(self) -> Position:
        """How far searches see."""
        return self._position

    @property
    def durable_position(self) -> Position:
        return self._store.position

    @property
    def view(self) -> LexicalView:
        return self._view

    @property
    def unfolded(self) -> int:
        """Changes that are in memory only."""
        return sum(len(layer.touched) for layer in self._view.layers)

    @property
    def wants_folding(self) -> bool:
        return self.unfolded >= self._fold_changes

    def apply(self, actions: Sequence[Action], *, position: Position) -> None:
        """Apply in order; on return searches see the actions. Many at once go to disk at once."""
        if len(actions) > min(self._fold_changes, _AT_ONCE):
            self._busy = True
            self._apply_at_once(actions, position)
            return
        changes = list(map(_ready, actions))
        if self.unfolded >= _FULL * self._fold_changes:
            self.fold()
        with self._swap:
            self._view = self._view.after(changes)
            self._position = max(self._position, position)

    def fold(self) -> None:
        """Move what is in memory to disk, with its position. Does nothing where there is nothing."""
        if self.unfolded or self._position > self._store.position:
            self._fold([], None)

    def rest(self) -> None:
        """`settle`, unless many changes came since this was called last: more are likely to come.

        Where none came at all, small segments become one.
        """
        busy, self._busy = self._busy, False
        before, self._rested_at = self._rested_at, self._store.position
        if busy:
            return
        if before == self._rested_at:
            self._gather()
        self.settle()

    def _gather(self) -> None:
        with self._folding:
            self._store.gather(lengths=_usual_lengths(self._view, ()))

    def settle(self) -> None:
        """Let merges end and give the writer's memory back; searches then see the merged segments."""
        with self._folding:
            if self._store.settle():
                self._thaw(0, self._store.position)

    def search(
        self, words: AnalysedWords, condition: Filter, *, depth: int, count: bool
    ) -> tuple[Found, int]:
        return self._view.search(words, condition, depth=depth, count=count)

    def matching(self, condition: Filter, constraints: Constraints = _NO_CONSTRAINTS) -> frozenset[int]:
        return self._view.matching(condition, constraints)

    def close(self) -> None:
        """Let go of the files. What was not folded is lost: the feed has it."""
        with self._folding:
            self._store.settle()

    def _apply_at_once(self, actions: Sequence[Action], position: Position) -> None:
        try:
            self._fold([_plain(action) for action in actions], position)
        except IndexUnavailable:
            # Tantivy's threads do not say at which memory they failed. Where one is the cause, it fails here, too.
            for action in actions:
                _ready(action)
            raise

    def _fold(self, more: Sequence[Upsert | int], position: Position | None) -> None:
        with self._folding:
            frozen, reached = self._freeze(position)
            self._store.commit(_changes(frozen, more), reached, lengths=_usual_lengths(self._view, more))
            self._thaw(len(frozen), reached)

    def _freeze(self, position: Position | None) -> tuple[tuple[FreshView, ...], Position]:
        """The layers to fold; writes go on in a new one over them. A fold that fails leaves them where they are."""
        with self._swap:
            view = self._view
            if view.layers[-1].touched:
                self._view = LexicalView(
                    main=view.main, layers=(*view.layers, FreshView.empty()), hidden=view.hidden
                )
            return self._view.layers[:-1], max(self._position, position or self._position)

    def _thaw(self, folded: int, reached: Position) -> None:
        """Show the new main segment in place of the layers that it took in: searches see either or."""
        main = self._store.snapshot()
        with self._swap:
            self._view = LexicalView.over(main, self._view.layers[folded:])
            self._position = max(self._position, reached)


def _changes(layers: Sequence[FreshView], more: Sequence[Upsert | int]) -> Iterator[Replacement]:
    for layer in layers:
        yield from ((key, None) for key in layer.removed)
        yield from ((memory.key, memory.document) for memory in layer.memories())
    for change in more:
        yield (change, None) if isinstance(change, int) else _replacement(change)


def _replacement(upsert: Upsert) -> Replacement:
    with taking():
        return upsert.memory.id.int, tantivy_document(upsert)


def _ready(action: Action) -> IndexedMemory | int:
    if not isinstance(action, Upsert):
        return action.memory_id.int
    with taking():
        return analysed(action)


def _plain(action: Action) -> Upsert | int:
    return action if isinstance(action, Upsert) else action.memory_id.int


def _usual_lengths(view: LexicalView, more: Sequence[Upsert | int]) -> dict[str, int]:
    """About how many tokens a memory has in each field: of those there are, else of a sample of those that come."""
    if view.documents:
        return {field: round(average) for field, average in view.average_lengths.items()}
    with taking():
        sample = [analysed(change).lengths for change in more[:_SAMPLE] if not isinstance(change, int)]
    return (
        {field: round(fmean(each.get(field, 0) for each in sample)) for field in TEXT_FIELDS}
        if sample
        else {}
    )
