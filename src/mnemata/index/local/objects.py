"""What a search gives back, made in bulk: a search makes some six hundred ids and candidates.

The slots are set directly, which takes a sixth of the time of the constructors' checks; a test holds that the results are
the same. At 50,000 memories this was two thirds of the time of a hybrid search outside tantivy and FAISS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias
from uuid import UUID, SafeUUID

from mnemata.domain.ids import MemoryId
from mnemata.domain.query import Candidate

Ranked: TypeAlias = tuple[float, int]
"""The score negated and the id as a number: the natural order is best first, ties by id."""

_UNKNOWN = SafeUUID.unknown

_new = object.__new__
_set_int = UUID.__dict__["int"].__set__
_set_is_safe = UUID.__dict__["is_safe"].__set__
_set_memory_id = Candidate.__dict__["memory_id"].__set__
_set_score = Candidate.__dict__["score"].__set__


def memory_ids(keys: Iterable[int]) -> dict[int, MemoryId]:
    """The ids by their numbers."""
    made: dict[int, MemoryId] = {}
    for key in keys:
        identifier = _new(UUID)
        _set_int(identifier, key)
        _set_is_safe(identifier, _UNKNOWN)
        made[key] = MemoryId(identifier)
    return made


def candidates(ranked: Iterable[Ranked], ids: Mapping[int, MemoryId]) -> list[Candidate]:
    """The candidates, in the same order."""
    made: list[Candidate] = []
    for negated, key in ranked:
        candidate = _new(Candidate)
        _set_memory_id(candidate, ids[key])
        _set_score(candidate, -negated)
        made.append(candidate)
    return made
