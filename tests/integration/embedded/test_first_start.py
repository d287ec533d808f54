"""A first start that is disturbed: by signals, by the end of its process, by a caller who gives up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from mnemata.observability.metrics import Metrics
from mnemata.platform.threads import to_its_end
from mnemata.store.embedded import EmbeddedPostgres

PATIENCE_S = 60
STARTED = """
import signal, sys
from pathlib import Path
from mnemata.observability.metrics import Metrics
from mnemata.store.embedded import EmbeddedPostgres

signal.signal(signal.SIGTERM, lambda *_: None)
server = EmbeddedPostgres.start(Path(sys.argv[1]), metrics=Metrics())
server.stop()
"""


@pytest.fixture
def first_start(tmp_path):
    """A process of its own group, in the middle of its first initdb; what is left of the group is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, str(tmp_path)], start_new_session=True, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + PATIENCE_S
    while not servers_of_initdb(tmp_path) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)


def servers_of_initdb(data_dir: Path) -> list[psutil.Process]:
    found = list[psutil.Process]()
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and (process.info["cwd"] or "").startswith(f"{data_dir}/"):
            found.append(process)
    return found


def lives(process: psutil.Process) -> bool:
    # Where no init process buries the dead they stay as zombies.
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_signal_to_the_whole_group_does_not_reach_initdb(first_start):
    os.killpg(first_start.pid, signal.SIGTERM)

    _, said = first_start.communicate(timeout=PATIENCE_S)

    assert first_start.returncode == 0, said.decode()


def test_what_a_killed_first_start_left_at_work_does_not_disturb_the_next(first_start, tmp_path):
    left = servers_of_initdb(tmp_path)
    first_start.kill()
    first_start.wait(PATIENCE_S)

    server = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    try:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not any(map(lives, left))
        assert [path.name for path in (tmp_path / "postgres").glob("18*")] == ["18"]
    finally:
        server.stop()


async def test_a_cancelled_start_ends_before_its_caller_goes_on():
    begun, undone = asyncio.Event(), list[str]()
    loop = asyncio.get_running_loop()

    def start() -> str:
        loop.call_soon_threadsafe(begun.set)
        time.sleep(0.2)
        return "server"

    task = asyncio.create_task(to_its_end(start, undo=undone.append))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert undone == ["server"]
