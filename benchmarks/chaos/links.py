"""The ways between processes and servers, through the proxy that can spoil them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from benchmarks.chaos.proxy import Trouble

NO_TROUBLE = Trouble()


class Links:
    """A proxy that runs while this is open. `through` is what a fleet asks for the way to a server."""

    def __init__(self, *, seed: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.chaos.proxy", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()
        self.names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def through(self, name: str, host: str, port: int) -> tuple[str, int]:
        """Where to connect to, to reach the server by a way that can be spoilt."""
        told = self._ask({"open": name, "to": [host, port]})
        self.names.append(name)
        return "127.0.0.1", told["port"]

    def trouble(self, name: str, trouble: Trouble) -> None:
        """From now on this happens on that way; NO_TROUBLE ends it."""
        self._ask({"link": name, "trouble": asdict(trouble)})

    def close(self) -> None:
        """End the proxy. Idempotent."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()

    def _ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            stdin.write(json.dumps(command) + "\n")
            stdin.flush()
            answer = stdout.readline()
        if not answer:
            raise RuntimeError("the proxy has ended")
        return json.loads(answer)
