"""Searches and listings as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from mnemata.api.rest.schemas.base import Model, Moment
from mnemata.api.rest.schemas.memory import EXAMPLE_ID, MEMORY_EXAMPLE, Memory

MAX_LIMIT = 200
MAX_CONTEXT = 10

PERSONALIZE_FOR = "A `user_id`: of the same hits, that user's own and those like what they stored lately rise. It never narrows."

FILTER_EXAMPLE: dict[str, Any] = {"user_id": "ana", "tags": {"any": ["travel"]}}
SEARCH_EXAMPLE: dict[str, Any] = {
    "query": "where does Ana like to sit?",
    "filter": FILTER_EXAMPLE,
    "limit": 5,
}

FilterObject = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": True,
            "description": "Fields, or `metadata.<path>`, to a value or to operators: eq ne in nin gt gte lt lte any "
            "all exists prefix; combined with `and`, `or`, `not`.",
            "examples": [
                FILTER_EXAMPLE,
                {
                    "metadata.score": {"gte": 3, "lt": 5},
                    "or": [{"kind": "episodic"}, {"not": {"tags": {"any": ["draft"]}}}],
                },
            ],
        }
    ),
]
ModeName = Literal["hybrid", "lexical", "vector"]
SortName = Literal["created_at", "updated_at", "occurred_at", "importance"]
Order = Literal["asc", "desc"]


class SearchRequest(Model):
    """A search. People may type `tag:work before:2026-05-01 "exact words" -draft` inside `query`."""

    model_config = ConfigDict(json_schema_extra={"examples": [SEARCH_EXAMPLE]})

    query: str = Field(description="What to look for, in words.")
    filter: FilterObject | None = Field(default=None, description="Only memories that this matches.")
    mode: ModeName = Field(default="hybrid", description="By words and meaning, words only, or meaning only.")
    limit: int = Field(default=10, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")
    diversity: float = Field(
        default=0.0, ge=0, le=1, description="0: the best; towards 1: the best that differ."
    )
    context: int = Field(
        default=0,
        ge=0,
        le=MAX_CONTEXT,
        description="How many neighbouring turns to attach to each hit, each way.",
    )
    explain: bool = Field(default=False, description="Say how each score came about.")
    as_of: Moment | None = Field(default=None, description="Search the past: what was known at this moment.")
    personalize_for: str | None = Field(default=None, description=PERSONALIZE_FOR, examples=["ana"])


class Explanation(Model):
    """Scores and ranks by leg; a leg that did not find the hit is absent."""

    scores: dict[str, float]
    ranks: dict[str, int]
    fused: float
    personal: dict[str, float] = Field(
        description="What `personalize_for` added to `fused`, by reason: own, meaning, tags."
    )


class Hit(Model):
    memory: Memory
    score: float
    context: list[Memory] = Field(description="The neighbouring turns, in order.")
    explanation: Explanation | None


class UnderstoodQuery(Model):
    """How the query was understood."""

    text: str = Field(description="The free words that remain when operators are taken out.")
    filters: dict[str, Any] = Field(
        description="The filter in force: the request's and the one typed in the query."
    )
    unknown: list[str] = Field(
        description="Operators in the query that are not known and were read as words."
    )


class SearchAnswer(Model):
    """Hits, best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "search_id": EXAMPLE_ID,
                    "hits": [{"memory": MEMORY_EXAMPLE, "score": 0.83, "context": [], "explanation": None}],
                    "total": 1,
                    "query": {
                        "text": "where does Ana like to sit?",
                        "filters": FILTER_EXAMPLE,
                        "unknown": [],
                    },
                    "degraded": [],
                    "took_ms": {"total": 6.1, "embed": 3.4, "lexical": 0.5, "vector": 0.6, "hydrate": 0.9},
                    "next_cursor": None,
                }
            ]
        }
    )

    search_id: str
    hits: list[Hit]
    total: int = Field(
        description="Memories that match. In hybrid and vector mode every memory within the filter does."
    )
    query: UnderstoodQuery
    degraded: list[str] = Field(
        description="Legs that could not be searched, and `personalization` where the user could not be regarded; "
        "empty when all was well."
    )
    took_ms: dict[str, float]
    next_cursor: str | None


class ListRequest(Model):
    """A listing, for filters that are too long for a URL."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filter": FILTER_EXAMPLE, "sort": "importance", "limit": 20}]}
    )

    filter: FilterObject | None = None
    sort: SortName = "created_at"
    order: Order = "desc"
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT)
    cursor: str | None = None
    as_of: Moment | None = None
    with_total: bool = False


class ForgetRequest(Model):
    """Forget every memory that the filter matches. `{"all": true}` in place of a filter means every memory."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filter": {"user_id": "ana"}, "dry_run": True}]}
    )

    filter: FilterObject | None = None
    all: bool = Field(
        default=False, description="Forget everything in this tenant. Not together with a filter."
    )
    dry_run: bool = Field(default=True, description="Only count.")


class Forgotten(Model):
    matched: int
    forgotten: int
    dry_run: bool


class RestoreRequest(Model):
    """Which version to bring back; without one, the newest that was not forgotten."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 1}]})

    version: int | None = Field(default=None, ge=1)
