"""Query parameters: as the bodies, but read from text. An unknown one is refused by name."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mnemata.api.rest.schemas.base import Moment
from mnemata.api.rest.schemas.search import MAX_CONTEXT, MAX_LIMIT, PERSONALIZE_FOR, ModeName, Order, SortName
from mnemata.services.outcome import WaitFor


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoParameters(Parameters):
    """This call takes none."""


class JobsParameters(Parameters):
    limit: int = Field(default=50, ge=1, le=200)


class WriteParameters(Parameters):
    wait_for: Literal["index", "none"] = Field(
        default="index",
        description="`index`: answer when searches find it. `none`: answer as soon as it is durable.",
    )

    @property
    def patience(self) -> WaitFor:
        return WaitFor(self.wait_for)


class ReadParameters(Parameters):
    as_of: Moment | None = Field(default=None, description="The memory as it was known at this moment.")


class SimilarParameters(Parameters):
    limit: int = Field(default=10, ge=1, le=MAX_LIMIT)
    filter: str | None = Field(default=None, description="A filter as JSON.")


class ListParameters(Parameters):
    filter: str | None = Field(
        default=None, description="A filter as JSON.", examples=['{"tags": {"any": ["travel"]}}']
    )
    user_id: str | None = Field(default=None, description="Short for a filter.")
    agent_id: str | None = Field(default=None, description="Short for a filter.")
    session_id: str | None = Field(default=None, description="Short for a filter.")
    kind: str | None = Field(default=None, description="Short for a filter.")
    tag: str | None = Field(default=None, description="Short for a filter.")
    sort: SortName = Field(default="created_at", description="Memories without the field come last.")
    order: Order = Field(default="desc")
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")
    as_of: Moment | None = Field(default=None, description="What was known at this moment.")
    with_total: bool = Field(default=False, description="Count every memory that matches.")


class SearchParameters(Parameters):
    q: str = Field(description="What to look for, in words.", examples=["where does Ana like to sit?"])
    filter: str | None = Field(default=None, description="A filter as JSON.")
    mode: ModeName = "hybrid"
    limit: int = Field(default=10, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")
    diversity: float = Field(default=0.0, ge=0, le=1)
    context: int = Field(default=0, ge=0, le=MAX_CONTEXT)
    explain: bool = False
    as_of: Moment | None = None
    personalize_for: str | None = Field(default=None, description=PERSONALIZE_FOR, examples=["ana"])
