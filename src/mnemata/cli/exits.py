"""What a script learns from a command: one exit code per thing that a caller can do about an error."""

from __future__ import annotations

from enum import IntEnum
from typing import assert_never

from mnemata.domain.errors import Kind, MnemataError, Unavailable


class ExitCode(IntEnum):
    OK = 0
    INTERNAL = 1
    INVALID = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    CONFLICT = 5
    TOO_MUCH = 6
    UNAVAILABLE = 7
    INTERRUPTED = 130
    """128 + SIGINT, as shells have it."""
    READER_GONE = 141
    """128 + SIGPIPE."""


class Interrupted(Exception):
    """Somebody pressed Ctrl-C. `detail` says what came of the command until then."""

    def __init__(self, detail: str = "Interrupted before it was done.") -> None:
        self.detail = detail
        super().__init__(detail)


class ReaderGone(Exception):
    """Who was to read the answer has gone (`| head`): nobody is left to tell."""


class ServerProblem(MnemataError):
    """A server's answer to a call that failed (RFC 9457). Its kind and code are the server's. Facts: as sent."""

    def __init__(self, *, status: int, code: str, detail: str, **facts: object) -> None:
        self.status = status
        # Each answer has its own kind and code: here they belong to the instance.
        self.kind = kind_of_status(status)  # pyright: ignore[reportAttributeAccessIssue]
        self.code = code  # pyright: ignore[reportAttributeAccessIssue]
        self.detail = detail
        super().__init__(**facts)

    def sentence(self) -> str:
        return self.detail


class ServerAway(Unavailable):
    """No answer came from the server that was asked, or one that is not Mnemata's. Facts: what, reason."""

    def sentence(self) -> str:
        return (
            f"{self.facts['what']} does not answer: {self.facts['reason']}. "
            "See that Mnemata runs there, and that --url or MNEMATA_CLIENT__URL names it."
        )


def exit_code(kind: Kind) -> ExitCode:
    match kind:
        case Kind.INVALID:
            return ExitCode.INVALID
        case Kind.NOT_FOUND:
            return ExitCode.NOT_FOUND
        case Kind.UNAUTHENTICATED | Kind.FORBIDDEN:
            return ExitCode.NOT_ALLOWED
        case Kind.CONFLICT | Kind.PRECONDITION:
            return ExitCode.CONFLICT
        case Kind.TOO_LARGE | Kind.RATE_LIMITED:
            return ExitCode.TOO_MUCH
        case Kind.UNAVAILABLE | Kind.TIMEOUT:
            return ExitCode.UNAVAILABLE
        case Kind.INTERNAL:
            return ExitCode.INTERNAL
        case _:
            assert_never(kind)


_KINDS = {
    401: Kind.UNAUTHENTICATED,
    403: Kind.FORBIDDEN,
    404: Kind.NOT_FOUND,
    409: Kind.CONFLICT,
    412: Kind.PRECONDITION,
    413: Kind.TOO_LARGE,
    429: Kind.RATE_LIMITED,
    502: Kind.UNAVAILABLE,
    503: Kind.UNAVAILABLE,
    504: Kind.TIMEOUT,
}


def kind_of_status(status: int) -> Kind:
    """The kind of error that an HTTP status stands for; a proxy's own answers included."""
    if status in _KINDS:
        return _KINDS[status]
    return Kind.INVALID if 400 <= status < 500 else Kind.INTERNAL
