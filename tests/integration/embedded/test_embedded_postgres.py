from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from mnemata.observability.metrics import Metrics
from mnemata.store.data_folder import DataFolder
from mnemata.store.embedded import EmbeddedPostgres

DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "data_checksums": "on",
    "listen_addresses": "",
    "server_encoding": "UTF8",
    "TimeZone": "UTC",
}


def value_of(server: EmbeddedPostgres, statement: str):
    with psycopg.connect(server.url) as connection:
        row = connection.execute(statement).fetchone()
        return row[0] if row else None


def test_the_server_is_durable_private_and_in_unicode(server):
    with psycopg.connect(server.url) as connection:
        names = list(DURABLE)
        rows = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (names,)
        ).fetchall()
    assert dict(rows) == DURABLE


def test_the_order_of_texts_depends_on_no_library_of_the_system(server):
    with psycopg.connect(server.url) as connection:
        provider, locale = connection.execute(
            "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'mnemata'"
        ).fetchone()
    assert (provider, locale) == ("b", "C.UTF-8")
    assert value_of(server, "SELECT lower('ÄÉß')") == "äéß"


def test_only_the_owner_can_reach_the_socket(server):
    host = Path(parse_qs(urlsplit(server.url).query)["host"][0])
    assert stat.S_IMODE(host.stat().st_mode) == 0o700


def test_a_failed_statement_leaves_no_content_in_the_log(server):
    secret = "the-very-private-content"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE t (x text CHECK (x = ''))")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("INSERT INTO t VALUES (%s)", (secret,))
    written = server._cluster.log_file.read_text()
    assert "ready to accept connections" in written
    assert secret not in written


def test_an_existing_folder_starts_again_with_its_rows(tmp_path):
    first = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    with psycopg.connect(first.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS x")
    first.stop()
    again = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    try:
        assert value_of(again, "SELECT x FROM kept") == 7
    finally:
        again.stop()


def test_a_stopped_server_is_not_alive_and_is_not_started_by_a_restart(tmp_path):
    server = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    assert server.alive()
    server.stop()
    server.stop()
    server.restart()
    assert not server.alive()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)


def test_a_restart_keeps_the_address_and_is_counted(tmp_path):
    metrics = Metrics()
    server = EmbeddedPostgres.start(tmp_path, metrics=metrics)
    before = server.url
    server.restart()
    try:
        assert server.url == before
        assert value_of(server, "SELECT 1") == 1
        assert metrics.registry.get_sample_value("mnemata_database_restarts_total") == 1
    finally:
        server.stop()


def test_a_folder_too_deep_for_a_socket_works(deep_folder):
    folder = DataFolder.acquire(deep_folder)
    server = EmbeddedPostgres.start(folder.path, metrics=Metrics())
    try:
        assert value_of(server, "SELECT 1") == 1
        host = Path(parse_qs(urlsplit(server.url).query)["host"][0])
        assert stat.S_IMODE(host.stat().st_mode) == 0o700
    finally:
        server.stop()
        folder.release()


@pytest.mark.parametrize(
    "name", ["with space", "with,comma", "with'quote", "ünïcödé", 'with"quotes', "per%cent"]
)
def test_a_folder_of_any_name_works(tmp_path, name):
    server = EmbeddedPostgres.start(tmp_path / name, metrics=Metrics())
    try:
        assert value_of(server, "SELECT current_database()") == "mnemata"
    finally:
        server.stop()


@pytest.fixture
def strict_umask() -> Iterator[None]:
    """What is made is the owner's alone."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_strict_umask_does_not_keep_the_server_down(tmp_path, strict_umask):
    server = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    try:
        assert value_of(server, "SELECT 1") == 1
        server.restart()
        assert value_of(server, "SELECT 1") == 1
    finally:
        server.stop()


def test_an_initialisation_that_was_cut_short_is_begun_again(tmp_path):
    half = tmp_path / "postgres" / "18.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres.start(tmp_path, metrics=Metrics())
    try:
        assert value_of(server, "SELECT 1") == 1
        assert not half.exists()
    finally:
        server.stop()
