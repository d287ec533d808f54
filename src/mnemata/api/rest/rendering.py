"""Domain objects as JSON values, written straight for orjson: an answer costs microseconds, not a validation."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from mnemata.api.rest.errors import error_status, problem
from mnemata.domain.errors import MnemataError
from mnemata.domain.memory import Memory, MemoryVersion
from mnemata.domain.query import Answer, Explanation, Hit
from mnemata.query.filters import to_json
from mnemata.services.outcome import Remembered
from mnemata.services.read import Page

_OPTIONS = orjson.OPT_UTC_Z


def dumps(value: Any) -> bytes:
    """JSON bytes; times in UTC end in Z."""
    return orjson.dumps(value, option=_OPTIONS)


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(dumps(value), status_code=status, headers=headers, media_type="application/json")


def memory_json(memory: Memory) -> dict[str, Any]:
    return {
        "id": memory.id,
        "tenant": memory.tenant,
        "content": memory.content,
        "content_hash": memory.content_hash.hex(),
        "kind": memory.kind,
        "user_id": memory.user_id,
        "agent_id": memory.agent_id,
        "session_id": memory.session_id,
        "sequence": memory.sequence,
        "role": memory.role,
        "tags": memory.tags,
        "metadata": dict(memory.metadata),
        "importance": memory.importance,
        "source": memory.source,
        "external_id": memory.external_id,
        "occurred_at": memory.occurred_at,
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
        "expires_at": memory.expires_at,
        "version": memory.version,
        "superseded_by": memory.superseded_by,
        "deleted_at": memory.deleted_at,
    }


def version_json(version: MemoryVersion) -> dict[str, Any]:
    return {
        "operation": version.operation.value,
        "recorded_at": version.recorded_at,
        "memory": memory_json(version.memory),
    }


def page_json(page: Page) -> dict[str, Any]:
    return {
        "items": [memory_json(memory) for memory in page.items],
        "next_cursor": page.next_cursor,
        "total": page.total,
    }


def answer_json(
    answer: Answer, *, text: str, unknown: tuple[str, ...] = (), parsed_ms: float | None = None
) -> dict[str, Any]:
    """A search's answer; `text` is what remained of the query as words, `parsed_ms` what understanding it took."""
    took_ms = dict(answer.took_ms)
    if parsed_ms is not None:
        took_ms["parse"] = round(parsed_ms, 3)
    return {
        "search_id": answer.search_id,
        "hits": [_hit_json(hit) for hit in answer.hits],
        "total": answer.total,
        "query": {"text": text, "filters": to_json(answer.filters), "unknown": unknown},
        "degraded": answer.degraded,
        "took_ms": took_ms,
        "next_cursor": answer.next_cursor,
    }


def batch_json(results: list[Remembered | MnemataError]) -> dict[str, Any]:
    done = [result for result in results if isinstance(result, Remembered)]
    created = sum(result.created for result in done)
    unchanged = sum(not result.changed for result in done)
    return {
        "items": [_item_json(index, result) for index, result in enumerate(results)],
        "created": created,
        "updated": len(done) - created - unchanged,
        "unchanged": unchanged,
        "failed": len(results) - len(done),
    }


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {
        "memory": memory_json(hit.memory),
        "score": hit.score,
        "context": [memory_json(memory) for memory in hit.context],
        "explanation": None if hit.explanation is None else _explanation_json(hit.explanation),
    }


def _explanation_json(explanation: Explanation) -> dict[str, Any]:
    return {
        "scores": dict(explanation.scores),
        "ranks": dict(explanation.ranks),
        "fused": explanation.fused,
        "personal": dict(explanation.personal),
    }


def _item_json(index: int, result: Remembered | MnemataError) -> dict[str, Any]:
    if isinstance(result, MnemataError):
        return {"index": index, "status": error_status(result), "error": problem(result)}
    status = 201 if result.created else 200
    memory = memory_json(result.memory)
    return {"index": index, "status": status, "changed": result.changed, "memory": memory}
