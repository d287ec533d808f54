"""PostgreSQL's own programs as child processes: each with a limit in time, and none that outlives a cancelled caller."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mnemata.domain.errors import ConfigurationError, StorageFull, StoreUnavailable
from mnemata.store.embedded_user import ENVIRONMENT, binaries

PIECE = 1 << 20
_ERROR_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresTools:
    """Where pg_dump, pg_restore and psql are: at least as new as the server that is backed up."""

    folder: Path

    @classmethod
    def bundled(cls) -> PostgresTools:
        """Those of the embedded server, version 18: they serve PostgreSQL 15 to 18."""
        return cls(folder=binaries())

    def path(self, program: str) -> str:
        return str(self.folder / program)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A database for a child process: what may stand on a command line, and apart from it the password."""

    conninfo: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> Address:
        parts = conninfo_to_dict(url)
        password = parts.pop("password", None)
        environment = {} if password is None else {"PGPASSWORD": str(password)}
        return cls(conninfo=make_conninfo("", **parts), environment={**ENVIRONMENT, **environment})


@dataclass(slots=True, kw_only=True)
class Running:
    """A child process, and what it complained about."""

    program: str
    process: Process
    complaints: bytearray = field(default_factory=bytearray)

    @property
    def output(self) -> asyncio.StreamReader:
        assert self.process.stdout is not None  # noqa: S101 (every child is started with one)
        return self.process.stdout

    async def end(self) -> None:
        """Wait for it. Raises StorageFull or StoreUnavailable, in its own words, where it failed."""
        code = await self.process.wait()
        if code != 0:
            raise self._failure(code)

    async def listen(self) -> None:
        """Take in what it complains about, so that it never waits for us; only the beginning is kept."""
        assert self.process.stderr is not None  # noqa: S101 (every child is started with one)
        while piece := await self.process.stderr.read(PIECE):
            self.complaints += piece[: max(_ERROR_BYTES - len(self.complaints), 0)]

    def _failure(self, code: int) -> StorageFull | StoreUnavailable:
        text = self.complaints.decode("utf-8", "replace")
        if "No space left on device" in text:
            return StorageFull(what=self.program, reason="no space left on device")
        # Its first complaint is the cause. The lines below may quote rows, which are nobody's business.
        lines = [line for line in text.splitlines() if "error:" in line.lower() or "FATAL:" in line]
        reason = lines[0].strip() if lines else f"it ended with exit code {code}"
        return StoreUnavailable(what=self.program, reason=reason)


@asynccontextmanager
async def running(
    tools: PostgresTools,
    program: str,
    *arguments: str,
    environment: Mapping[str, str] = ENVIRONMENT,
    stdin: IO[bytes] | int = DEVNULL,
) -> AsyncGenerator[Running]:
    """A child process whose output is a stream; it is killed where the block ends before it does.

    Raises ConfigurationError where the program is missing.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            tools.path(program),
            *arguments,
            stdin=stdin,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            limit=PIECE,
        )
    except OSError as error:
        raise ConfigurationError(
            reason=f"{tools.path(program)} cannot be run: {error.strerror}",
            remedy="Install PostgreSQL's client programs there, or Mnemata again",
        ) from error
    child = Running(program=program, process=process)
    listening = asyncio.create_task(child.listen())
    try:
        yield child
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening
