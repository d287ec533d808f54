import json
import os
import stat
import subprocess
import sys

import pytest

from mnemata.cli import server_file
from mnemata.cli.server_file import RunningServer


def test_announced_server_is_found_while_it_runs_and_gone_after(tmp_path):
    here = RunningServer(pid=os.getpid(), url="http://127.0.0.1:1")

    with server_file.announced(tmp_path, here):
        assert server_file.read(tmp_path) == here

    assert server_file.read(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_server_whose_process_is_gone_is_not_found(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / server_file.NAME).write_text(json.dumps({"pid": ended.pid, "url": "http://127.0.0.1:1"}))

    assert server_file.read(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "url": ""}', '{"pid": 0, "url": "x"}']
)
def test_damaged_file_names_no_server(tmp_path, text):
    (tmp_path / server_file.NAME).write_text(text)

    assert server_file.read(tmp_path) is None


def test_local_key_can_be_read_by_its_owner_only(tmp_path):
    server_file.keep_local_key(tmp_path, "mk_a_b")
    server_file.keep_local_key(tmp_path, "mk_c_d")

    assert server_file.local_key(tmp_path) == "mk_c_d"
    assert stat.S_IMODE((tmp_path / server_file.KEY_NAME).stat().st_mode) == 0o600


def test_folder_without_a_key_has_none(tmp_path):
    assert server_file.local_key(tmp_path) is None
