"""The file that a backup is written to: under another name until it is whole and on disk."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from mnemata.domain.errors import AlreadyExists, ConfigurationError, StorageFull
from mnemata.store.backup_archive import ArchiveWriter, Facts, Manifest

PARTIAL = ".partial"


class BackupFile:
    """A backup in the making. Writing happens in threads; one writer at a time."""

    def __init__(self, target: Path, partial: Path, descriptor: int) -> None:
        self._target = target
        self._partial = partial
        self._file = os.fdopen(descriptor, "wb")
        self._archive = ArchiveWriter(self._file)
        self._size = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, target: Path) -> AsyncGenerator[BackupFile]:
        """A file for a backup at `target`, whose folder is made. Left without `finish`, nothing of it stays."""
        file = await asyncio.to_thread(cls._opened, target)
        try:
            yield file
        finally:
            await asyncio.to_thread(file._discard)  # noqa: SLF001 (our own)

    @property
    def bytes(self) -> int:
        """The size of the finished file."""
        return self._size

    @property
    def dump_bytes(self) -> int:
        return self._archive.dump_bytes

    async def write(self, piece: bytes) -> None:
        await asyncio.to_thread(self._write, piece)

    async def finish(self, facts: Facts) -> Manifest:
        """Add the manifest, wait for the disk, and give the file its name."""
        return await asyncio.to_thread(self._finish, facts)

    @classmethod
    def _opened(cls, target: Path) -> BackupFile:
        partial = target.with_name(f".{target.name}.{os.getpid()}{PARTIAL}")
        with _explained(target):
            if target.exists():
                raise AlreadyExists(what="backup", identity=str(target))
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            return cls(target, partial, descriptor)

    def _write(self, piece: bytes) -> None:
        with _explained(self._target):
            self._archive.write(piece)

    def _finish(self, facts: Facts) -> Manifest:
        with _explained(self._target):
            manifest = self._archive.finish(facts)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._size = os.fstat(self._file.fileno()).st_size
            self._file.close()
            self._publish()
            _sync_folder(self._target.parent)
        return manifest

    def _publish(self) -> None:
        # A link, unlike a rename, never replaces a file that appeared meanwhile.
        try:
            os.link(self._partial, self._target)
        except FileExistsError as error:
            raise AlreadyExists(what="backup", identity=str(self._target)) from error
        except OSError:
            # Not every file system has links.
            self._partial.rename(self._target)

    def _discard(self) -> None:
        # What cannot be flushed is thrown away in any case.
        with suppress(OSError):
            self._file.close()
        # One that stays is deleted when backups are rotated.
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)


@contextmanager
def _explained(target: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(what="The backup's disk", reason="no space left on device") from error
        raise ConfigurationError(
            reason=f"The backup {target} cannot be written: {error.strerror}",
            remedy="Choose a file in a folder that this user may write to",
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
