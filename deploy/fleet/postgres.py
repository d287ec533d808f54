"""PostgreSQL 15 with a database for Mnemata, as its page asks for: a login that owns it and may make roles."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.fleet.programs import program
from deploy.servers.member import Member

NAME = "mnemata"
_START_S = 120


def address(host: str, port: int) -> str:
    """The URL of Mnemata's database, its server reached at the address."""
    return f"postgresql://{NAME}@{host}:{port}/{NAME}"


class Postgres(Member):
    """It trusts whoever is on this machine; nothing else reaches it."""

    # Fast: clients are cut off. SIGTERM would wait until they leave.
    ends_by = signal.SIGINT
    refuses_root = True

    def __init__(self, *, folder: Path, log: Path, port: int) -> None:
        super().__init__("postgres", folder=folder, log=log, url=address("127.0.0.1", port))
        self._port = port
        self._data = folder / "data"

    def prepare(self) -> None:
        self.give_away()
        if self._data.exists():
            return
        # Beside, then renamed: an interrupted one is no database.
        half = self.folder / "half"
        shutil.rmtree(half, ignore_errors=True)
        options = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
        ]
        with self.log.open("ab") as log:
            subprocess.run(
                [program("initdb"), "-D", str(half), *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                check=True,
                timeout=_START_S,
                **self.identity,
            )
        half.rename(self._data)

    def command(self) -> Sequence[str]:
        settings = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [program("postgres"), "-D", str(self._data), *options]

    def answers(self) -> bool:
        try:
            psycopg.connect(self._as_superuser, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self) -> None:
        """Make Mnemata's login and database where they are not there yet."""
        name = sql.Identifier(NAME)
        with psycopg.connect(self._as_superuser, autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [NAME]).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(name))
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))

    @property
    def _as_superuser(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
