"""A problem (RFC 9457): how every error looks."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Problem(BaseModel):
    """An error. `code` is stable; further members are its facts, such as `field`, `reason` and `remedy`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "/docs#error-invalid_field",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "importance: is not between 0 and 1. Send a number from 0 to 1.",
                    "code": "invalid_field",
                    "field": "importance",
                    "reason": "is not between 0 and 1",
                    "remedy": "Send a number from 0 to 1",
                }
            ]
        },
    )

    type: str = Field(description="Where the code is explained.")
    title: str
    status: int
    detail: str = Field(description="What is wrong and, where there is one, the remedy.")
    code: str = Field(description="Stable: programs decide by it.")
