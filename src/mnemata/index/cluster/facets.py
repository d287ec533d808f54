"""Facets of one query, counted by a cluster in two rounds of searches at most, but for metadata with many numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, assert_never

from mnemata.domain.facet import Facet, FacetRequest, RangeFacet, StatisticsFacet, TimeFacet, ValueFacet
from mnemata.index.cluster import aggregations
from mnemata.index.cluster.conditions import Clause
from mnemata.index.cluster.connection import search_failed, unavailable
from mnemata.index.cluster.queries import Body

Ask = Callable[[Mapping[str, Body]], Awaitable[Mapping[str, Any]]]


class FacetSearch:
    """Counts over what `query` finds. `count`: the body of a search that only counts, to which aggregations are added."""

    def __init__(self, ask: Ask, count: Body) -> None:
        self._ask = ask
        self._count = count

    async def run(self, requests: Sequence[FacetRequest]) -> tuple[Facet, ...]:
        starts = await self._starts(requests)
        asked = [self._asked(request, starts.get(n, ())) for n, request in enumerate(requests)]
        answers = await self._whole([self._count | {"aggs": each} for each in asked])
        return tuple(
            [
                await self._facet(request, starts.get(n, ()), answer)
                for n, (request, answer) in enumerate(zip(requests, answers, strict=True))
            ]
        )

    async def _starts(self, requests: Sequence[FacetRequest]) -> dict[int, tuple[datetime, ...]]:
        """The beginnings of the intervals of each histogram."""
        times = {n: request for n, request in enumerate(requests) if isinstance(request, TimeFacet)}
        bodies = [self._count | aggregations.newest_asked(request) for request in times.values()]
        answers = await self._whole(bodies)
        return {
            n: aggregations.starts_told(request, answer)
            for (n, request), answer in zip(times.items(), answers, strict=True)
        }

    def _asked(self, request: FacetRequest, starts: tuple[datetime, ...]) -> dict[str, Clause]:
        match request:
            case ValueFacet():
                return aggregations.values_asked(request)
            case TimeFacet():
                return aggregations.times_asked(request, starts)
            case RangeFacet():
                return aggregations.ranges_asked(request)
            case StatisticsFacet():
                return aggregations.statistics_asked(request, None)
            case _:
                assert_never(request)

    async def _facet(self, request: FacetRequest, starts: tuple[datetime, ...], answer: Any) -> Facet:
        match request:
            case ValueFacet():
                return aggregations.values_counted(request, answer)
            case TimeFacet():
                return aggregations.times_counted(request, starts, answer)
            case RangeFacet():
                return aggregations.ranges_counted(request, answer)
            case StatisticsFacet():
                return aggregations.statistics_counted(request, await self._pages(request, answer))
            case _:
                assert_never(request)

    async def _pages(self, request: StatisticsFacet, first: Any) -> list[Any]:
        pages = [first]
        while request.field.path and (after := aggregations.next_after(request, pages[-1])) is not None:
            body = self._count | {"aggs": aggregations.statistics_asked(request, after)}
            pages += await self._whole([body])
        return pages

    async def _whole(self, bodies: Sequence[Body]) -> list[Any]:
        """The answers in order; raises IndexUnavailable where one failed, or was not finished."""
        if not bodies:
            return []
        answers = await self._ask({str(n): body for n, body in enumerate(bodies)})
        return [whole(answer) for answer in answers.values()]


def whole(answer: Any) -> Any:
    """The answer, unless its search failed or counted only a part: half a count is a wrong one."""
    if "error" in answer:
        raise search_failed(answer)
    if answer["timed_out"] or answer["_shards"]["failed"] > 0:
        raise unavailable("it did not finish counting")
    return answer
