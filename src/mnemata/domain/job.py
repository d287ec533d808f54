"""Long work that is asked for, done by a worker, and told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mnemata.domain.ids import JobId, TenantId
from mnemata.domain.memory import JsonValue


class JobKind(StrEnum):
    """What a job does.

    Build the index anew, write a backup, expire and purge what is due, answer popular queries, make another generation of
    the index live, compare store, index and cache, store what was handed over.
    """

    REBUILD = "rebuild"
    BACKUP = "backup"
    SWEEP = "sweep"
    WARM = "warm"
    SWITCH = "switch"
    VERIFY = "verify"
    IMPORT = "import"


class JobState(StrEnum):
    """`CANCELLING`: it runs, and was told to stop."""

    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`done` of `total`, which is zero while it is not known. `outcome`: what it made. `code`: of the error it ended with.

    `attempts`: how often it was begun before: a job whose worker is lost is begun again.
    """

    id: JobId
    kind: JobKind
    state: JobState
    arguments: Mapping[str, JsonValue]
    tenant: TenantId
    attempts: int
    done: int
    total: int
    outcome: Mapping[str, JsonValue] | None
    code: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def remaining_s(self) -> float | None:
        """How long it may still take at the pace that it had since it was asked for; None where nothing tells."""
        passed_s = (self.updated_at - self.created_at).total_seconds()
        if self.state is not JobState.RUNNING or not self.done or not self.total or passed_s <= 0:
            return None
        return round(passed_s * max(0, self.total - self.done) / self.done, 1)
