from __future__ import annotations

import pytest

from mnemata.store import schema

pytestmark = pytest.mark.every_postgres


def test_schema_file_equals_the_migrations(url, version):
    if version == 18:
        assert schema.dump(url) == schema.FILE.read_text("utf-8")
    else:
        # An older server's schema is told in other words; it holds the same objects.
        names = [line for line in schema.dump(url).splitlines() if line.startswith("CREATE ")]
        newest = [line for line in schema.FILE.read_text("utf-8").splitlines() if line.startswith("CREATE ")]
        assert names == newest


def test_schema_file_is_written_from_a_server_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "FILE", tmp_path / "schema.sql")
    schema.main()
    written = (tmp_path / "schema.sql").read_text("utf-8")
    assert written.startswith("-- Generated")
    assert "CREATE TABLE public.memories" in written
