"""Keys, tenants and what operators ask for, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mnemata.api.rest.schemas.base import Model, Moment

RoleName = Literal["reader", "writer", "admin", "operator"]
TenantName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class KeyRequest(Model):
    """A new API key."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "writer", "label": "chat backend"}]})

    role: RoleName
    label: str = Field(min_length=1, max_length=128, description="What it is for.")
    tenant: TenantName | None = Field(
        default=None, description="Another tenant, made when it is new; operators only. Absent: your own."
    )


class ApiKey(Model):
    id: str
    tenant: str
    role: RoleName
    label: str
    created_at: Moment
    last_used_at: Moment | None
    revoked_at: Moment | None


class NewApiKey(Model):
    key: ApiKey
    secret: str = Field(description="The credential, `mk_...`. It is shown this once.")


class Keys(Model):
    items: list[ApiKey]


class Tenant(Model):
    id: str
    created_at: Moment
    memories: int


class Tenants(Model):
    items: list[Tenant]


class BackupRequest(Model):
    """Where to write the backup, on the server; absent: the backup folder of the settings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    path: str | None = Field(default=None, min_length=1, max_length=4_096)


class Report(Model):
    """What a part of the platform says about itself; its members depend on the parts in use."""

    model_config = ConfigDict(extra="allow")


class Health(Model):
    status: Literal["ok"]


class Readiness(Model):
    """`ready`: searches will answer. `reasons` says by part why not."""

    ready: bool
    reasons: dict[str, Any]
