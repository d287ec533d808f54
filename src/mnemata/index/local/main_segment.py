"""The main segments of a partition: a tantivy index on disk, and one snapshot of it at a time to search."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, cast

import tantivy
from tantivy import Query

from mnemata.domain.change import START, Position
from mnemata.index.local import analysis, document
from mnemata.index.local.failures import translated
from mnemata.index.local.manifest import parse_position

WRITER_HEAP_BYTES = 32_000_000
_TERMS_KEPT = 4_096
_SMALL = 10_000
_LEVEL = 0.75
_MERGED_AT = 8
_WORTH_MERGING = 4

Replacement: TypeAlias = tuple[int, tantivy.Document | None]
"""The key of a memory, and what comes in its place: None where it goes."""

Cost: TypeAlias = tuple[float, int]
"""The score negated and the id as a number: the natural order is best first, ties by id."""


class MainSegment:
    """Reads one commit of the tantivy index. Safe to use from several threads."""

    def __init__(self, searcher: tantivy.Searcher, schema: tantivy.Schema) -> None:
        self.searcher = searcher
        self.schema = schema
        self.markers = searcher.doc_freq(document.TEXT_FIELDS[0], document.MARKER)
        self.documents = searcher.doc_freq(document.ALIVE, document.ALIVE)
        """Memories, with those that were deleted and not merged away yet."""
        self._terms: dict[tuple[str, str], tuple[int, Query]] = {}

    @property
    def live(self) -> int:
        """Memories without the deleted ones."""
        marked = Query.term_query(self.schema, document.TEXT_FIELDS[0], document.MARKER, "freq")
        return self.searcher.num_docs - _count(self.searcher.search(marked, 1, count=True))

    @property
    def counted(self) -> int:
        """The N of tantivy's idf."""
        return self.documents + self.markers

    def term(self, field: str, token: str) -> tuple[int, Query]:
        """How many memories have the term, and the query for it. Remembered: words come again."""
        known = self._terms.get((field, token))
        if known is None:
            query = Query.term_query(self.schema, field, token, "freq")
            known = (self.searcher.doc_freq(field, token), query)
            if len(self._terms) >= _TERMS_KEPT:
                self._terms.clear()
            self._terms[field, token] = known
        return known

    def starting_with(self, field: str, prefix: str, limit: int) -> list[tuple[str, int]]:
        """The commonest tokens of the field under the prefix, with how many memories have them."""
        return self.searcher.terms_with_prefix(field, prefix, limit=limit)

    def holds(self, key: int) -> bool:
        """Whether some version of the memory is, or was until the last merge, in here."""
        return self.searcher.doc_freq(document.ID, str(document.memory_id(key))) > 0

    @cached_property
    def average_lengths(self) -> dict[str, float]:
        """The average field lengths that tantivy scores with; it says them when asked to explain a score."""
        return {field: self._average_length(field) for field in document.TEXT_FIELDS}

    def search(self, query: Query, *, limit: int, count: bool) -> tuple[list[Cost], int]:
        """The best, by score only, and how many match (0 where they are not counted)."""
        if self.documents == 0 or limit == 0:
            return [], 0
        with translated("search"):
            result = self.searcher.search(query, limit, count=count)
            hits = result.hits
            keys = self.keys([address for _, address in hits])
        ranked = [(-score, key) for (score, _), key in zip(hits, keys, strict=True)]
        return ranked, _count(result) if count else 0

    def keys_matching(self, query: Query) -> list[int]:
        """The keys of all memories that the query finds, in no order."""
        return [key for _, key in self.search(query, limit=max(1, self.searcher.num_docs), count=False)[0]]

    def keys(self, addresses: list[tantivy.DocAddress]) -> list[int]:
        # The stub says int, float or bool, for fields of any kind.
        high: list[int] = cast("list[int]", self.searcher.fast_field_values(document.ID_HIGH, addresses))
        low: list[int] = cast("list[int]", self.searcher.fast_field_values(document.ID_LOW, addresses))
        return [(above or 0) << 64 | (below or 0) for above, below in zip(high, low, strict=True)]

    def _average_length(self, field: str) -> float:
        query = Query.term_query(self.schema, field, document.MARKER, "freq")
        hits = self.searcher.search(query, 1, count=False).hits
        if not hits:
            return 0.0
        explanation = json.loads(query.explain(self.searcher, hits[0][1]).to_json())
        return _explained(explanation, "avgdl")


class MainStore:
    """The tantivy index of one partition. One thread writes at a time; every commit has its position in it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.schema = document.schema()
        with translated("open", path):
            self._index = tantivy.Index(self.schema, str(path), reuse=True)
            analysis.register(self._index)
            self._index.config_reader("Manual")
        self._writer: tantivy.IndexWriter | None = None
        self.position = self._read_position()

    def snapshot(self) -> MainSegment:
        with translated("open", self.path):
            self._index.reload()
            return MainSegment(self._index.searcher(), self.schema)

    def commit(
        self, changes: Iterable[Replacement], position: Position, *, lengths: Mapping[str, int]
    ) -> None:
        """Put memories in place of their older versions, or remove them, and store the position with them.

        `lengths`: how many tokens a memory has on average, by field. Returns when all is on disk. The writer stays open, and may merge, until `settle`.
        """
        with translated("commit", self.path):
            self._write(lambda writer: _replace(writer, changes, position, lengths))
        self.position = position

    def gather(self, *, lengths: Mapping[str, int]) -> None:
        """Let small segments become one, if there are some: a search looks every word up in every segment.

        `settle` waits for it. `lengths`: as for `commit`.
        """
        with translated("merge", self.path):
            for _ in range(missing_for_a_merge(self._sizes())):
                # The position once more, in a segment of its own: the binding has no other way to ask for a merge.
                self._write(
                    lambda writer: writer.add_document(
                        document.position_document(str(self.position), lengths)
                    )
                )

    def settle(self) -> bool:
        """Wait for merges and let go of the writer: its heap and threads. Whether there was one."""
        if self._writer is None:
            return False
        writer, self._writer = self._writer, None
        with translated("merge", self.path):
            writer.wait_merging_threads()
        return True

    def _write(self, what: Callable[[tantivy.IndexWriter], object]) -> None:
        """One commit, by the writer that is open."""
        if self._writer is None:
            self._writer = self._index.writer(heap_size=WRITER_HEAP_BYTES, num_threads=1)
        try:
            what(self._writer)
            self._writer.commit()
        except BaseException:
            # A writer that failed once may refuse everything after: the next commit opens another.
            self._writer = None
            raise

    def _sizes(self) -> list[int]:
        """How many documents each segment has, the deleted ones not counted."""
        segments = json.loads((self.path / "meta.json").read_bytes())["segments"]
        return [each["max_doc"] - (each["deletes"] or {}).get("num_deleted_docs", 0) for each in segments]

    def _read_position(self) -> Position:
        segment = self.snapshot()
        query = Query.term_query(self.schema, document.TEXT_FIELDS[0], document.MARKER, "freq")
        with translated("open", self.path):
            hits = segment.searcher.search(query, 1, count=False).hits
            if not hits:
                return START
            text = str(segment.searcher.doc(hits[0][1]).get_first(document.POSITION))
        return parse_position(text)


def missing_for_a_merge(sizes: Sequence[int]) -> int:
    """How many more tiny segments let tantivy merge the small ones; 0 where there are too few to be worth it.

    It merges eight of one level (`LogMergePolicy`): a level begins with the largest segment that is in none yet, and
    takes those of at least 2^-0.75 of its size; all below 10,000 documents count as having that many.
    """
    logs = sorted((math.log2(max(size, _SMALL)) for size in sizes), reverse=True)
    level: list[float] = []
    for size in logs:
        if level and size < level[0] - _LEVEL:
            level = []
        level.append(size)
    # The last level has the small ones, if there are any.
    small = len(level) if level and level[-1] == math.log2(_SMALL) else 0
    return max(0, _MERGED_AT - small) if small >= _WORTH_MERGING else 0


def _count(result: object) -> int:
    # Tantivy's stubs do not know of it.
    return int(getattr(result, "count", 0) or 0)


def _replace(
    writer: tantivy.IndexWriter,
    changes: Iterable[Replacement],
    position: Position,
    lengths: Mapping[str, int],
) -> None:
    for key, made in changes:
        writer.delete_documents_by_term(document.ID, str(document.memory_id(key)))
        if made is not None:
            writer.add_document(made)
    writer.delete_documents_by_term(document.TEXT_FIELDS[0], document.MARKER)
    writer.add_document(document.position_document(str(position), lengths))


def _explained(explanation: dict[str, object], name: str) -> float:
    """The value of the first line of an explanation that starts with the name."""
    waiting: list[dict[str, object]] = [explanation]
    while waiting:
        line = waiting.pop()
        if str(line["description"]).startswith(name):
            return float(str(line["value"]))
        details = line.get("details")
        waiting.extend(details if isinstance(details, list) else [])
    return 0.0
