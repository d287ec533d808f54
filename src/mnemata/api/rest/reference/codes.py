"""Every error code that this API may answer, from the errors' own definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mnemata.api.rest.errors import RestError, status_of
from mnemata.domain.errors import (
    ConfigurationError,
    CorruptBackup,
    DataFolderLocked,
    MnemataError,
    StoreOutOfReach,
)

_NOT_HERE = (ConfigurationError, CorruptBackup, DataFolderLocked, StoreOutOfReach)
"""Errors of starting and restoring: no request can meet them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    code: str
    status: int
    meaning: str


def error_codes() -> list[ErrorCode]:
    """All codes, by status, then name."""
    found = {error.code: _described(error) for error in _errors(MnemataError)}
    return sorted(found.values(), key=lambda error: (error.status, error.code))


def _errors(base: type[MnemataError]) -> Iterator[type[MnemataError]]:
    if base is not RestError and base not in _NOT_HERE:
        yield base
    for derived in base.__subclasses__():
        yield from _errors(derived)


def _described(error: type[MnemataError]) -> ErrorCode:
    status = error.status if issubclass(error, RestError) else status_of(error.kind)
    meaning = "Something went wrong on our side." if error is MnemataError else _meaning(error)
    return ErrorCode(code=error.code, status=status, meaning=meaning)


def _meaning(error: type[MnemataError]) -> str:
    """The docstring's sentences before it turns to the facts."""
    text = " ".join((error.__doc__ or "").split())
    return text.partition(" Facts")[0]
