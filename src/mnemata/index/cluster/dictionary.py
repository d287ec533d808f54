"""A tenant's dictionary in a cluster: aggregations over its own living memories.

Not the cluster's suggesters: those read the list of words of a whole shard, and would tell one tenant what others say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mnemata.domain.suggestion import WordCount
from mnemata.index.cluster.aggregations import ANYTHING, escaped, most_frequent
from mnemata.index.cluster.conditions import Clause, any_of
from mnemata.index.cluster.document import WORDS
from mnemata.index.cluster.facets import whole
from mnemata.index.cluster.queries import Body
from mnemata.index.cluster.texts import Texts
from mnemata.index.local.spelling import allowed_edits
from mnemata.index.local.suggesting import Phrase, either_case
from mnemata.index.weights import CONTENT, CONTENT_ENGLISH, SPEAKER, TAGS

_LOOKED_AT = 2_000
"""Words of one first letter and about one length that are compared with a word: the most frequent."""

_FOUND_IN = (CONTENT, SPEAKER, TAGS, CONTENT_ENGLISH)


class ClusterDictionary:
    """Implements `suggesting.Dictionary`. `count`: the body of a search that counts the tenant's memories."""

    def __init__(self, ask: Callable[[Body], Awaitable[Any]], count: Body, analysis: Texts) -> None:
        self._ask = ask
        self._count = count
        self._analysis = analysis

    async def counts(self, words: Sequence[str]) -> list[int]:
        return await self._matching(
            [any_of([self._found(field, word) for field in _FOUND_IN]) for word in words]
        )

    async def near(self, word: str) -> list[WordCount]:
        edits = allowed_edits(word)
        letters = len(word) - 1
        pattern = f"{escaped(word[0])}.{{{max(0, letters - edits)},{letters + edits}}}"
        return await self._frequent(WORDS, pattern, _LOOKED_AT)

    async def starting_with(self, prefix: str, limit: int) -> list[WordCount]:
        return await self._frequent(WORDS, f"{escaped(prefix)}{ANYTHING}", limit)

    async def phrases(self, phrases: Sequence[Phrase]) -> list[int]:
        asked = [self._analysis.asked(CONTENT, phrase) for phrase in phrases]
        return await self._matching([{"match_phrase": {CONTENT: words}} for words in asked])

    async def tags_starting_with(self, prefix: str, limit: int) -> list[WordCount]:
        pattern = "".join(f"({'|'.join(map(escaped, forms))})" for forms in either_case(prefix))
        return await self._frequent("tags", f"{pattern}{ANYTHING}", limit)

    def _found(self, field: str, word: str) -> Clause:
        return {"match": {field: self._analysis.asked(field, [word])}}

    async def _matching(self, clauses: Sequence[Clause]) -> list[int]:
        counted = await self._counted({"filters": {"filters": list(clauses)}})
        return [bucket["doc_count"] for bucket in counted]

    async def _frequent(self, field: str, pattern: str, limit: int) -> list[WordCount]:
        counted = await self._counted(most_frequent(field, limit, include=pattern))
        return [WordCount(word=bucket["key"], count=bucket["doc_count"]) for bucket in counted]

    async def _counted(self, aggregation: Clause) -> list[Any]:
        answer = whole(await self._ask(self._count | {"aggs": {"counted": aggregation}}))
        return answer["aggregations"]["counted"]["buckets"]
