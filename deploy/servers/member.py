"""A server of a fleet as a process: begun, signalled, ended, and begun again on the same port and data."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import TypedDict

import psutil

from deploy.servers import watchdog

READY_S = 180.0
_END_S = 60.0
_SHOWN_CHARACTERS = 3_000
_OTHER_USER = "nobody"


class Identity(TypedDict, total=False):
    """Who a process runs as, as `subprocess` takes it."""

    user: str
    group: int
    extra_groups: list[int]


class Member(ABC):
    """A server with a name, a folder for its data, and a log. It ends with the process that started it.

    `url` is empty where nothing is spoken to.
    """

    ends_by = SIGTERM
    """What asks this server for an orderly end."""

    refuses_root = False
    """Whether it runs as another user where we are root; its folder is then that user's."""

    def __init__(self, name: str, *, folder: Path, log: Path, url: str = "") -> None:
        self.name = name
        self.folder = folder
        self.log = log
        self.url = url
        self.surroundings: dict[str, str] = {}
        """What else stands in its environment from its next start on, such as another clock."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Begin it and return once it answers. Raises RuntimeError with the end of its log where it does not."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Begin it, and do not wait until it answers."""
        if self.alive:
            raise RuntimeError(f"{self.name} is running already")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                env={
                    "PATH": os.environ["PATH"],
                    "LANG": "C.UTF-8",
                    **self.environment(),
                    **self.surroundings,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                **self.identity,
            )
        watchdog.watch(self._process.pid)

    def wait(self, timeout_s: float = READY_S) -> None:
        """Return once it answers. Raises RuntimeError with the end of its log where it ends or does not in time."""
        until = time.monotonic() + timeout_s
        while not self.answers():
            if not self.alive or time.monotonic() > until:
                raise RuntimeError(f"{self.name} did not become ready:\n{self.last_words()}")
            time.sleep(0.1)

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-_SHOWN_CHARACTERS:] if self.log.exists() else ""

    def signal(self, how: Signals) -> None:
        """Send a signal, and do not wait. SIGSTOP, SIGCONT and SIGKILL go to every process of the server."""
        if self._process is None or not self.alive:
            return
        to_all = how in {SIGSTOP, SIGCONT, SIGKILL}
        main = psutil.Process(self._process.pid)
        for process in list(watchdog.tree(main)) if to_all else [main]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(how)

    def kill(self, how: Signals = SIGKILL) -> None:
        """Send a signal; after SIGKILL, return once the process is gone."""
        self.signal(how)
        if how is SIGKILL:
            self._gone(_END_S)

    def stop(self) -> None:
        """Ask for an orderly end and wait for it; after a minute, it is killed."""
        self.ask_to_end()
        self.end()

    def ask_to_end(self) -> None:
        self.signal(self.ends_by)
        self.signal(SIGCONT)

    def end(self) -> None:
        """Wait for the end that was asked for; after a minute, it is killed."""
        try:
            self._gone(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def _gone(self, timeout_s: float) -> None:
        if self._process is not None:
            self._process.wait(timeout_s)
            watchdog.forget(self._process.pid)
            self._process = None

    @property
    def identity(self) -> Identity:
        """Who it runs as: another user where it refuses root and we are root."""
        if not self.refuses_root or os.geteuid() != 0:
            return {}
        return {"user": _OTHER_USER, "group": pwd.getpwnam(_OTHER_USER).pw_gid, "extra_groups": []}

    def give_away(self) -> None:
        """Where it runs as another user, the folder and all in it become that user's. Raises RuntimeError out of reach."""
        if not self.identity:
            return
        owner = pwd.getpwnam(_OTHER_USER)
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        closed = next(
            (path for path in self.folder.resolve().parents if not path.stat().st_mode & 0o001), None
        )
        if closed is not None:
            raise RuntimeError(
                f"{self.name} runs as the user {_OTHER_USER}, who may not pass through {closed}: choose another folder"
            )

    def prepare(self) -> None:
        """Lay out what it needs before it is begun."""
        self.give_away()

    def environment(self) -> Mapping[str, str]:
        return {}

    @abstractmethod
    def command(self) -> Sequence[str]: ...

    @abstractmethod
    def answers(self) -> bool:
        """Whether it answers now."""
