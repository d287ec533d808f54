from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mnemata.store.backup import backup, restore
from mnemata.store.migrate import migrate

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "pass word: '\\%/@"


@pytest.fixture(scope="module")
def oldest_server() -> Iterator[str]:
    """The URL of a PostgreSQL 15 that listens on a socket and asks for a password."""
    if not PROGRAMS.exists():
        pytest.skip("PostgreSQL 15 is not installed: run deploy/servers/install.sh as root")
    folder = Path(tempfile.mkdtemp(prefix="mnemata-backup-"))
    run = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    (folder / "password").write_text(PASSWORD)
    if run:
        for path in (folder, folder / "password"):
            shutil.chown(path, **run)

    def call(program: str, *arguments: str) -> None:
        command = [str(PROGRAMS / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **run)

    call(
        "initdb",
        "-A",
        "scram-sha-256",
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--no-locale",
        "-N",
        f"--pwfile={folder}/password",
    )
    call(
        "pg_ctl",
        "-w",
        "-s",
        "-o",
        f"-c listen_addresses='' -k {folder} -c fsync=off",
        "-l",
        str(folder / "log"),
        "start",
    )
    yield psycopg.conninfo.make_conninfo(
        host=str(folder), user="postgres", password=PASSWORD, dbname="postgres"
    )
    call("pg_ctl", "-w", "-s", "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def oldest_url(oldest_server: str) -> Iterator[str]:
    """An empty database of that server."""
    with psycopg.connect(oldest_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE moved TEMPLATE template0")
    yield psycopg.conninfo.make_conninfo(oldest_server, dbname="moved")
    with psycopg.connect(oldest_server, autocommit=True) as connection:
        connection.execute("DROP DATABASE moved WITH (FORCE)")


async def test_memories_move_from_the_newest_server_to_the_oldest_and_back(
    *, database, database_url, oldest_url, empty_url, remember, tools, clock, tmp_path, tables_of
):
    await remember(database, *(f"memory {n}" for n in range(20)))
    there, back = tmp_path / "there.mnemata-backup", tmp_path / "back.mnemata-backup"
    assert (await backup(database_url, there, tools=tools, clock=clock)).manifest.facts.server_version[
        :2
    ] == "18"
    await restore(there, oldest_url, tools=tools)
    migrate(oldest_url)
    assert (await backup(oldest_url, back, tools=tools, clock=clock)).manifest.facts.server_version[
        :2
    ] == "15"
    await restore(back, empty_url, tools=tools)
    before, moved, returned = tables_of(database_url), tables_of(oldest_url), tables_of(empty_url)
    assert len(before["memories"]) == 20
    assert before["memories"] == moved["memories"] == returned["memories"]
    assert before["versions"] == moved["versions"] == returned["versions"]
