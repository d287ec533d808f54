"""Whether a tantivy index on disk is whole: every segment file ends with a footer that holds its checksum."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from mnemata.domain.errors import IndexDamaged

_MAGIC = 1337
_TAIL = struct.Struct("<II")
_CHUNK = 1 << 20
_COMPONENTS = ("fast", "fieldnorm", "idx", "pos", "store", "term")


def verify(folder: Path) -> None:
    """Read every live file once; raises IndexDamaged naming the first that is missing or not as written."""
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        for file in _live_files(folder, meta):
            _verify_file(file)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise IndexDamaged(path=str(folder), reason=f"{type(error).__name__}: {error}") from error


def _live_files(folder: Path, meta: dict[str, list[dict[str, object]]]) -> Iterator[Path]:
    for segment in meta["segments"]:
        name = str(segment["segment_id"]).replace("-", "")
        yield from (folder / f"{name}.{component}" for component in _COMPONENTS)
        deletes = segment.get("deletes")
        if isinstance(deletes, dict):
            yield folder / f"{name}.{deletes['opstamp']}.del"


def _verify_file(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(size - _TAIL.size)
        length, magic = _TAIL.unpack(file.read(_TAIL.size))
        body = size - _TAIL.size - length
        if magic != _MAGIC or body < 0:
            raise ValueError(f"{path.name} has no footer")
        file.seek(body)
        expected = json.loads(file.read(length))["crc"]
        file.seek(0)
        found = 0
        while body > 0:
            chunk = file.read(min(_CHUNK, body))
            found, body = zlib.crc32(chunk, found), body - len(chunk)
    if found != expected:
        raise ValueError(f"{path.name} does not have its checksum")
