"""Servers end with their starter, however that ended.

A process of its own holds the reading end of a pipe whose other end only the starter has. It is told of every server; when
the pipe ends, it kills those that are left. A signal on the parent's death would come when the thread ends that started
the server, and not reach one that is paused.
"""

from __future__ import annotations

import atexit
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil


class _Watchdog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                self._process = self._begun()
            if self._process.stdin is None:
                raise RuntimeError("the watchdog was started without its pipe")
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def _begun(self) -> subprocess.Popen[bytes]:
        # In a session of its own: Ctrl-C in the terminal is not for it.
        process = subprocess.Popen(
            [sys.executable, "-P", __file__], stdin=subprocess.PIPE, start_new_session=True
        )
        atexit.register(self._end)
        return process

    def _end(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(60)


_THE_ONE = _Watchdog()


def watch(pid: int) -> None:
    """See that the process and its children end with this one."""
    _THE_ONE.tell(f"+{pid}")


def forget(pid: int) -> None:
    """The process has ended."""
    _THE_ONE.tell(f"-{pid}")


def tree(process: psutil.Process) -> Iterator[psutil.Process]:
    """The process and all that came from it, those first that begin others."""
    yield process
    with contextlib.suppress(psutil.NoSuchProcess):
        yield from process.children(recursive=True)


def kill_tree(process: psutil.Process) -> None:
    for one in list(tree(process)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def _main() -> None:
    watched: dict[int, psutil.Process] = {}
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "-":
            watched.pop(pid, None)
        else:
            with contextlib.suppress(psutil.NoSuchProcess):
                watched[pid] = psutil.Process(pid)
    for process in watched.values():
        # False also where its number was given to another process since.
        if process.is_running():
            kill_tree(process)


if __name__ == "__main__":
    _main()
