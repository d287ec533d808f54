"""Many memories at once: batches, listings, and forgetting by filter."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from mnemata.api.rest.body import read_document, read_json
from mnemata.api.rest.credentials import Asker
from mnemata.api.rest.door import door_of
from mnemata.api.rest.drafts import read_batch
from mnemata.api.rest.filtering import filter_of, filter_of_listing
from mnemata.api.rest.idempotency import once_of
from mnemata.api.rest.operation import IDEMPOTENCY_KEY, INDEXED, REPLAYED, Answered, Operation
from mnemata.api.rest.rendering import batch_json, json_response, page_json
from mnemata.api.rest.schemas import memory as schemas
from mnemata.api.rest.schemas.base import parse_as
from mnemata.api.rest.schemas.parameters import ListParameters, NoParameters, WriteParameters
from mnemata.api.rest.schemas.search import ForgetRequest, Forgotten, ListRequest
from mnemata.domain.errors import InvalidField
from mnemata.domain.filter import EVERYTHING, Filter, holds_always
from mnemata.services.outcome import Remembered
from mnemata.services.read import SortKey

TAG = "memories"


async def store_batch(
    request: Request, scope: Asker, parameters: Annotated[WriteParameters, Query()]
) -> Response:
    door = door_of(request)
    batch = await read_batch(await read_document(request), now=door.clock.now())
    once = await once_of(request)
    results = await door.services.remember.many(scope, batch, wait_for=parameters.patience, once=once)
    done = [result for result in results if isinstance(result, Remembered)]
    headers = {INDEXED.name: "true" if all(result.indexed for result in done) else "false"}
    if any(result.replayed for result in done):
        headers[REPLAYED.name] = "true"
    return json_response(batch_json(results), headers=headers)


async def list_memories(
    request: Request, scope: Asker, parameters: Annotated[ListParameters, Query()]
) -> Response:
    page = await door_of(request).services.read.list(
        scope,
        condition=filter_of_listing(parameters),
        sort=SortKey(parameters.sort),
        descending=parameters.order == "desc",
        limit=parameters.limit,
        cursor=parameters.cursor,
        as_of=parameters.as_of,
        with_total=parameters.with_total,
    )
    return json_response(page_json(page))


async def query_memories(request: Request, scope: Asker, _: Annotated[NoParameters, Query()]) -> Response:
    wanted = parse_as(ListRequest, await read_json(request))
    page = await door_of(request).services.read.list(
        scope,
        condition=filter_of(wanted.filter),
        sort=SortKey(wanted.sort),
        descending=wanted.order == "desc",
        limit=wanted.limit,
        cursor=wanted.cursor,
        as_of=wanted.as_of,
        with_total=wanted.with_total,
    )
    return json_response(page_json(page))


async def forget_memories(
    request: Request, scope: Asker, parameters: Annotated[WriteParameters, Query()]
) -> Response:
    wanted = parse_as(ForgetRequest, await read_json(request))
    forgotten = await door_of(request).services.forget.by_filter(
        scope, _condition(wanted), dry_run=wanted.dry_run, wait_for=parameters.patience
    )
    outcome = {"matched": forgotten.matched, "forgotten": forgotten.forgotten, "dry_run": forgotten.dry_run}
    return json_response(outcome, headers={INDEXED.name: "true" if forgotten.indexed else "false"})


def _condition(wanted: ForgetRequest) -> Filter:
    """What to forget. Everything must be said in so many words: an empty filter is refused."""
    condition = filter_of(wanted.filter)
    if wanted.all and wanted.filter is not None:
        raise InvalidField(field="all", reason="is given beside a filter", remedy="Send one of the two")
    if not wanted.all and holds_always(condition):
        raise InvalidField(
            field="filter",
            reason="is empty and would forget everything",
            remedy='Send a filter, or {"all": true} if you mean it',
        )
    return EVERYTHING if wanted.all else condition


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/memories:batch",
        handler=store_batch,
        tag=TAG,
        summary="Store many memories",
        description="Up to 1,000, in one transaction, with one outcome per item, in order. A bad item never loses the "
        "others. Of two items with the same `external_id` the later is refused.",
        body=schemas.Batch,
        headers=(IDEMPOTENCY_KEY,),
        answers={
            200: Answered(description="The outcomes.", model=schemas.BatchAnswer, headers=(INDEXED, REPLAYED))
        },
        problems=(409,),
    ),
    Operation(
        method="GET",
        path="/v1/memories",
        handler=list_memories,
        tag=TAG,
        summary="List memories",
        description="Current ones: not forgotten, not superseded, not expired. Pages stay stable while others write.",
        answers={200: Answered(description="A page.", model=schemas.Page)},
        problems=(422,),
    ),
    Operation(
        method="POST",
        path="/v1/memories:query",
        handler=query_memories,
        tag=TAG,
        summary="List memories by a long filter",
        description="As `GET /v1/memories`, with the filter in the body.",
        body=ListRequest,
        answers={200: Answered(description="A page.", model=schemas.Page)},
    ),
    Operation(
        method="POST",
        path="/v1/memories:forget",
        handler=forget_memories,
        tag=TAG,
        summary="Forget memories by filter",
        description='Counts only, unless `"dry_run": false`. Works in chunks: the same call again forgets what is left.',
        body=ForgetRequest,
        answers={200: Answered(description="The counts.", model=Forgotten, headers=(INDEXED,))},
    ),
)
