"""Vector spaces: a space is a model at a version, and spaces never mix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """How two vectors are compared. Rows of unit length make cosine and dot the same order."""

    COSINE = "cosine"
    DOT = "dot"
    L2 = "l2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """`name` names model, version and treatment, e.g. 'all-MiniLM-L6-v2/int8/1'; `dimensions` is a row's length."""

    name: str
    dimensions: int
