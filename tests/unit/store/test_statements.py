from __future__ import annotations

from pathlib import Path

import pytest

from mnemata.store import statements as loader
from mnemata.store.statements import statements

FILES = sorted(file.stem for file in (Path(loader.__file__).parent / "sql").glob("*.sql"))


@pytest.mark.parametrize("file", FILES)
def test_every_statement_has_a_name_and_a_sentence(file):
    for name, statement in statements(file).items():
        assert statement.name == name
        assert statement.sentence.endswith(".")
        assert statement.text.as_string(None).strip()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("SELECT 1\n", "under no name"),
        ("SELECT 1\n-- name: a\n-- Does.\nSELECT 2\n", "under no name"),
        ("-- name: a\nSELECT 1\n", "under no name"),
        ("-- name: a\n-- Does.\nSELECT 1\n\n-- name: a\n-- Does.\nSELECT 2\n", "twice"),
    ],
)
def test_file_that_breaks_the_rules_is_refused(tmp_path, monkeypatch, content, complaint):
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "broken.sql").write_text(content, "utf-8")
    monkeypatch.setattr(loader, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=complaint):
        statements.__wrapped__("broken")


def test_sentence_may_take_several_lines_and_is_not_part_of_the_statement(tmp_path, monkeypatch):
    (tmp_path / "sql").mkdir()
    text = "-- name: one\n-- Does\n-- this.\nSELECT 1\n-- a reason\nFROM t\n"
    (tmp_path / "sql" / "good.sql").write_text(text, "utf-8")
    monkeypatch.setattr(loader, "files", lambda _: tmp_path)
    (statement,) = statements.__wrapped__("good").values()
    assert (statement.name, statement.sentence) == ("one", "Does this.")
    assert statement.text.as_string(None) == "SELECT 1\n-- a reason\nFROM t"
