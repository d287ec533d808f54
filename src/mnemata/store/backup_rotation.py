"""Scheduled backups: named by their time, and only the newest kept."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mnemata.domain.errors import ConfigurationError, CorruptBackup
from mnemata.observability.logging import get_logger
from mnemata.store.backup_archive import SUFFIX, verify
from mnemata.store.backup_file import PARTIAL

log = get_logger("store")

_NAME = re.compile(rf"mnemata-\d{{8}}T\d{{6}}Z{re.escape(SUFFIX)}")
# A backup in the making is written to all the time: what nobody touched for so long was left by a killed process.
_ABANDONED_S = 3_600
_STAMP = "%Y%m%dT%H%M%SZ"


def scheduled_name(now: datetime) -> str:
    """A file name that sorts by time: mnemata-20260131T235959Z.mnemata-backup."""
    return f"mnemata-{now.astimezone(UTC):{_STAMP}}{SUFFIX}"


def scheduled(folder: Path) -> list[Path]:
    """The scheduled backups of a folder, newest first; files of other names are none."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def newest_at(folder: Path) -> datetime | None:
    """When the newest scheduled backup was made, by its name; None where there is none, or none can be seen. Blocking."""
    try:
        times = (_time(path) for path in scheduled(folder))
        return next((at for at in times if at is not None), None)
    except OSError:
        return None


def rotate(folder: Path, keep: int, *, now: datetime) -> tuple[Path, ...]:
    """Delete all scheduled backups but the newest `keep`; gives what was deleted. Blocking.

    Names later than `now` count as the oldest: they were given while a clock was ahead. The newest good one always stays: where none of the kept verifies, the newest older one that does is kept too.
    Raises ConfigurationError where the folder does not let us.
    """
    if keep < 1:
        raise ValueError("keep at least one backup")
    with _explained(folder):
        return _rotated(folder, keep, now)


def _rotated(folder: Path, keep: int, now: datetime) -> tuple[Path, ...]:
    latest = scheduled_name(now)
    found = sorted(scheduled(folder), key=lambda path: path.name > latest)
    doomed = _without_newest_good(found[:keep], found[keep:])
    for path in doomed:
        path.unlink(missing_ok=True)
        log.info("backup_deleted", name=path.name)
    _drop_abandoned(folder, found)
    return tuple(doomed)


def _without_newest_good(kept: list[Path], old: list[Path]) -> list[Path]:
    if not old or any(_is_good(path) for path in kept):
        return old
    good = next((path for path in old if _is_good(path)), None)
    log.error("backups_damaged", names=[path.name for path in kept], kept_instead=good and good.name)
    # Without a single good one nothing is deleted: there may be something to be saved from each.
    return [] if good is None else [path for path in old if path != good]


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            reason=f"Old backups in {folder} cannot be deleted: {error.strerror}",
            remedy="Let the user that Mnemata runs as write to that folder and to what is in it, or delete them yourself",
        ) from error


def _time(path: Path) -> datetime | None:
    """None where the digits of the name are no time."""
    try:
        return datetime.strptime(path.name, f"mnemata-{_STAMP}{SUFFIX}").replace(tzinfo=UTC)
    except ValueError:
        return None


def _is_good(path: Path) -> bool:
    try:
        verify(path)
    except (CorruptBackup, ConfigurationError):
        return False
    return True


def _drop_abandoned(folder: Path, found: list[Path]) -> None:
    if not found or not found[0].exists():
        return
    newest_at = found[0].stat().st_mtime
    for path in folder.glob(f".mnemata-*{PARTIAL}"):
        if path.stat().st_mtime < newest_at - _ABANDONED_S:
            path.unlink(missing_ok=True)
            log.info("abandoned_backup_deleted", name=path.name)
