"""The border of the local engine: what tantivy, FAISS and the file system raise becomes ours, once."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mnemata.domain.errors import IndexDamaged, IndexRefused, IndexUnavailable, MnemataError, StorageFull

_RETRY_AFTER_S = 5.0
_NO_ROOM_BYTES = 65_536


@contextmanager
def translated(doing: str, path: Path | None = None) -> Generator[None]:
    """Raise StorageFull, IndexDamaged (while opening) or IndexUnavailable in place of a driver's error."""
    try:
        yield
    except (MnemataError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # Not Exception: a panic of the Rust side derives from BaseException.
    except BaseException as error:
        raise _ours(doing, path, error) from error


@contextmanager
def taking() -> Generator[None]:
    """Raise IndexRefused where memories cannot be taken: for work on them that needs no disk, and would fail again.

    Only what is no fault of theirs, as where memory runs out, is StorageFull or IndexUnavailable.
    """
    try:
        yield
    except (MnemataError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except (OSError, MemoryError) as error:
        raise _ours("apply", None, error) from error
    except BaseException as error:
        raise IndexRefused(reason=type(error).__name__) from error


def _ours(doing: str, path: Path | None, error: BaseException) -> MnemataError:
    if _is_full(error) or (path is not None and _has_no_room(path)):
        return StorageFull(what="the search index", reason="the disk is full", retry_after_s=_RETRY_AFTER_S)
    reason = f"{doing} failed: {type(error).__name__}"
    if doing == "open":
        return IndexDamaged(path=str(path), reason=f"{reason}: {error}")
    return IndexUnavailable(what="the search index", reason=reason, retry_after_s=_RETRY_AFTER_S)


def _has_no_room(path: Path) -> bool:
    # Once a write failed, tantivy's threads say only that they were stopped, not why.
    try:
        return shutil.disk_usage(path).free < _NO_ROOM_BYTES
    except OSError:
        return False


def _is_full(error: BaseException) -> bool:
    number = error.errno if isinstance(error, OSError) else None
    return number in {errno.ENOSPC, errno.EDQUOT} or "No space left on device" in str(error)
