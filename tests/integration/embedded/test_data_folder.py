from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mnemata.domain.errors import ConfigurationError, DataFolderLocked
from mnemata.store import data_folder
from mnemata.store.data_folder import DataFolder

HOLD = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from mnemata.store.data_folder import DataFolder
    folder = DataFolder.acquire(Path(sys.argv[1]))
    print("held", flush=True)
    time.sleep(3_600)
""")


@pytest.fixture
def holder(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "held"
            yield process
        finally:
            process.kill()


def test_a_new_folder_and_its_rooms_are_private(tmp_path):
    folder = DataFolder.acquire(tmp_path / "data")
    try:
        for path in (folder.path, folder.postgres, folder.index, folder.backups):
            assert path.is_dir()
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
    finally:
        folder.release()


def test_a_second_process_is_refused_and_told_the_holder(tmp_path, holder):
    with pytest.raises(DataFolderLocked) as refused:
        DataFolder.acquire(tmp_path / "data")
    assert refused.value.facts["pid"] == holder.pid
    assert str(holder.pid) in str(refused.value)


def test_the_same_process_cannot_take_a_folder_twice(tmp_path):
    folder = DataFolder.acquire(tmp_path)
    try:
        with pytest.raises(DataFolderLocked) as refused:
            DataFolder.acquire(tmp_path)
        assert refused.value.facts["pid"] == os.getpid()
    finally:
        folder.release()


def test_a_killed_holder_leaves_the_folder_free(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait(60)
    folder = DataFolder.acquire(tmp_path / "data")
    assert (tmp_path / "data" / "lock").read_text().split() == [str(os.getpid())]
    folder.release()


def test_a_released_folder_can_be_taken_again(tmp_path):
    folder = DataFolder.acquire(tmp_path)
    folder.release()
    folder.release()
    DataFolder.acquire(tmp_path).release()


def test_a_shorter_pid_replaces_a_longer_one_whole(tmp_path):
    (tmp_path / "lock").write_text(f"{999_999_999:<12}\n")
    DataFolder.acquire(tmp_path).release()
    assert (tmp_path / "lock").read_text().split() == [str(os.getpid())]


def test_a_file_where_the_folder_should_be_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigurationError, match="MNEMATA_DATA_DIR"):
        DataFolder.acquire(tmp_path / "data")
    with pytest.raises(ConfigurationError, match="is a file"):
        DataFolder.acquire(tmp_path / "data" / "below")


def test_a_new_folder_without_room_is_refused_and_an_old_one_opens(tmp_path, monkeypatch):
    monkeypatch.setattr(data_folder, "NEW_FOLDER_BYTES", 1 << 60)
    with pytest.raises(ConfigurationError, match="no room"):
        DataFolder.acquire(tmp_path / "data")
    (tmp_path / "data" / "postgres").mkdir()
    DataFolder.acquire(tmp_path / "data").release()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_refused_with_the_remedy(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="right to write"):
        DataFolder.acquire(tmp_path)
