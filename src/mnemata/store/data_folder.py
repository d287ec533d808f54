"""One data folder, one lock, one process: two servers on the same files would destroy them."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mnemata.domain.errors import ConfigurationError, DataFolderLocked

# What a new folder takes at once: the server's own tables, its first write-ahead log, and the room it keeps free.
NEW_FOLDER_BYTES = 192 * 1024 * 1024

# Windows locks bytes, and a locked byte cannot be read: lock one far behind the pid.
_WINDOWS_LOCKED_BYTE = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """A data folder that this process, and no other, holds until `release` or its own end.

    The lock is the operating system's, so that a process killed with SIGKILL leaves none behind.
    """

    path: Path
    lock_file: IO[str] | None

    @classmethod
    def acquire(cls, path: Path) -> DataFolder:
        """The folder, made where it is missing, and locked. Blocking, though never waiting for a lock.

        Raises DataFolderLocked with the holder's pid, ConfigurationError where the folder cannot be used.
        """
        path = path.expanduser().absolute()
        _make(path)
        lock_file = _lock(path)
        try:
            _refuse_without_room(path)
            folder = cls(path=path, lock_file=lock_file)
            folder.make_subfolders()
        except BaseException:
            lock_file.close()
            raise
        return folder

    @classmethod
    def shared(cls, path: Path) -> DataFolder:
        """A folder that any number of processes may use: nothing is in it that two of them write."""
        return cls(path=path.expanduser().absolute(), lock_file=None)

    def release(self) -> None:
        """Let another process have the folder. May be called twice."""
        if self.lock_file is not None:
            self.lock_file.close()

    @property
    def postgres(self) -> Path:
        """Everything of the embedded PostgreSQL; for root it belongs to the server's own user."""
        return self.path / "postgres"

    @property
    def index(self) -> Path:
        return self.path / "index"

    @property
    def backups(self) -> Path:
        return self.path / "backups"

    @property
    def server_file(self) -> Path:
        """Where a serving process writes its pid and address for the command line."""
        return self.path / "server.json"

    def make_subfolders(self) -> None:
        for folder in (self.postgres, self.index, self.backups):
            _make(folder)


def _make(path: Path) -> None:
    """A folder that only we can read; one that is there already keeps its rights."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigurationError(
            reason=f"{error.filename or path} is a file, and a folder is needed there",
            remedy="Choose another data folder with MNEMATA_DATA_DIR, or move that file away",
        ) from error
    except OSError as error:
        raise _unusable(path, error) from error


def _lock(path: Path) -> IO[str]:
    """The open lock file with our pid in it; closing it gives the lock back."""
    try:
        # Never emptied on opening: a process that only looks must still find the holder's pid.
        lock_file = os.fdopen(os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="ascii")
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        _lock_or_raise(lock_file)
        lock_file.seek(0)
        # Of one width, so that it is written in place: a folder on a full disk must open too.
        lock_file.write(f"{os.getpid():<12}\n")
        lock_file.flush()
    except BlockingIOError as error:
        pid = _holder(lock_file)
        lock_file.close()
        raise DataFolderLocked(data_dir=str(path), pid=pid) from error
    except OSError as error:
        lock_file.close()
        raise _unusable(path, error) from error
    return lock_file


if sys.platform == "win32":
    import msvcrt

    def _lock_or_raise(lock_file: IO[str]) -> None:
        lock_file.seek(_WINDOWS_LOCKED_BYTE)
        try:
            msvcrt.locking(lock_file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(errno.EWOULDBLOCK, "locked") from error

else:
    import fcntl

    def _lock_or_raise(lock_file: IO[str]) -> None:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(lock_file: IO[str]) -> int | str:
    lock_file.seek(0)
    text = lock_file.read(32).strip()
    # Between taking the lock and writing its pid, the holder is not known for an instant.
    return int(text) if text.isdigit() else "unknown"


def _refuse_without_room(path: Path) -> None:
    """Only a new folder is refused: one with memories in it must open, to be read and to be tidied."""
    if (path / "postgres").exists():
        return
    free = shutil.disk_usage(path).free
    if free < NEW_FOLDER_BYTES:
        needed = NEW_FOLDER_BYTES // 2**20
        raise ConfigurationError(
            reason=f"There is no room for a new data folder at {path}: {free // 2**20} MiB free, {needed} MiB needed",
            remedy="Free some space, or choose a folder on another disk with MNEMATA_DATA_DIR",
        )


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    remedies = {
        errno.EACCES: "Give this user the right to write there, or choose another folder with MNEMATA_DATA_DIR",
        errno.EROFS: "Choose a folder that is not read-only with MNEMATA_DATA_DIR",
        errno.ENOSPC: "Free some space, or choose a folder on another disk with MNEMATA_DATA_DIR",
        errno.ENAMETOOLONG: "Choose a shorter path with MNEMATA_DATA_DIR",
    }
    return ConfigurationError(
        reason=f"The data folder {path} cannot be used: {error.strerror or error}",
        remedy=remedies.get(error.errno or 0, "Choose another folder with MNEMATA_DATA_DIR"),
    )
