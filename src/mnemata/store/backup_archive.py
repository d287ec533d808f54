"""The backup file: a plain tar of a PostgreSQL dump, a manifest and checksums, in which no byte can change unseen.

    dump.pgdump     pg_dump's custom format, compressed
    manifest.json   what is in it
    SHA256SUMS      of both

Every byte that is none of theirs (headers, padding) follows from the manifest, so that `verify` compares them too. As it
is a tar, a backup can be restored without Mnemata: `tar -xf`, `sha256sum -c SHA256SUMS`, `pg_restore`.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from mnemata.domain.errors import ConfigurationError, CorruptBackup

SUFFIX = ".mnemata-backup"
FORMAT = 1

DUMP_AT = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_DUMP, _MANIFEST, _SUMS = "dump.pgdump", "manifest.json", "SHA256SUMS"
_END = bytes(2 * tarfile.BLOCKSIZE)
# Manifest, checksums, headers and padding: a few kilobytes when whole.
_REST_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a backup holds, all of one moment."""

    created_at: datetime
    mnemata: str
    schema_revision: str
    epoch: str
    server_version: str
    tables: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A backup's description of itself. `tables` counts rows; `dump_bytes` are compressed."""

    facts: Facts
    dump_bytes: int
    dump_sha256: str

    @property
    def memories(self) -> int:
        return self.facts.tables.get("memories", 0)

    def to_json(self) -> bytes:
        tree = {
            "format": FORMAT,
            **asdict(self.facts),
            "dump_bytes": self.dump_bytes,
            "dump_sha256": self.dump_sha256,
        }
        tree["created_at"] = self.facts.created_at.isoformat()
        return (json.dumps(tree, indent=2, sort_keys=True) + "\n").encode()


class ArchiveWriter:
    """Writes a backup to an open, empty, seekable file: `write` the dump piece by piece, then `finish` once. Blocking."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._dump = hashlib.sha256()
        self.dump_bytes = 0
        self._file.write(bytes(DUMP_AT))

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._dump.update(piece)
        self.dump_bytes += len(piece)

    def finish(self, facts: Facts) -> Manifest:
        manifest = Manifest(facts=facts, dump_bytes=self.dump_bytes, dump_sha256=self._dump.hexdigest())
        self._file.write(_rest(manifest, manifest.to_json()))
        self._file.seek(0)
        self._file.write(_header(_DUMP, self.dump_bytes, facts.created_at))
        return manifest


def verify(path: Path) -> Manifest:
    """The manifest of a backup whose every byte is as it was written. Blocking: reads the whole file.

    Raises CorruptBackup for one that is damaged, cut short, or none at all; ConfigurationError for one that cannot be
    read or that a newer Mnemata made.
    """
    try:
        with path.open("rb") as file:
            return _verified(path, file)
    except OSError as error:
        raise ConfigurationError(
            reason=f"The backup {path} cannot be read: {error.strerror}", remedy="Name a backup file"
        ) from error


def _verified(path: Path, file: IO[bytes]) -> Manifest:
    first = file.read(DUMP_AT)
    digest = hashlib.sha256()
    for piece in _pieces(file, _dump_size(path, first)):
        digest.update(piece)
    rest = file.read(_REST_BYTES_MAX)
    manifest, text = _manifest(path, rest)
    if manifest.dump_sha256 != digest.hexdigest():
        raise CorruptBackup(path=str(path), reason="the dump's checksum is wrong")
    expected = _header(_DUMP, manifest.dump_bytes, manifest.facts.created_at)
    if first != expected or rest != _rest(manifest, text) or file.read(1):
        raise CorruptBackup(path=str(path), reason="a checksum is wrong")
    return manifest


def _dump_size(path: Path, first: bytes) -> int:
    member = _member_of(path, first, "it does not begin like one")
    if member.name != _DUMP:
        raise CorruptBackup(path=str(path), reason="it does not begin like one")
    return member.size


def _manifest(path: Path, rest: bytes) -> tuple[Manifest, bytes]:
    """The manifest and its text, from what follows the dump."""
    # The padding is shorter than a block, and a header begins with its name.
    at = rest[: 2 * tarfile.BLOCKSIZE].find(_MANIFEST.encode())
    header = rest[max(at, 0) : max(at, 0) + tarfile.BLOCKSIZE]
    member = _member_of(path, header, "it is cut short, or its manifest is damaged")
    text = rest[at + tarfile.BLOCKSIZE :][: member.size]
    return _parsed(path, text), text


def _member_of(path: Path, header: bytes, reason: str) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise CorruptBackup(path=str(path), reason=reason) from error


def _parsed(path: Path, text: bytes) -> Manifest:
    try:
        tree: dict[str, Any] = json.loads(text)
        if tree.pop("format") > FORMAT:
            raise ConfigurationError(
                reason=f"{path} was made by a newer Mnemata", remedy="Restore it with that version"
            )
        size, digest = int(tree.pop("dump_bytes")), str(tree.pop("dump_sha256"))
        tree["created_at"] = datetime.fromisoformat(tree["created_at"])
        return Manifest(facts=Facts(**tree), dump_bytes=size, dump_sha256=digest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptBackup(path=str(path), reason="its manifest cannot be read") from error


def _pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    """The next `size` bytes, or fewer where the file ends, a mebibyte at a time."""
    while size > 0 and (piece := file.read(min(_CHUNK, size))):
        yield piece
        size -= len(piece)


def _rest(manifest: Manifest, text: bytes) -> bytes:
    """Everything behind the dump."""
    sums = f"{manifest.dump_sha256}  {_DUMP}\n{hashlib.sha256(text).hexdigest()}  {_MANIFEST}\n".encode()
    at = manifest.facts.created_at
    return _padding(manifest.dump_bytes) + _member(_MANIFEST, text, at) + _member(_SUMS, sums, at) + _END


def _member(name: str, content: bytes, at: datetime) -> bytes:
    return _header(name, len(content), at) + content + _padding(len(content))


def _header(name: str, size: int, at: datetime) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(at.timestamp())
    # GNU's, because a dump may be larger than the 8 GiB that the older format can say.
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
