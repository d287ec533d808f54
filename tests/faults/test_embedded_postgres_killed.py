from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from mnemata.domain.errors import DataFolderLocked
from mnemata.observability.metrics import Metrics
from mnemata.store.data_folder import DataFolder
from mnemata.store.embedded import EmbeddedPostgres

# Acknowledges, on its output, every row after its commit.
WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    import psycopg
    from mnemata.observability.metrics import Metrics
    from mnemata.store.data_folder import DataFolder
    from mnemata.store.embedded import EmbeddedPostgres

    folder = DataFolder.acquire(Path(sys.argv[1]))
    server = EmbeddedPostgres.start(folder.path, metrics=Metrics())
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (x bigint PRIMARY KEY)")
        (last,) = connection.execute("SELECT coalesce(max(x), 0) FROM kept").fetchone()
        print("pid", server.pid, flush=True)
        while True:
            last += 1
            connection.execute("INSERT INTO kept VALUES (%s)", (last,))
            print(last, flush=True)
""")


@pytest.fixture
def start_writer() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts writers, and leaves none behind, however the test ends."""
    writers: list[subprocess.Popen[str]] = []
    folders: set[Path] = set()

    def start(folder: Path) -> subprocess.Popen[str]:
        folders.add(folder)
        writers.append(
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(folder)],
                stdout=subprocess.PIPE,
                stderr=None,
                text=True,
            )
        )
        return writers[-1]

    yield start
    for writer in writers:
        writer.kill()
        writer.communicate() if writer.stdout and not writer.stdout.closed else writer.wait()
    for folder in folders:
        end_server_in(folder)


def end_server_in(folder: Path) -> None:
    """Kill the server that a test left when it failed midway."""
    try:
        pid = int(pid_file_of(folder).read_text().split()[0])
        kill_all(with_children(psutil.Process(pid)))
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return


def pid_file_of(folder: Path) -> Path:
    return folder / "postgres" / "18" / "postmaster.pid"


def first_line(path: Path) -> str:
    """Empty where the file is not there, or not written yet."""
    try:
        return path.read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return ""


def postmaster_of(writer: subprocess.Popen[str]) -> psutil.Process:
    assert writer.stdout is not None
    for line in writer.stdout:
        word, _, pid = line.partition(" ")
        if word == "pid":
            return psutil.Process(int(pid))
    raise AssertionError("the writer did not start")


def acknowledged(writer: subprocess.Popen[str], at_least: int) -> int:
    assert writer.stdout is not None
    for line in writer.stdout:
        if line.strip().isdigit() and int(line) >= at_least:
            return int(line)
    raise AssertionError("the writer ended")


def rest_of(writer: subprocess.Popen[str], seen: int) -> int:
    """The last row that was acknowledged whole before the end."""
    assert writer.stdout is not None
    lines = [line for line in writer.stdout if line.endswith("\n") and line.strip().isdigit()]
    writer.stdout.close()
    writer.wait(60)
    return int(lines[-1]) if lines else seen


def rows_of(server: EmbeddedPostgres) -> tuple[int, int]:
    with psycopg.connect(server.url) as connection:
        return connection.execute("SELECT count(*), coalesce(max(x), 0) FROM kept").fetchone()


def kill_all(processes: Iterable[psutil.Process]) -> None:
    for one in processes:
        # The children of a killed postmaster end by themselves, sometimes before their turn.
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def runs(process: psutil.Process) -> bool:
    """Whether it is still at work: neither gone nor a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def with_children(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def await_that(condition) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.01)


@pytest.mark.parametrize("kill_server_too", [False, True], ids=["owner_alone", "all_processes"])
def test_every_acknowledged_row_survives_sigkill(tmp_path, start_writer, kill_server_too):
    promised = 0
    for _ in range(3):
        writer = start_writer(tmp_path)
        postmaster = postmaster_of(writer)
        seen = acknowledged(writer, promised + 20)
        server_processes = with_children(postmaster) if kill_server_too else []
        kill_all([psutil.Process(writer.pid), *server_processes])
        promised = rest_of(writer, seen)
    folder = DataFolder.acquire(tmp_path)
    server = EmbeddedPostgres.start(folder.path, metrics=Metrics())
    try:
        count, last = rows_of(server)
        assert last in {promised, promised + 1}
        assert count == last
    finally:
        server.stop()
        folder.release()


def test_a_server_left_by_a_killed_owner_is_replaced(tmp_path, start_writer):
    writer = start_writer(tmp_path)
    orphan = postmaster_of(writer)
    seen = acknowledged(writer, 20)
    writer.kill()
    promised = rest_of(writer, seen)
    server = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    try:
        assert server.pid != orphan.pid
        assert not runs(orphan)
        assert rows_of(server)[1] >= promised
    finally:
        server.stop()


def test_a_server_that_is_recovering_is_replaced_too(tmp_path, start_writer):
    writer = start_writer(tmp_path)
    first = postmaster_of(writer)
    promised = acknowledged(writer, 50)
    kill_all([psutil.Process(writer.pid), *with_children(first)])
    promised = rest_of(writer, promised)
    second = start_writer(tmp_path)
    await_that(lambda: first_line(pid_file_of(tmp_path)) not in {"", str(first.pid)})
    second.kill()
    rest_of(second, 0)
    server = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    try:
        count, last = rows_of(server)
        assert count == last >= promised
    finally:
        server.stop()


def test_children_without_their_postmaster_are_ended_before_a_new_one_starts(tmp_path, start_writer):
    writer = start_writer(tmp_path)
    postmaster = postmaster_of(writer)
    promised = acknowledged(writer, 20)
    children = postmaster.children(recursive=True)
    for child in children:
        # Some live for one task only.
        with contextlib.suppress(psutil.NoSuchProcess):
            child.suspend()
    postmaster.kill()
    writer.kill()
    promised = rest_of(writer, promised)
    server = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    try:
        assert not any(runs(child) for child in children)
        assert rows_of(server)[1] >= promised
    finally:
        server.stop()


@pytest.fixture
def somebody_else() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen(["sleep", "3600"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("content", ["", "123\n", "not a pid\n", "{own}\n/elsewhere\n0\n5432\n"])
def test_a_stale_pid_file_does_not_keep_the_server_down(tmp_path, content, somebody_else):
    EmbeddedPostgres.start(tmp_path, metrics=Metrics()).stop()
    pid_file_of(tmp_path).write_text(content.format(own=somebody_else.pid))
    server = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    try:
        assert server.alive()
        assert somebody_else.poll() is None
    finally:
        server.stop()


async def test_a_server_killed_alone_is_started_again_by_supervision(tmp_path):
    metrics = Metrics()
    server = await asyncio.to_thread(EmbeddedPostgres.start, tmp_path, metrics=metrics)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS x")
    supervision = asyncio.create_task(server.supervise(interval_s=0.05))
    try:
        for expected in (1, 2):
            old = server.pid
            await asyncio.to_thread(kill_all, with_children(psutil.Process(old)))
            # Counted last, when the new one accepts connections.
            await asyncio.to_thread(
                await_that,
                lambda expected=expected: (
                    metrics.registry.get_sample_value("mnemata_database_restarts_total") == expected
                ),
            )
            assert server.alive()
            assert server.pid != old
            assert rows_of(server) == (1000, 1000)
    finally:
        supervision.cancel()
        await asyncio.gather(supervision, return_exceptions=True)
        await asyncio.to_thread(server.stop)


async def test_a_killed_session_does_not_end_the_server(tmp_path):
    metrics = Metrics()
    server = await asyncio.to_thread(EmbeddedPostgres.start, tmp_path, metrics=metrics)
    supervision = asyncio.create_task(server.supervise(interval_s=0.05))

    def answers() -> bool:
        try:
            with psycopg.connect(server.url) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    try:
        with psycopg.connect(server.url) as victim:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
            await asyncio.to_thread(await_that, answers)
            victim.close()
        assert metrics.registry.get_sample_value("mnemata_database_restarts_total") == 0
    finally:
        supervision.cancel()
        await asyncio.gather(supervision, return_exceptions=True)
        await asyncio.to_thread(server.stop)


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path, start_writer):
    writer = start_writer(tmp_path)
    acknowledged(writer, 1)
    try:
        with pytest.raises(DataFolderLocked) as refused:
            DataFolder.acquire(tmp_path)
        assert refused.value.facts["pid"] == writer.pid
    finally:
        writer.terminate()
        rest_of(writer, 0)
        EmbeddedPostgres.start(tmp_path, metrics=Metrics()).stop()


def test_a_program_that_ends_by_an_exception_leaves_no_server(tmp_path):
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from mnemata.observability.metrics import Metrics
        from mnemata.store.embedded import EmbeddedPostgres
        print(EmbeddedPostgres.start(Path(sys.argv[1]), metrics=Metrics()).pid, file=sys.stderr)
        raise SystemExit(3)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 3
    assert not psutil.pid_exists(int(done.stderr.split()[0]))
    assert not pid_file_of(tmp_path).exists()


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_a_plain_user_can_start_a_server():
    with tempfile.TemporaryDirectory(prefix="mnemata-plain-") as folder:
        os.chown(folder, 65_534, 65_534)
        script = textwrap.dedent("""
            import os, sys
            from pathlib import Path
            import psycopg
            from mnemata.observability.metrics import Metrics
            from mnemata.store.data_folder import DataFolder
            from mnemata.store.embedded import EmbeddedPostgres
            folder = DataFolder.acquire(Path(sys.argv[1]))
            server = EmbeddedPostgres.start(folder.path, metrics=Metrics())
            with psycopg.connect(server.url) as connection:
                print(os.geteuid(), *connection.execute("SELECT 40 + 2").fetchone())
            server.stop()
        """)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run(
            [*as_nobody, sys.executable, "-c", script, f"{folder}/data"],
            capture_output=True,
            text=True,
            timeout=240,
            cwd="/",
            check=False,
        )
        assert "65534 42" in done.stdout.splitlines(), done.stderr
