"""What operators ask of the index, and of a verification."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from mnemata.api.rest.schemas.base import Model

_NAME = Field(description="The generation's name, as the status lists it.", min_length=1, max_length=256)


class RebuildRequest(Model):
    """How to build; absent: a whole new generation, as fast as the settings allow, switched to when it is verified."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rate": 500, "switch": False}]})

    generation: str | None = Field(
        default=None, min_length=1, max_length=256, description="A generation to go on with."
    )
    rate: float | None = Field(
        default=None, ge=0, le=1e9, description="Memories a second at most; 0: as many as it can."
    )
    switch: bool = Field(default=True, description="Whether it is made the live one.")
    force: bool = Field(
        default=False,
        description="Switch also where it differs from the store, or answers unlike the live one.",
    )


class SwitchRequest(Model):
    """Which generation to make the live one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"generation": "g000002"}]})

    generation: str = _NAME
    force: bool = Field(default=False, description="Also one that was not verified.")


class DropRequest(Model):
    """Which generation to delete."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"generation": "g000001"}]})

    generation: str = _NAME


class VerifyRequest(Model):
    """What to compare; absent: everything."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cache": False}]})

    store: bool = Field(default=True, description="What is stored, with its hashes and its history.")
    index: bool = Field(default=True, description="The live index, with what is stored.")
    cache: bool = Field(default=True, description="What is cached, with what is stored.")
    generation: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="This generation of the index, and nothing else.",
    )
    repair: bool = Field(default=False, description="Whether to mend what can be mended.")


class RetryRequest(Model):
    """Which memories to try again; absent: all that were set aside."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    memory_ids: list[str] | None = Field(default=None, min_length=1, max_length=1_000)
