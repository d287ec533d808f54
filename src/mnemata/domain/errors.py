"""Every error that may reach a caller: a closed set of kinds, a stable code each, facts instead of sentences."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """What a caller can do about an error. Each door maps a kind once."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    PRECONDITION = "precondition"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class MnemataError(Exception):
    """Base of every error of ours. `facts` are safe to show to the caller and never hold contents or secrets."""

    kind: ClassVar[Kind] = Kind.INTERNAL
    code: ClassVar[str] = "internal"

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """One sentence: what is wrong and, where there is one, the remedy."""
        return "Something went wrong on our side; the log has the details."

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which the same call may succeed; None where waiting does not help."""
        value = self.facts.get("retry_after_s")
        return float(value) if isinstance(value, int | float) else None


def _ended(remedy: str) -> str:
    return remedy if remedy.endswith("?") else f"{remedy}."


class InvalidField(MnemataError):
    """One field of the input is wrong. Facts: field, reason, remedy."""

    kind = Kind.INVALID
    code = "invalid_field"

    def __init__(self, *, field: str, reason: str, remedy: str) -> None:
        self.field = field
        self.reason = reason
        self.remedy = remedy
        super().__init__(field=field, reason=reason, remedy=remedy)

    def sentence(self) -> str:
        return f"{self.field}: {self.reason}. {_ended(self.remedy)}"


class InvalidFilter(InvalidField):
    """A filter names an unknown field or operator, or an operand that does not fit. Facts as InvalidField."""

    code = "invalid_filter"


class InvalidQuery(InvalidField):
    """The text of a search cannot be understood. Facts as InvalidField."""

    code = "invalid_query"


class InvalidCursor(MnemataError):
    """A cursor is damaged, or belongs to another listing or query. Facts: reason."""

    kind = Kind.INVALID
    code = "invalid_cursor"

    def sentence(self) -> str:
        return f"cursor: {self.facts['reason']}. Start again without a cursor."


class TooLarge(MnemataError):
    """Input above a limit. Facts: field, limit, unit, actual (where known)."""

    kind = Kind.TOO_LARGE
    code = "too_large"

    def sentence(self) -> str:
        actual = f" (got {self.facts['actual']:,})" if isinstance(self.facts.get("actual"), int) else ""
        return (
            f"{self.facts['field']} is larger than {self.facts['limit']:,} {self.facts['unit']}{actual}. "
            "Send less, or split it."
        )


class Unauthenticated(MnemataError):
    """No credential, or one that is not known. Facts: reason."""

    kind = Kind.UNAUTHENTICATED
    code = "unauthenticated"

    def sentence(self) -> str:
        return f"{self.facts['reason']}. Send an API key as 'Authorization: Bearer mk_...' or 'X-API-Key'."


class Forbidden(MnemataError):
    """The credential's role does not allow this. Facts: role, needed."""

    kind = Kind.FORBIDDEN
    code = "forbidden"

    def sentence(self) -> str:
        return f"The role '{self.facts['role']}' may not do this; it needs '{self.facts['needed']}'."


class MemoryNotFound(MnemataError):
    """No such memory in this tenant. Facts: memory_id."""

    kind = Kind.NOT_FOUND
    code = "memory_not_found"

    def sentence(self) -> str:
        return f"There is no memory {self.facts['memory_id']} here."


class VersionNotFound(MnemataError):
    """The memory has no such version. Facts: memory_id, version."""

    kind = Kind.NOT_FOUND
    code = "version_not_found"

    def sentence(self) -> str:
        return f"The memory {self.facts['memory_id']} has no version {self.facts['version']}."


class KeyNotFound(MnemataError):
    """No such API key. Facts: key_id."""

    kind = Kind.NOT_FOUND
    code = "key_not_found"

    def sentence(self) -> str:
        return f"There is no API key {self.facts['key_id']}. List the keys."


class GenerationNotFound(MnemataError):
    """The search index has no such generation. Facts: name."""

    kind = Kind.NOT_FOUND
    code = "generation_not_found"

    def sentence(self) -> str:
        return f"There is no generation '{self.facts['name']}' of the search index. List the generations."


class GenerationRefused(MnemataError):
    """A generation of the search index is not such that this can be done with it. Facts: name, reason, remedy."""

    kind = Kind.CONFLICT
    code = "generation_refused"

    def sentence(self) -> str:
        return f"The generation '{self.facts['name']}' cannot be taken: {self.facts['reason']}. {self.facts['remedy']}."


class JobNotFound(MnemataError):
    """No such job. Facts: job_id."""

    kind = Kind.NOT_FOUND
    code = "job_not_found"

    def sentence(self) -> str:
        return f"There is no job {self.facts['job_id']}."


class JobFailed(MnemataError):
    """A worker could not do a job, or it was cancelled. Facts: job_id, job, reason."""

    code = "job_failed"

    def sentence(self) -> str:
        return f"The job {self.facts['job_id']} ({self.facts['job']}) ended without a result: {self.facts['reason']}."


class TenantNotFound(MnemataError):
    """No such tenant. Facts: tenant."""

    kind = Kind.NOT_FOUND
    code = "tenant_not_found"

    def sentence(self) -> str:
        return f"There is no tenant '{self.facts['tenant']}'."


class AlreadyExists(MnemataError):
    """Something with this identity is there already. Facts: what, identity."""

    kind = Kind.CONFLICT
    code = "already_exists"

    def sentence(self) -> str:
        return f"There is already a {self.facts['what']} '{self.facts['identity']}'."


class IdempotencyConflict(MnemataError):
    """The Idempotency-Key was used for another request. Facts: key."""

    kind = Kind.CONFLICT
    code = "idempotency_conflict"

    def sentence(self) -> str:
        return "This Idempotency-Key was used for another request. Use a new key for a new request."


class VersionMismatch(MnemataError):
    """If-Match does not name the current version. Facts: memory_id, expected, actual."""

    kind = Kind.PRECONDITION
    code = "version_mismatch"

    def sentence(self) -> str:
        return (
            f"The memory {self.facts['memory_id']} is at version {self.facts['actual']}, not "
            f"{self.facts['expected']}. Read it again and repeat the change."
        )


class Unavailable(MnemataError):
    """Something that the request needs does not answer. Facts: what, reason, retry_after_s."""

    kind = Kind.UNAVAILABLE
    code = "unavailable"

    def sentence(self) -> str:
        return f"{self.facts['what']} is not available: {self.facts['reason']}. Try again shortly."


class NoWorkers(MnemataError):
    """Work for workers, where there are none: with a local index the server does all there is. Facts: what, instead."""

    kind = Kind.UNAVAILABLE
    code = "no_workers"

    def sentence(self) -> str:
        return f"There are no workers here for {self.facts['what']}. Use {self.facts['instead']}."


class StoreUnavailable(Unavailable):
    """PostgreSQL does not answer. Nothing was stored. Facts as Unavailable."""

    code = "store_unavailable"


class OutcomeUnknown(Unavailable):
    """The connection broke while a write was being committed: it may have been stored all the same. Facts as Unavailable."""

    code = "outcome_unknown"

    def sentence(self) -> str:
        return (
            f"{self.facts['what']} broke off while it was committing this write, which may have been stored all the same. "
            "Repeat it with the same Idempotency-Key."
        )


class StoreOutOfReach(StoreUnavailable):
    """No connection to PostgreSQL can be made at all. Facts: what, reason."""

    code = "store_out_of_reach"

    def sentence(self) -> str:
        return (
            f"{self.facts['what']} cannot be reached: {self.facts['reason']}. "
            "See that it runs, and that MNEMATA_DATABASE__URL names it and a user who may connect."
        )


class StorageFull(Unavailable):
    """No room on disk: nothing was stored, reads go on. Facts as Unavailable."""

    code = "storage_full"

    def sentence(self) -> str:
        return "There is no room left on the disk, so nothing was stored. Free some space and try again."


class PoolExhausted(Unavailable):
    """Every database connection is busy. Facts as Unavailable."""

    code = "pool_exhausted"


class EmbedderUnavailable(Unavailable):
    """The model cannot embed now. Facts as Unavailable."""

    code = "embedder_unavailable"


class IndexUnavailable(Unavailable):
    """The search index cannot answer now. Facts as Unavailable."""

    code = "index_unavailable"


class IndexMoved(IndexUnavailable):
    """Another index than the one that was opened is live now, or none: open it again. Facts as Unavailable."""

    code = "index_moved"


class IndexRefused(MnemataError):
    """The search index does not take a document or a request, and would not take it again. Facts: reason, status (a cluster's)."""

    code = "index_refused"

    def sentence(self) -> str:
        return f"The search index refused a request ({self.facts['reason']}); the log has the details."


class CacheUnavailable(Unavailable):
    """The cache was asked for something that only it can do, and does not answer. Facts as Unavailable."""

    code = "cache_unavailable"


class RateLimited(MnemataError):
    """This key has asked too often. Facts: limit, retry_after_s."""

    kind = Kind.RATE_LIMITED
    code = "rate_limited"

    def sentence(self) -> str:
        return f"This key may send {self.facts['limit']} requests a minute. Wait as long as Retry-After says."


class ShuttingDown(Unavailable):
    """The process is draining. Facts as Unavailable."""

    code = "shutting_down"


class DeadlineExceeded(MnemataError):
    """The work took longer than allowed. Facts: what, limit_s."""

    kind = Kind.TIMEOUT
    code = "deadline_exceeded"

    def sentence(self) -> str:
        return f"{self.facts['what']} took longer than {self.facts['limit_s']} s and was stopped."


class ConfigurationError(MnemataError):
    """The platform cannot start as configured. Facts: reason, remedy."""

    kind = Kind.INVALID
    code = "configuration"

    def sentence(self) -> str:
        return f"{self.facts['reason']}. {_ended(str(self.facts['remedy']))}"


class DataFolderLocked(MnemataError):
    """Another process uses the data folder. Facts: data_dir, pid."""

    kind = Kind.CONFLICT
    code = "data_folder_locked"

    def sentence(self) -> str:
        return (
            f"The data folder {self.facts['data_dir']} is in use by process {self.facts['pid']}. "
            "Stop that process, or choose another folder with MNEMATA_DATA_DIR."
        )


class ModelDamaged(MnemataError):
    """A model file is missing or its checksum is wrong. Facts: path, reason, remedy."""

    kind = Kind.UNAVAILABLE
    code = "model_damaged"

    def sentence(self) -> str:
        return f"The model file {self.facts['path']} cannot be used: {self.facts['reason']}. {self.facts['remedy']}."


class SpaceMismatch(MnemataError):
    """Vectors of another space than the one in use. Facts: expected, actual."""

    kind = Kind.INVALID
    code = "space_mismatch"

    def sentence(self) -> str:
        return (
            f"These vectors are of the space '{self.facts['actual']}', and '{self.facts['expected']}' is in use. "
            "Spaces never mix: send the text and let Mnemata embed it, or re-embed with that model."
        )


class CorruptBackup(MnemataError):
    """A backup file is damaged or not a backup. Facts: path, reason."""

    kind = Kind.INVALID
    code = "corrupt_backup"

    def sentence(self) -> str:
        return f"{self.facts['path']} is not a whole backup: {self.facts['reason']}. Use another backup."


class IndexDamaged(MnemataError):
    """Files of an index are missing or damaged; it is rebuilt from the store. Facts: path, reason."""

    kind = Kind.UNAVAILABLE
    code = "index_damaged"

    def sentence(self) -> str:
        return f"The index at {self.facts['path']} is damaged: {self.facts['reason']}. It is rebuilt from the store."
