"""Whether two indexes of the same memories answer alike: a sample of searches, asked of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mnemata.domain.errors import IndexDamaged, IndexUnavailable
from mnemata.domain.query import Candidate, Mode, Words
from mnemata.index.protocol import Embedded, IndexQuery, SearchIndex, Upsert

_SEARCHES = 50
_WORDS = 12
_BEST = 10
_TIE = 1e-3


class Sample:
    """Searches for about fifty of the memories that it is shown, evenly spread, by their first words and their vectors."""

    def __init__(self) -> None:
        self._queries: list[IndexQuery] = []
        self._seen = 0
        self._stride = 1

    def see(self, upsert: Upsert) -> None:
        if self._seen % self._stride == 0:
            self._queries.append(_query(upsert))
            if len(self._queries) >= 2 * _SEARCHES:
                self._queries = self._queries[::2]
                self._stride *= 2
        self._seen += 1

    def __iter__(self) -> Iterator[IndexQuery]:
        return iter(self._queries)


async def overlap(live: SearchIndex, staged: SearchIndex, sample: Sample) -> float | None:
    """What part of the best ten of each leg of the live index the staged one finds, too (overlap@10), on average.

    Ties count as found. None where the live index finds nothing or does not answer.
    """
    shares: list[float] = []
    for query in sample:
        try:
            before = await live.search(query)
        except (IndexUnavailable, IndexDamaged):
            return None
        after = await staged.search(query)
        shares += _shares(before.lexical, after.lexical)
        shares += _shares(before.vector, after.vector)
    return sum(shares) / len(shares) if shares else None


def _shares(before: Sequence[Candidate], after: Sequence[Candidate]) -> list[float]:
    return [] if not before else [agreement(before[:_BEST], after[:_BEST])]


def agreement(before: Sequence[Candidate], after: Sequence[Candidate]) -> float:
    """What part of one list the other has, from 0 to 1.

    Those that score like the last are there because of the order of indexing: others may stand in their places.
    """
    last = before[-1].score
    certain = {one.memory_id for one in before if one.score - last > _TIE * abs(last)}
    found = {one.memory_id for one in after}
    kept = len(certain & found)
    return (kept + min(len(before) - len(certain), len(found) - kept)) / len(before)


def _query(upsert: Upsert) -> IndexQuery:
    memory = upsert.memory
    return IndexQuery(
        tenant=memory.tenant,
        mode=Mode.HYBRID,
        words=Words(text=" ".join(memory.content.split()[:_WORDS])),
        vector=upsert.vector.vector if isinstance(upsert.vector, Embedded) else None,
        depth=_BEST,
        count=False,
    )
