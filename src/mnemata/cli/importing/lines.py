"""Lines of JSON files, plain or gzipped or from stdin, one object each, with the place they come from."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mnemata.domain.errors import InvalidField

STDIN = "-"
MAX_LINE_BYTES = 32 * 1_048_576
"""Longer than any memory that can be stored: a file without line ends must not fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A line that is not stored, and why."""

    place: Place
    code: str
    reason: str

    def as_json(self) -> dict[str, str | int]:
        return {"file": self.place.file, "line": self.place.line, "code": self.code, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    place: Place
    value: dict[str, Any]


def files_of(given: Sequence[str]) -> list[str]:
    """The files to read: a folder stands for its corpus.jsonl or corpus.jsonl.gz. Raises InvalidField."""
    return [_file_of(name) for name in given]


def total_bytes(files: Sequence[str]) -> int | None:
    """How much there is to read, or None where stdin is among it."""
    return None if STDIN in files else sum(Path(name).stat().st_size for name in files)


def read(files: Sequence[str]) -> Iterator[tuple[Line | Refused, int]]:
    """Every line that is not blank, in order, with how many bytes of the files were read to have it.

    A file that cannot be read to its end is refused at the line where that showed; the next one follows.
    """
    for name in files:
        yield from _read_one(name)


def _read_one(name: str) -> Iterator[tuple[Line | Refused, int]]:
    number = 0
    try:
        with _opened(name) as (text, position):
            before = 0
            for number, data in enumerate(_bounded_lines(text), start=1):
                if data.strip():
                    after = position()
                    yield _parsed(Place(file=name, line=number), data), after - before
                    before = after
    except (OSError, EOFError, zlib.error) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        yield (
            Refused(
                place=Place(file=name, line=number + 1), code="unreadable", reason=f"cannot be read: {said}"
            ),
            0,
        )


def _file_of(name: str) -> str:
    path = Path(name)
    if name == STDIN or path.is_file():
        return name
    if not path.is_dir():
        raise InvalidField(
            field=name, reason="is not a file or folder", remedy="Give JSON lines, plain or .gz"
        )
    for inside in (path / "corpus.jsonl", path / "corpus.jsonl.gz"):
        if inside.is_file():
            return str(inside)
    raise InvalidField(field=name, reason="holds no corpus.jsonl or corpus.jsonl.gz", remedy="Name the files")


@contextmanager
def _opened(name: str) -> Generator[tuple[IO[bytes], Callable[[], int]]]:
    """The lines' bytes, and how many bytes of the file itself have been read (compressed, where it is)."""
    if name == STDIN:
        yield sys.stdin.buffer, lambda: 0
        return
    with Path(name).open("rb") as raw:
        if not name.endswith(".gz"):
            yield raw, raw.tell
            return
        with gzip.open(raw) as text:
            yield text, raw.tell  # pyright: ignore[reportReturnType]


def _bounded_lines(text: IO[bytes]) -> Iterator[bytes]:
    while data := text.readline(MAX_LINE_BYTES + 1):
        yield data
        while len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
            data = text.readline(MAX_LINE_BYTES + 1)


def _parsed(place: Place, data: bytes) -> Line | Refused:
    if len(data) > MAX_LINE_BYTES:
        return Refused(place=place, code="too_large", reason=f"is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        # utf-8-sig: files from some systems start with a byte order mark.
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_no_such_number)
    except UnicodeDecodeError as error:
        return Refused(place=place, code="invalid_utf8", reason=f"is not UTF-8 at byte {error.start}")
    except RecursionError:
        return Refused(place=place, code="invalid_json", reason="is nested too deeply")
    except ValueError as error:
        return Refused(place=place, code="invalid_json", reason=f"is not JSON: {error}")
    if not isinstance(value, dict):
        return Refused(place=place, code="invalid_json", reason="is not a JSON object")
    return Line(place=place, value=value)


def _no_such_number(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
