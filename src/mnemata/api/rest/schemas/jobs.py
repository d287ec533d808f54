"""Jobs as JSON."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from mnemata.api.rest.schemas.base import Model, Moment


class Job(Model):
    id: UUID
    kind: Literal["rebuild", "backup", "sweep", "warm", "switch", "verify", "import"]
    state: Literal["waiting", "running", "cancelling", "succeeded", "failed", "cancelled"]
    arguments: dict[str, Any]
    tenant: str = Field(description="Whose caller asked for it.")
    attempts: int = Field(
        description="How often it was begun before: a job whose worker is lost begins again."
    )
    done: int = Field(description="How much is behind it.")
    total: int = Field(description="How much there is in all; 0 while that is not known.")
    remaining_s: float | None = Field(
        description="How long it may still take, in seconds, at the pace that it had so far; null where nothing tells."
    )
    outcome: dict[str, Any] | None = Field(description="What it made.")
    code: str | None = Field(description="The code of the error that ended it.")
    created_at: Moment
    updated_at: Moment


class RefusedItem(Model):
    """An item that is not part of the import. `error` is a problem as it would be answered to a single write."""

    index: int = Field(description="Its place in the request, from 0.")
    status: int
    error: dict[str, Any]


class HandedOver(Model):
    """What was handed over: `job` stores the `accepted` memories, `refused` lists the others."""

    job: UUID = Field(description="Its id: `GET /v1/jobs/{id}` tells how far it is, and what came of it.")
    accepted: int
    refused: list[RefusedItem]


class Jobs(Model):
    items: list[Job]
