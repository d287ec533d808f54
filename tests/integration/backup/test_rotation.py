from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

import pytest

from mnemata.domain.errors import ConfigurationError
from mnemata.store.backup_archive import ArchiveWriter, Facts
from mnemata.store.backup_rotation import newest_at, rotate, scheduled, scheduled_name

FIRST = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)
LATER = FIRST + timedelta(days=1)


def write_backup(path: Path, at: datetime, *, damaged: bool = False) -> Path:
    file = BytesIO()
    writer = ArchiveWriter(file)
    writer.write(b"a dump")
    writer.finish(
        Facts(created_at=at, mnemata="0", schema_revision="0003", epoch="e", server_version="18", tables={})
    )
    content = file.getvalue()
    path.write_bytes(content[:-700] if damaged else content)
    return path


def backups_in(folder: Path, count: int, *, damaged: range = range(0)) -> list[Path]:
    """The oldest first."""
    times = [FIRST + timedelta(hours=n) for n in range(count)]
    return [
        write_backup(folder / scheduled_name(at), at, damaged=number in damaged)
        for number, at in enumerate(times)
    ]


def test_a_name_says_its_time_in_utc_and_sorts_by_it():
    assert scheduled_name(FIRST) == "mnemata-20260131T235958Z.mnemata-backup"
    elsewhere = FIRST.astimezone(timezone(timedelta(hours=5)))
    assert scheduled_name(elsewhere) == scheduled_name(FIRST)
    assert scheduled_name(FIRST) < scheduled_name(FIRST + timedelta(seconds=2))


def test_only_the_newest_are_kept(tmp_path):
    made = backups_in(tmp_path, 6)
    deleted = rotate(tmp_path, 2, now=LATER)
    assert set(deleted) == set(made[:4])
    assert scheduled(tmp_path) == [made[5], made[4]]


def test_fewer_than_may_be_kept_all_stay(tmp_path):
    made = backups_in(tmp_path, 3)
    assert rotate(tmp_path, 7, now=LATER) == ()
    assert len(scheduled(tmp_path)) == len(made)


def test_what_was_just_made_stays_and_names_of_the_future_are_the_first_to_go(tmp_path):
    ahead = [write_backup(tmp_path / scheduled_name(LATER + timedelta(days=n)), FIRST) for n in (1, 2, 3)]
    made, left = [], []
    for hour in range(4):
        now = FIRST + timedelta(hours=hour)
        made.append(write_backup(tmp_path / scheduled_name(now), now))
        rotate(tmp_path, 3, now=now)
        left.append(set(scheduled(tmp_path)))
    assert left == [{made[0], *ahead[1:]}, {*made[:2], ahead[2]}, set(made[:3]), set(made[1:])]


def test_files_of_other_names_are_never_touched(tmp_path):
    backups_in(tmp_path, 4)
    by_hand = write_backup(tmp_path / "before-the-upgrade.mnemata-backup", FIRST)
    letter = tmp_path / "mnemata-20260131T235958Z.txt"
    letter.write_text("keep me")
    rotate(tmp_path, 1, now=LATER)
    assert by_hand.exists()
    assert letter.exists()
    assert len(scheduled(tmp_path)) == 1


def test_the_newest_good_backup_stays_when_the_newer_ones_are_damaged(tmp_path):
    made = backups_in(tmp_path, 5, damaged=range(3, 5))
    rotate(tmp_path, 2, now=LATER)
    assert set(scheduled(tmp_path)) == {made[2], made[3], made[4]}


def test_nothing_is_deleted_when_no_backup_is_good(tmp_path):
    made = backups_in(tmp_path, 4, damaged=range(4))
    assert rotate(tmp_path, 1, now=LATER) == ()
    assert set(scheduled(tmp_path)) == set(made)


def test_what_a_killed_backup_left_is_removed_and_one_in_the_making_stays(tmp_path):
    newest = backups_in(tmp_path, 2)[-1]
    abandoned = tmp_path / ".mnemata-20260101T000000Z.mnemata-backup.123.partial"
    in_the_making = tmp_path / ".mnemata-20260201T000000Z.mnemata-backup.456.partial"
    for path, age_s in ((abandoned, 7_200), (in_the_making, -5)):
        path.write_bytes(b"half")
        at = newest.stat().st_mtime - age_s
        os.utime(path, (at, at))
    rotate(tmp_path, 5, now=LATER)
    assert not abandoned.exists()
    assert in_the_making.exists()


def test_a_missing_folder_has_nothing_to_rotate(tmp_path):
    assert rotate(tmp_path / "none", 3, now=LATER) == ()


def test_keeping_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        rotate(tmp_path, 0, now=LATER)


def test_what_cannot_be_deleted_is_told_with_a_remedy(tmp_path):
    made = backups_in(tmp_path, 2)
    made[0].unlink()
    made[0].mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot be deleted.*write to that folder"):
        rotate(tmp_path, 1, now=LATER)
    assert made[1].exists()


def test_the_time_of_the_newest_is_told_by_its_name(tmp_path):
    assert newest_at(tmp_path / "none") is None
    assert newest_at(tmp_path) is None
    backups_in(tmp_path, 3)
    (tmp_path / "mnemata-99999999T999999Z.mnemata-backup").touch()
    (tmp_path / "before-the-upgrade.mnemata-backup").touch()
    assert newest_at(tmp_path) == FIRST + timedelta(hours=2)
