"""Lines of JSON files, plain or gzipped or from stdin, one object each, with the place they come from.

A page of memories, as `list --json` and the API give it, stands for its items: on one line, or as a file of many.
"""

from __future__ import annotations

import gzip
import io
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
MAX_DOCUMENT_BYTES = 256 * 1_048_576
"""Of a file that is one document of many lines: it is read whole."""
_OF_A_PAGE = frozenset({"items", "next_cursor", "total"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`item`: the how-manieth of the page that stands there, where one does."""

    file: str
    line: int
    item: int | None = None

    def __str__(self) -> str:
        item = "" if self.item is None else f", item {self.item}"
        return f"{self.file}:{self.line}{item}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A line that is not stored, and why."""

    place: Place
    code: str
    reason: str

    def as_json(self) -> dict[str, str | int]:
        item = {} if self.place.item is None else {"item": self.place.item}
        return {
            "file": self.place.file,
            "line": self.place.line,
            **item,
            "code": self.code,
            "reason": self.reason,
        }


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
    """Every line that is not blank (of a page, every item), in order, with how many bytes of the files were read to have it.

    A file that cannot be read to its end is refused at the line where that showed; the next one follows.
    """
    for name in files:
        yield from _read_one(name)


def _read_one(name: str) -> Iterator[tuple[Line | Refused, int]]:
    number = 0
    try:
        with _opened(name) as (text, position):
            before = 0
            for number, data, most in _pieces(text):
                found = _parsed(Place(file=name, line=number), data, most)
                after = position()
                for item in _items_of(found):
                    yield item, after - before
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


def _pieces(text: IO[bytes]) -> Iterator[tuple[int, bytes, int]]:
    """What is parsed by itself, with the line where it begins and the bytes that it may have.

    That is a line that is not blank; or the whole file, where its first line only begins what all of it ends.
    """
    numbered = ((number, line) for number, line in enumerate(_bounded_lines(text), start=1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    number, line = first
    if _begins_more(line):
        whole = line + text.read(MAX_DOCUMENT_BYTES + 1 - len(line))
        if len(whole) > MAX_DOCUMENT_BYTES or _is_json(whole):
            yield number, whole, MAX_DOCUMENT_BYTES
            return
        # A first line that was cut off: the others are read by themselves.
        again = enumerate(_bounded_lines(io.BytesIO(whole)), start=number)
        numbered = ((number, line) for number, line in again if line.strip())
    else:
        yield number, line, MAX_LINE_BYTES
    for number, line in numbered:
        yield number, line, MAX_LINE_BYTES


def _bounded_lines(text: IO[bytes]) -> Iterator[bytes]:
    while data := text.readline(MAX_LINE_BYTES + 1):
        yield data
        while len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
            data = text.readline(MAX_LINE_BYTES + 1)


def _begins_more(line: bytes) -> bool:
    """Whether the line is right as far as it goes, and only its end is missing."""
    if len(line) > MAX_LINE_BYTES:
        return False
    try:
        json.loads(line.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        return not error.doc[error.pos :].strip()
    except (ValueError, RecursionError):
        return False
    return False


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return True


def _items_of(found: Line | Refused) -> Iterator[Line | Refused]:
    """The memories of a page, or the line as it is."""
    items = found.value.get("items") if isinstance(found, Line) and set(found.value) <= _OF_A_PAGE else None
    if not isinstance(items, list):
        yield found
        return
    for number, value in enumerate(items, start=1):
        place = Place(file=found.place.file, line=found.place.line, item=number)
        yield Line(place=place, value=value) if isinstance(value, dict) else _no_object(place)


def _no_object(place: Place) -> Refused:
    reason = "is not a JSON object; `jq -c '.[]'` makes lines of an array"
    return Refused(place=place, code="invalid_json", reason=reason)


def _parsed(place: Place, data: bytes, most: int) -> Line | Refused:
    if len(data) > most:
        remedy = (
            ""
            if most == MAX_LINE_BYTES
            else ", and is one document; `jq -c '.items[]'` makes lines of a page"
        )
        return Refused(place=place, code="too_large", reason=f"is longer than {most:,} bytes{remedy}")
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
        return _no_object(place)
    return Line(place=place, value=value)


def _no_such_number(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
