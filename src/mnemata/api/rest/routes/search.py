"""Find memories: by a query, or by their likeness to another."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from mnemata.api.rest.body import read_json
from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import door_of
from mnemata.api.rest.filtering import filter_of, filter_of_text
from mnemata.api.rest.operation import Answered, Operation
from mnemata.api.rest.rendering import answer_json, json_response
from mnemata.api.rest.routes.memories import Identifier
from mnemata.api.rest.schemas.base import parse_as
from mnemata.api.rest.schemas.parameters import NoParameters, SearchParameters, SimilarParameters
from mnemata.api.rest.schemas.search import SearchAnswer, SearchRequest
from mnemata.domain.filter import Filter
from mnemata.domain.ids import MemoryId
from mnemata.domain.scope import Scope
from mnemata.query.plan import plan

TAG = "search"


async def search(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    wanted = parse_as(SearchRequest, await read_json(request))
    return await _answered(request, scope, wanted, wanted.query, filter_of(wanted.filter))


async def search_by_url(
    request: Request, scope: Asker, parameters: Annotated[SearchParameters, Query()]
) -> Response:
    return await _answered(request, scope, parameters, parameters.q, filter_of_text(parameters.filter))


async def similar_memories(
    request: Request, scope: Asker, memory_id: Identifier, parameters: Annotated[SimilarParameters, Query()]
) -> Response:
    answer = await door_of(request).services.recall.similar(
        scope, MemoryId(memory_id), limit=parameters.limit, condition=filter_of_text(parameters.filter)
    )
    return json_response(answer_json(answer, text=""))


async def _answered(
    request: Request, scope: Scope, wanted: SearchRequest | SearchParameters, text: str, condition: Filter
) -> Response:
    started = perf_counter()
    query = plan(
        text,
        condition=condition,
        mode=wanted.mode,
        limit=wanted.limit,
        context=wanted.context,
        diversity=wanted.diversity,
        explain=wanted.explain,
        as_of=wanted.as_of,
        personalize_for=wanted.personalize_for,
    )
    parsed_ms = (perf_counter() - started) * 1_000
    door = door_of(request)
    answer = await door.services.recall.search(scope, query, cursor=wanted.cursor)
    door.metrics.stage_seconds.labels("parse").observe(parsed_ms / 1_000)
    return json_response(answer_json(answer, text=query.text, unknown=query.unknown, parsed_ms=parsed_ms))


_DESCRIPTION = (
    'Inside the query people may type `tag:work before:2026-05-01 "exact words" -draft`. A leg that could not be '
    "searched is named in `degraded`; the answer comes from the others."
)

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/search",
        handler=search,
        tag=TAG,
        summary="Search",
        description=_DESCRIPTION,
        body=SearchRequest,
        answers={200: Answered(description="The hits, best first.", model=SearchAnswer)},
    ),
    Operation(
        method="GET",
        path="/v1/search",
        handler=search_by_url,
        tag=TAG,
        summary="Search by URL",
        description=_DESCRIPTION,
        answers={200: Answered(description="The hits, best first.", model=SearchAnswer)},
        problems=(413, 422),
    ),
    Operation(
        method="GET",
        path="/v1/memories/{memory_id}/similar",
        handler=similar_memories,
        tag=TAG,
        summary="Find similar memories",
        description="Those nearest in meaning to one memory, without itself.",
        answers={200: Answered(description="The hits, nearest first.", model=SearchAnswer)},
        problems=(404, 422),
    ),
)
