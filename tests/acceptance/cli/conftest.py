"""The command line as people run it: a real server, a data folder of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mnemata.cli.main import run

START_WITHIN_S = 240
END_WITHIN_S = 120


@dataclass
class CommandLine:
    """Runs `mnemata` on one data folder."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)

    def variables(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MNEMATA_")}
        return kept | {
            "MNEMATA_DATA_DIR": str(self.data_dir),
            "MNEMATA_EMBEDDING__MODEL": "hashing",
            "MNEMATA_HTTP__PORT": "0",
            "MNEMATA_PERSONALIZATION__TIMEOUT_S": "60",
            # A machine with more to do than these tests is no reason to fail.
            "MNEMATA_DATABASE__ACQUIRE_TIMEOUT_S": "60",
            "MNEMATA_DATABASE__CONNECT_TIMEOUT_S": "60",
            "MNEMATA_INDEX__WAIT_TIMEOUT_S": "60",
            **self.environment,
        }

    def start(self, *arguments, **options):
        return subprocess.Popen(
            [sys.executable, "-m", "mnemata", *arguments],
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def __call__(self, *arguments, stdin=None, code=0):
        """What the command wrote to stdout and stderr; it must end with `code`.

        It runs in this process, as the installed command does in its own, which spares a start of Python each.
        """
        out, err = io.StringIO(), io.StringIO()
        with (
            patched_environment(self.variables()),
            patched_stdin(stdin),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            run(arguments)
        ran = Ran(out.getvalue(), err.getvalue())
        assert int(ended.value.code or 0) == code, (
            f"{arguments} ended with {ended.value.code}\n{ran.out}\n{ran.err}"
        )
        return ran

    def json(self, *arguments, stdin=None, code=0):
        return json.loads(self(*arguments, "--json", stdin=stdin, code=code).out)


@contextlib.contextmanager
def patched_environment(variables):
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@contextlib.contextmanager
def patched_stdin(text):
    kept, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO((text or "").encode()))
    try:
        yield
    finally:
        sys.stdin = kept


@dataclass(frozen=True)
class Ran:
    out: str
    err: str


@dataclass
class Server:
    """A `mnemata serve` that answers."""

    command: CommandLine
    process: subprocess.Popen
    url: str

    def stop(self, how=signal.SIGTERM):
        """Its exit code and what it wrote."""
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=END_WITHIN_S)
        return self.process.returncode, out, err


def served(command: CommandLine, *arguments: str) -> Server:
    process = command.start("serve", *arguments)
    deadline = time.monotonic() + START_WITHIN_S
    written = command.data_dir / "server.json"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1])
        if written.exists():
            return Server(command, process, json.loads(written.read_text())["url"])
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no server in {START_WITHIN_S} s: {process.communicate()[1]}")


@pytest.fixture
def serve_here():
    """Runs `serve` in this process, lets somebody visit it, and ends it with a signal: what it wrote, what they saw."""
    return _serve_here


def _serve_here(command, visit, *, how):
    seen = []

    def visitor():
        deadline = time.monotonic() + START_WITHIN_S
        written = command.data_dir / "server.json"
        while not written.exists():
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        try:
            seen.append(visit(json.loads(written.read_text())["url"]))
        finally:
            os.kill(os.getpid(), how)

    thread = threading.Thread(target=visitor)
    thread.start()
    ran = command("serve")
    thread.join()
    return ran, seen[0]


@pytest.fixture
def command(open_folder):
    """The command line on an empty data folder."""
    return CommandLine(open_folder / "data")


@pytest.fixture(scope="module")
def shared_command():
    """The command line on one data folder for all tests of a file."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-"))
    folder.chmod(0o755)
    yield CommandLine(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_serve():
    """Starts servers that are gone after the file's tests: call it with a command line."""
    yield from _servers()


@pytest.fixture(scope="module")
def shared_server(shared_command, shared_serve):
    """One server for the tests of a file that only add to it."""
    return shared_serve(shared_command)


@pytest.fixture
def serve():
    """Starts servers that are gone after the test: call it with a command line."""
    yield from _servers()


def _servers():
    started = []

    def start(command, *arguments):
        started.append(served(command, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()
